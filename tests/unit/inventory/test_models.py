"""Models are values: complete once they are loaded, and never changed."""

from __future__ import annotations

import builtins
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from pydantic import BaseModel

from provision.inventory import MODELS, Inventory, InventoryFile, Model
from tests import pem
from tests.inventories import CAS, inventory, write

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERYTHING = """\
hardening: {ssh: true}
tls: {issuer: files, certificate: own.pem, key: own.key, issuer_ca: ca.pem, root_ca: ca.pem}
mirrors: {ca_bundle: ca.pem}
apps:
  shop:
    source: {repository: git@git.example.com:shop.git, deploy_key: deploy}
    module: shop.main:app
    domains: [shop.example.com]
    env_file: shop.env
    secrets: [TOKEN]
    environment: {GREETING: hello}
    database: postgresql
    build: [{run: make, outputs: [out]}]
    requirements: {extras: [fast]}
    cache: redis
    schedules: {cleanup: {at: hourly, run: python -m shop.cleanup}}
  blog: {source: {push: code}, module: blog.main:app, domains: [blog.example.com]}
backups: {repository: "sftp://backups@storage.example.com/srv", passphrase: correct-horse-battery, key: deploy, host_key: STORAGE}
hosts:
  web1: {address: 203.0.113.10, key: login, known_hosts: known, groups: [web]}
  web2:
    address: 203.0.113.11
    tls: {issuer: letsencrypt, certificate: null, key: null, dns: {plugin: gandi, credentials: {token: secret}}}
"""
EVERYTHING = EVERYTHING.replace(
    "STORAGE", "storage.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
)
CALLS = {
    ("TLS", "covers"): "shop.example.com",
    ("Rollout", "size"): 3,
    ("Inventory", "select"): "web",
    ("Hardening", "wants"): "ssh",
    ("Database", "parts"): "shop",
    ("Database", "variables"): "shop",
    ("PostgreSQL", "bytes"): 1024,
    ("Cache", "parts"): "shop",
    ("Backups", "calendar"): "full",
    ("App", "in_repository"): "frontend",
}
"""Each public method of a model, and what to call it with."""


@pytest.fixture
def loaded() -> Inventory:
    """An inventory that names a file wherever it can."""
    pem.write(Path(), "own", "*.example.com")
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "deploy"), check=True)
    for name, text in {"ca.pem": CAS, "shop.env": "A=1\n", "login": "", "known": "", "code/main.py": ""}.items():
        write(text, name)
    return inventory(EVERYTHING, {"TOKEN": "secret"})


def below(value: object) -> Iterator[Model]:
    """A model and all models in it."""
    if isinstance(value, Model):
        yield value
        for name in type(value).model_fields:
            yield from below(getattr(value, name))
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from below(item)


def members(model: type[Model], kind: type) -> set[str]:
    """The public methods or properties that are a model's own."""
    return {name for name, value in vars(model).items() if isinstance(value, kind) and not name.startswith("_")}


@pytest.mark.parametrize("model", [*MODELS, InventoryFile, Inventory])
def test_a_model_has_fields_only_and_does_nothing_after_validation(model: type[Model]) -> None:
    assert (model.model_config["frozen"], model.model_config["extra"]) == (True, "forbid")
    assert not model.__private_attributes__
    assert model.model_post_init is BaseModel.model_post_init


def test_no_model_can_be_changed(loaded: Inventory) -> None:
    kinds = set()
    for model in below(loaded):
        kinds.add(type(model))
        for name in type(model).model_fields:
            with pytest.raises(ValueError, match="frozen"):
                setattr(model, name, getattr(model, name))
    assert kinds == {Inventory, *MODELS}


def test_every_file_is_read_while_an_inventory_is_loaded(loaded: Inventory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are gone and nothing can be opened, and still every property and method answers."""
    key, deploy_key, chain = (Path(name).read_text() for name in ("own.key", "deploy", "own.pem"))
    for file in [path for path in Path().rglob("*") if path.is_file()]:
        file.unlink()

    def refuse(*arguments: object, **options: object) -> NoReturn:
        raise AssertionError(f"opened {arguments}")

    for module in (builtins, io, os):
        monkeypatch.setattr(module, "open", refuse)
    called = set()
    for model in below(loaded):
        for name in members(type(model), property):
            getattr(model, name)
        for name in members(type(model), type(refuse)):
            assert getattr(model, name)(CALLS[type(model).__name__, name])
            called.add((type(model).__name__, name))
    assert called == CALLS.keys()
    host = loaded.hosts["web1"]
    shop = host.apps["shop"]
    assert (host.tls.private_key, host.tls.chain, host.tls.names) == (key, chain, frozenset({"*.example.com"}))
    assert "".join(host.tls.authorities) == "".join(host.mirrors.authorities) == CAS
    assert (shop.name, shop.source.private_key, host.apps["blog"].source.private_key) == ("shop", deploy_key, "")
    urls = {
        "DATABASE_URL": "postgresql://shop@/shop?host=/run/postgresql",
        "REDIS_URL": "unix:///run/provision-redis/shop/redis.sock",
    }
    assert shop.env == {"A": "1", "TOKEN": "secret", "GREETING": "hello", **urls}


def test_a_file_is_read_once_however_often_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    write(CAS, "ca.pem")
    read, original = [], Path.read_bytes

    def count(path: Path) -> bytes:
        read.append(path.name)
        return original(path)

    monkeypatch.setattr(Path, "read_bytes", count)
    inventory(
        "tls: {issuer_ca: ca.pem, root_ca: ca.pem}\nmirrors: {ca_bundle: ca.pem}\n"
        "hosts: {web1: 203.0.113.10, web2: 203.0.113.11}\n"
    )
    assert read == ["ca.pem"]


def test_what_loading_fills_in_is_no_key_of_an_inventory() -> None:
    filled = {
        "Host": {"name", "forwarded", "hidden", "serves"},
        "App": {"name", "env", "netrc_text"},
        "Database": {"address", "access"},
        "Source": {"private_key"},
        "TLS": {"authorities", "chain", "private_key", "names"},
        "Mirrors": {"authorities"},
        "Backups": {"private_key"},
    }
    for model in MODELS:
        assert model.model_fields.keys() - model.settings().keys() == filled.get(model.__name__, set())


def test_a_copy_has_other_values_and_is_frozen_too(loaded: Inventory) -> None:
    host = loaded.hosts["web1"].model_copy(update={"forwarded": {443: 8443}})
    assert (host.forwarded, loaded.hosts["web1"].forwarded) == ({443: 8443}, {})
    with pytest.raises(ValueError, match="frozen"):
        host.forwarded = {}


def test_secrets_are_not_serialized_either(loaded: Inventory) -> None:
    dumped = repr(loaded.hosts["web1"].model_dump())
    for secret in (loaded.hosts["web1"].tls.private_key, loaded.hosts["web1"].apps["shop"].source.private_key):
        assert secret.splitlines()[1] not in dumped


def test_what_only_some_inventories_need_is_imported_when_it_is_needed() -> None:
    write("hosts: {web1: 203.0.113.10}\n")
    script = (
        "import pathlib, sys, provision.inventory as inventory\n"
        "assert not {'cryptography', 'dotenv', 'ssl', 'yaml'} & sys.modules.keys()\n"
        "inventory.load(pathlib.Path('prod.yml'))\n"
        "assert not {'cryptography', 'dotenv', 'ssl'} & sys.modules.keys()\n"
    )
    done = subprocess.run((sys.executable, "-c", script), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
