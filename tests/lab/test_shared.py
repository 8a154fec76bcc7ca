"""Backups of an app's shared folder, SQLite databases in it, and that they can be restored, on a real server."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from provision import lab
from tests.lab.conftest import SUITE, Answer, Controller, https, shell
from tests.lab.refusals import APP, DOMAIN, SERVER, Declared
from tests.lab.repository import Repository

pytest_plugins = ("tests.lab.refusals",)

CANARY = "kanarie-of-the-shared-9012"
BACKUPS = {"repository": "/srv/backups", "passphrase": CANARY}
SHARED = f"/srv/{APP}/shared"
MAIN = """\
import functools
import os
import sqlite3

from fastapi import FastAPI

app = FastAPI()


@functools.cache
def database():
    os.makedirs("SHARED/data", exist_ok=True)
    opened = sqlite3.connect("SHARED/data/visits.db", check_same_thread=False, isolation_level=None, timeout=60)
    opened.execute("pragma journal_mode = wal")
    opened.execute("create table if not exists visits (id integer primary key, text)")
    return opened


@app.get("/health")
def health():
    return database().execute("select 1").fetchone()[0]


@app.post("/visits")
def visit():
    return database().execute("insert into visits (text) values (hex(randomblob(500)))").lastrowid


@app.get("/visits")
def visits():
    return database().execute("select count(*) from visits").fetchone()[0]
""".replace("SHARED", SHARED)
Make = Callable[..., Controller]


@pytest.fixture(scope="module")
def make(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Inventories for the app, on a server that was bare."""
    repository.commit({"main.py": MAIN, "requirements.txt": "fastapi==0.165.0\n"})
    lab.reset(SERVER, SUITE, used=True)
    declared = Declared(tmp_path_factory.mktemp("inventory"), repository)

    def controller(**changes: Any) -> Controller:
        return declared({"python": "system"}, backups=BACKUPS | changes)

    return controller


def visit(*options: str) -> str:
    """What the site says of its visits."""
    return https(SERVER, "/visits", DOMAIN, *options).stdout


def visits(count: int) -> list[str]:
    """So many visits, each a row with the next number."""
    return [visit("-X", "POST") for _ in range(count)]


def state(controller: Controller) -> dict[str, Any]:
    """What status says of the backups."""
    said: dict[str, Any] = controller("status", SERVER, "--json").host(SERVER)["backups"]
    return said


def good(answer: Answer) -> Answer:
    assert answer.status == 0, answer.stdout + answer.stderr
    return answer


def as_app(command: str) -> str:
    """What a command prints that the app's user runs."""
    return shell(SERVER, f"cd {SHARED}; runuser -u {APP} -- sh -c '{command}'")


def test_the_first_deploy_makes_a_repository_and_the_next_changes_nothing(make: Make) -> None:
    answer = make().deploy(SERVER)
    assert {"packages:shared-backups", "repository:shared"} <= {*answer.changed(SERVER)}
    again = make()("deploy", SERVER, "--json").host(SERVER)
    assert (again["changed"], again["execs"]) == (0, 2), again
    assert visits(3) == ["1", "2", "3"]
    as_app("mkdir -p up; echo picture >up/one; ln -s /etc/shadow up/link; mkfifo up/pipe; chmod 640 up/one")
    good(make()("backup", SERVER, "--full"))
    listed = good(make()("backups", SERVER, "--json")).host(SERVER)["backups"]
    assert [each["of"] for each in listed][-1] == f"{APP}/shared", listed
    assert listed[-1]["kind"] == "full"
    assert listed[-1]["size"] > 0
    assert state(make())["wrong"] == []


def test_a_snapshot_is_restored_in_place_with_its_databases_and_what_there_was_is_kept(make: Make) -> None:
    moment = datetime.now(UTC)
    time.sleep(1.1)
    newer = visits(4)[-1]
    as_app("echo other >up/one; rm up/link")
    good(make()("backup", SERVER))
    good(make()("restore", SERVER, "--app", APP, "--at", moment.isoformat(), "--json"))
    assert visit() == "3"
    assert as_app("cat up/one; stat -c %a up/one; readlink up/link") == "picture\n640\n/etc/shadow"
    assert (
        shell(SERVER, f"stat -c '%U:%G %a' {SHARED} {SHARED}/up/one {SHARED}/data/visits.db").split("\n")[0]
        == f"{APP}:{APP} 750"
    )
    (kept,) = shell(SERVER, f"ls -d {SHARED}.*").split()
    assert shell(SERVER, f"sqlite3 {kept}/data/visits.db 'select count(*) from visits'") == newer
    assert make().plan(SERVER).status == 0
    assert visits(1) == ["4"]
    discarded = good(make()("restore", SERVER, "--app", APP, "--discard", "--json"))
    assert discarded.changed(SERVER) == [f"kept-shared:{APP}"]
    assert shell(SERVER, f"ls /srv/{APP}").split().count("shared") == 1
    assert shell(SERVER, f"ls -d {SHARED}.* 2>/dev/null || true") == ""


def test_a_drill_is_noted_and_leaves_nothing(make: Make) -> None:
    good(make()("backup.drill", SERVER))
    found = state(make())
    assert found["wrong"] == [], found
    assert found["shared"]["drill_seconds"] >= 0
    assert shell(SERVER, "ls -A /var/lib/provision/shared-scratch") == ""
    assert make()("verify", SERVER, "--json", "--only", "backups").failing(SERVER) == set()
