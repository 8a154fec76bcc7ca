"""The manual and the examples, which are made from the models."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from provision.inventory import MODELS, Model, load, manual
from tests import pem
from tests.inventories import CAS, write


@pytest.mark.parametrize("path", manual.files(), ids=str)
def test_the_committed_reference_is_what_the_models_say(path: Path) -> None:
    assert (manual.ROOT / path).read_text() == manual.files()[path], "run python -m provision.inventory.manual"


@pytest.mark.parametrize("name", manual.EXAMPLES)
def test_the_examples_are_valid_as_they_are_and_with_every_setting_in_use(name: str) -> None:
    text = manual.example(name)
    loaded = load(write(text, f"inventories/{name}.yml"), {})
    issuers = {each.tls.issuer for each in loaded.hosts.values()}
    assert issuers == {"letsencrypt-staging" if name == "staging" else "letsencrypt"}

    # Of three ways to the code, one can be in use; own certificates come in place of an issuer's.
    text = re.sub(r"(?m)^ *#push: .*\n", "", text).replace("https://git.example.com/", "git@git.example.com:")
    text = re.sub(r"(?m)^  issuer: .*$", "  issuer: files", text)
    Path("tls").mkdir()
    pem.write(Path("tls"), "shop", "*.example.com", "*.staging.example.com")
    for file in ("home/.ssh/id_ed25519", "inventories/known_hosts"):
        write("", file)
    for file in ("ca/acme.pem", "ca/root.pem", "ca/mirrors.pem"):
        write(CAS, file)
    write("A=1\n", ".env.shop")
    write("machine git.example.com login jo password secret\n", ".netrc.shop")
    write("port: 2222\n", "inventories/common.yml")
    used = re.sub(r"(?m)^( *)#(?=\w)", r"\1", text)
    assert used != text
    every = next(iter(load(write(used, f"inventories/{name}.yml"), {"SHOP_SECRET_KEY": "a-key"}).hosts.values()))
    missing = type(every).settings().keys() - every.model_fields_set
    assert missing <= {"groups"}
    for model in (every.tls, every.mirrors, every.apps["shop"], every.apps["shop"].source):
        assert type(model).settings().keys() - {"push"} <= model.model_fields_set


@pytest.mark.parametrize("model", MODELS)
def test_every_setting_is_described_and_has_an_example(model: type[Model]) -> None:
    for item in model.settings().values():
        assert item.description
        assert item.examples
