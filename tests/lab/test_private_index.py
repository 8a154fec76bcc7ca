"""A package index behind a password, with a CA of its own: packages come from it, and its password is seen nowhere."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from provision.release.venv import SERVER as PINNED
from tests.lab.apps import MAIN, SERVER, App, committed
from tests.lab.conftest import LAB, Answer, Controller, https, shell
from tests.lab.index import PACKAGE, USER, WHEEL, Index, serving
from tests.lab.repository import Repository
from tests.lab.watching import watched

pytest_plugins = ("tests.lab.apps",)


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, App]]:
    yield from committed(tmp_path_factory.mktemp("apps"), ("built", "locked"))


@dataclass(frozen=True)
class Private:
    """Two apps deployed through a private index to a server without uv; `seen` says where its password was seen."""

    index: Index
    controller: Controller
    seen: list[str]
    said: str


@pytest.fixture(scope="module")
def private(every_app: Controller, apps: dict[str, App], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Private]:
    """private needs a package that only the index has; sealed is the app locked, with a lock that names files out of reach."""
    repository = Repository.create(f"private-{SERVER}", tmp_path_factory.mktemp("private") / "tree")
    main = MAIN.replace("from fastapi", "from lab_greeting import greeting as words\nfrom fastapi", 1)
    main = main.replace('"hello from NAME"', "words()").replace("NAME", "private")
    repository.commit({"requirements.txt": f"fastapi==0.165.0\n{PACKAGE}==1.0\n", "main.py": main})
    sealed = Repository.create(f"sealed-{SERVER}", tmp_path_factory.mktemp("sealed") / "tree")
    sealed.commit({name: out_of_reach(text) for name, text in apps["locked"].files.items()})
    shell(SERVER, "rm -r /opt/uv")
    secret = token_hex(16)
    with serving(f"p@ss/{secret}", tls=True) as index:
        content: dict[str, Any] = yaml.safe_load(every_app.inventory.read_text())
        content["mirrors"] |= {"index": index.url(), "ca_bundle": str(LAB / "acme-api-ca.pem")}
        site = {"domains": [f"private.{SERVER}.test"], "health": "/", "workers": 1}
        content["apps"] = {
            "private": {"source": repository.url, "module": "main:app", **site},
            "sealed": {
                **content["apps"]["locked"],
                "source": sealed.url,
                "domains": [f"sealed.{SERVER}.test"],
            },
        }
        controller = every_app.with_text(yaml.safe_dump(content, sort_keys=False), "private")
        planned = controller.plan(SERVER)
        with watched(SERVER, secret) as seen:
            deployed = controller("deploy", SERVER)
        assert deployed.status == 0, deployed.stdout + deployed.stderr
        answers: tuple[Answer, ...] = (planned, deployed, controller.deploy(SERVER))
        said = "".join(answer.stdout + answer.stderr for answer in answers)
        yield Private(index, controller, [*seen, *(["what the tasks print"] if secret in said else [])], said)
    repository.remove()
    sealed.remove()


def out_of_reach(text: str) -> str:
    """A file of the app locked, under another name; in a lock, no file's URL can be reached."""
    return re.sub('url = "[^"]*/', 'url = "https://files.invalid/', text.replace("locked", "sealed"))


def test_the_files_of_a_lock_come_from_the_private_index_and_are_those_of_the_lock(
    private: Private, apps: dict[str, App]
) -> None:
    done = https(SERVER, "/", f"sealed.{SERVER}.test")
    assert json.loads(done.stdout)["greeting"] == "hello from sealed", done.stderr
    sealed = App("sealed", "sealed/main.py", {})
    same = ("fastapi", "starlette", "pydantic")
    assert [sealed.installed()[name] for name in same] == [apps["locked"].installed()[name] for name in same]


def test_an_app_with_a_package_that_only_a_private_index_has_is_served(private: Private) -> None:
    done = https(SERVER, "/", f"private.{SERVER}.test")
    assert json.loads(done.stdout)["greeting"] == "hello from a package of the private index", done.stderr
    assert {PACKAGE, WHEEL, "fastapi"} <= set(private.index.asked)


def test_the_pinned_tools_come_from_the_private_index_too(private: Private) -> None:
    pinned = {re.split("[=[]", requirement)[0] for requirement in PINNED}
    assert {"uv", "gunicorn", "uvicorn"} <= {"uv", *pinned} <= set(private.index.asked)


def test_the_password_of_the_index_is_in_no_process_list_no_file_and_nothing_that_is_printed(private: Private) -> None:
    assert private.seen == []
    assert "private: venv for the requirements" in private.said


def test_a_netrc_file_opens_an_index_to_the_build_and_to_nobody_else(
    private: Private, every_app: Controller, tmp_path: Path
) -> None:
    index = private.index
    repository = Repository.create(f"netrc-{SERVER}", tmp_path / "tree")
    requirements = f"--extra-index-url {index.place}/simple\nfastapi==0.165.0\n{PACKAGE}==1.0\n"
    repository.commit({"requirements.txt": requirements, "main.py": MAIN.replace("NAME", "netrc")})
    (tmp_path / "netrc").write_text(
        f"machine {urlsplit(index.place).hostname} login {USER} password {index.password}\n"
    )
    content: dict[str, Any] = yaml.safe_load(every_app.inventory.read_text())
    content["mirrors"] |= {"ca_bundle": str(LAB / "acme-api-ca.pem")}
    site = {"domains": [f"netrc.{SERVER}.test"], "health": "/", "workers": 1, "netrc": str(tmp_path / "netrc")}
    content["apps"] = {"netrc": {"source": repository.url, "module": "main:app", **site}}
    controller = every_app.with_text(yaml.safe_dump(content, sort_keys=False), "netrc")
    with watched(SERVER, index.password.rpartition("/")[2]) as seen:
        deployed = controller("deploy", SERVER)
    repository.remove()
    assert deployed.status == 0, deployed.stdout + deployed.stderr
    assert json.loads(https(SERVER, "/", f"netrc.{SERVER}.test").stdout)["greeting"] == "hello from netrc"
    assert (seen, index.password in deployed.stdout + deployed.stderr) == ([], False)
