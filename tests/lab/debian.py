"""The whole life of two apps, one under each process manager, on another Debian than that of the other tests (PROVISION_SUITE)."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from provision import lab
from tests.lab.conftest import ROOT, SUITE, Controller, https, shell
from tests.lab.exposure import rating
from tests.lab.listing import changed, listing
from tests.lab.load import load
from tests.lab.refusals import lab_values
from tests.lab.repository import Repository

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab2")
ADDRESS = f"10.213.0.{10 + int(SERVER.removeprefix('lab'))}"
SHOP, TALK = "shop", "talk"
# A FastAPI for Python 3.9 as well, which Debian 11 has.
REQUIREMENTS = "fastapi==0.115.0\n"
MAIN = """\
import os
from pathlib import Path

from fastapi import FastAPI

app = FastAPI()
(Path(os.environ["HOME"]) / "data").write_text("of the app")


@app.get("/commit")
@app.get("/health")
def commit() -> str:
    return os.environ["PROVISION_COMMIT"]
"""


@dataclass(frozen=True)
class Site:
    """The server with the two apps; `before` is what it had without them."""

    controller: Controller
    repository: Repository
    before: set[str]

    def __call__(self, task: str, *options: str) -> None:
        """Run a task, which must succeed."""
        answer = self.controller(task, SERVER, *options)
        assert answer.status == 0, answer.stdout + answer.stderr

    def commit(self, note: str) -> str:
        """Commit a release."""
        return self.repository.commit({"main.py": f"{MAIN}\n# {note}\n", "requirements.txt": REQUIREMENTS})


def served(app: str) -> str:
    """The commit that answers."""
    return https(SERVER, "/commit", f"{app}.{SERVER}.test").stdout.strip('"')


def values(name: str, url: str, manager: str) -> dict[str, Any]:
    """An app as the inventory has it."""
    return {
        "source": url,
        "module": "main:app",
        "python": "system",
        "workers": 1,
        "health": {"path": "/health", "watch": 1},
        "domains": [f"{name}.{{host}}.test"],
        "process_manager": manager,
        "migrate": "touch $HOME/migrated",
        "processes": {"worker": "sleep 1000"},
        "schedules": {"tidy": {"at": "03:00", "run": "touch $HOME/tidied"}},
        "hooks": {"before": "touch $HOME/before"},
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The server, made bare, with the apps' first release."""
    repository = Repository.create(f"debian-{SERVER}", tmp_path_factory.mktemp("repository") / "tree")
    content = lab_values()
    content["hosts"] = {SERVER: content["hosts"][SERVER]}
    managers = {SHOP: "systemd", TALK: "supervisor"}
    content["apps"] = {name: values(name, repository.url, manager) for name, manager in managers.items()}
    path = tmp_path_factory.mktemp("inventory") / "debian.yml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    lab.reset(SERVER, SUITE)
    made = Site(Controller(path), repository, listing(SERVER))
    made.commit("first")
    made("deploy")
    yield made
    repository.remove()


def test_a_second_deploy_changes_nothing(site: Site) -> None:
    again = site.controller.deploy(SERVER).host(SERVER)
    assert (again["changes"], again["execs"], again["warnings"]) == ([], 2, [])


def test_the_server_passes_all_checks_and_the_doctor_finds_nothing(site: Site) -> None:
    site("verify")
    site("verify", "--disruptive", "--yes")
    answer = site.controller("doctor", SERVER, "--json")
    assert [one for one in answer.host(SERVER)["checks"] if one["level"] != "ok"] == []


def test_what_runs_is_in_a_tight_sandbox(site: Site) -> None:
    slot = shell(SERVER, "basename $(readlink /run/shop/current.sock) .sock")
    ratings = {
        unit: rating(SERVER, unit) for unit in (f"shop@{slot}.service", "shop-worker.service", "shop-tidy.service")
    }
    print(SUITE, shell(SERVER, "systemctl --version | head -n 1"), ratings)
    assert max(ratings.values()) <= 1.5, ratings
    shell(SERVER, "systemctl start shop-tidy; supervisorctl start talk-tidy; sleep 2")
    for app in (SHOP, TALK):
        shell(SERVER, f"cd /srv/{app}/shared && ls migrated before tidied")


def test_releases_change_under_load_and_back_and_forth(site: Site) -> None:
    old = served(SHOP)
    with load(ADDRESS, f"shop.{SERVER}.test", 600) as one, load(ADDRESS, f"talk.{SERVER}.test", 600) as other:
        new = site.commit("second")
        site("deploy")
        assert (served(SHOP), served(TALK)) == (new, new)
        site("rollback")
        assert (served(SHOP), served(TALK)) == (old, old)
        site("restart")
        assert (served(SHOP), served(TALK)) == (old, old)
        third = site.commit("third")
        site("deploy", "--hold")
        assert (served(SHOP), served(TALK)) == (old, old)
        site("promote")
        assert (served(SHOP), served(TALK)) == (third, third)
    assert (one.lost(), other.lost(), one.requests > 50, other.requests > 50) == ([], [], True, True)
    for app in (SHOP, TALK):
        words = [*site.controller.command("run", SERVER, "--app", app), "--", "printenv", "PROVISION_COMMIT"]
        ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
        assert ran.stdout.split()[-1:] == [third], ran.stderr
    print(f"{SUITE}: {one.requests + other.requests} requests, none lost")


def test_a_reboot_brings_back_what_served(site: Site) -> None:
    before = served(SHOP)
    lab.reboot(SERVER)
    shell(
        SERVER,
        "for _ in $(seq 60); do if supervisorctl status | grep -q 'talk-.*_0 *RUNNING'; then break; fi; sleep 0.5; done; sleep 2",
    )
    assert (served(SHOP), served(TALK)) == (before, before)
    site("verify")


def test_an_app_goes_and_then_all_of_the_toolkit(site: Site) -> None:
    site("remove", "--app", TALK, "--yes")
    assert (served(SHOP) != "", served(TALK)) == (True, "")
    assert shell(SERVER, "supervisorctl status || true") == ""
    assert "data" in shell(SERVER, "ls /srv/talk/shared")
    site("remove", "--with-data", SERVER, "--yes")
    assert changed(SERVER, site.before) == ""
