"""An app gets another domain, and then another name: nothing is switched before what it needs is there, and no request is lost."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision import lab
from provision.lab import acme
from tests.lab.conftest import Controller, https, shell
from tests.lab.load import load
from tests.lab.refusals import lab_values, refused
from tests.lab.repository import Repository

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab1")
ADDRESS = f"10.213.0.{10 + int(SERVER.removeprefix('lab'))}"
OLD, NEW = f"before.{SERVER}.test", f"after.{SERVER}.test"
MAIN = """\
from pathlib import Path
import os

from fastapi import FastAPI

app = FastAPI()


@app.get("/commit")
def commit() -> str:
    return "hello"


@app.get("/health")
@app.get("/")
def health() -> str:
    return os.environ["PROVISION_RELEASE"]
"""


@dataclass(frozen=True)
class Site:
    """The server with one app, under one name and domain or another."""

    folder: Path
    url: str

    def inventory(self, domain: str, name: str = "mover", **changes: Any) -> Controller:
        """The inventory with the app for this domain."""
        content = lab_values()
        content["hosts"] = {SERVER: content["hosts"][SERVER]}
        values = {"source": self.url, "module": "main:app", "python": "system", "workers": 1, "health": "/health"}
        content["apps"] = {name: {**values, "domains": [domain], **changes}}
        path = self.folder / "moving.yml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return Controller(path)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The server, made bare, with the app for its first domain."""
    made = Repository.create(f"moving-{SERVER}", tmp_path_factory.mktemp("repository") / "tree")
    made.commit({"main.py": MAIN, "requirements.txt": "fastapi==0.165.0\n"})
    lab.reset(SERVER)
    found = Site(tmp_path_factory.mktemp("inventory"), made.url)
    found.inventory(OLD).deploy(SERVER)
    yield found
    made.remove()


def answers(domain: str) -> bool:
    """Whether the app answers under this name, whatever the certificate."""
    return "20" in https(SERVER, "/health", domain, "-k").stdout


def test_a_domain_is_changed_once_there_is_a_certificate_for_the_new_one(site: Site) -> None:
    cut = f"ipproto tcp dport {acme.PORT} unreachable"
    before = shell(SERVER, "cat /etc/nginx/sites-enabled/zz-mover.conf")
    with load(ADDRESS, OLD, 300) as seen:
        shell(SERVER, f"ip rule add {cut}")
        try:
            error = refused(site.inventory(NEW)("deploy", SERVER, "--json"))
            assert error == f"mover: {acme.DIRECTORY} gave no certificate; its reason stands above"
            assert not answers(NEW)
            assert shell(SERVER, "cat /etc/nginx/sites-enabled/zz-mover.conf") == before
            again = site.inventory(NEW)("deploy", SERVER, "--json")
            assert refused(again) == error
            assert not answers(NEW)
            shell(SERVER, "systemctl reload nginx; sleep 1")
            assert https(SERVER, "/health", OLD).returncode == 0
            assert site.inventory(OLD).plan(SERVER).changed(SERVER) == ["files:nginx", "service:nginx"]
        finally:
            shell(SERVER, f"ip rule del {cut}")
    assert (seen.lost(reloads=2), len(seen.answers) > 50) == ([], True)
    answer = site.inventory(NEW).deploy(SERVER).host(SERVER)
    assert [one["id"] for one in answer["changes"]] == [
        "certificate:/etc/ssl/provision/mover",
        "files:nginx",
        "service:nginx",
    ]
    assert https(SERVER, "/health", NEW).stdout == https(SERVER, "/", NEW).stdout
    assert answers(NEW)
    assert not answers(OLD)
    planned = site.inventory(NEW).plan(SERVER).host(SERVER)
    assert (planned["changed"], planned["execs"]) == (0, 2)
    left = "ls -A /etc/ssl/provision/before; find /etc/nginx/ -name '*answers*'; ls -A /var/lib/provision/before"
    assert shell(SERVER, left) == ""
