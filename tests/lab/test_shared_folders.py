"""An app that writes to folders of its own, which are links into its shared folder, on a real server."""

import json
from typing import Any

import pytest
import yaml

from provision import lab
from tests.lab.conftest import SUITE, Controller, https, shell
from tests.lab.refusals import APP, DOMAIN, SERVER, Declared, refused, untouched
from tests.lab.repository import Repository

pytest_plugins = ("tests.lab.refusals",)

MAIN = """\
import os
import sqlite3

from fastapi import FastAPI

# A number that tells commits apart: 1.
os.makedirs("logs", exist_ok=True)
with open("logs/starts.log", "a") as log:
    log.write("start\\n")
with sqlite3.connect("data/app.db") as database:
    database.execute("pragma journal_mode = wal")
    database.execute("create table if not exists visits (release text)")
app = FastAPI()


@app.get("/health")
@app.get("/")
def good() -> str:
    return "good"


@app.get("/visits")
def visits() -> list[str]:
    with sqlite3.connect("data/app.db") as database:
        database.execute("insert into visits values (?)", [os.environ["PROVISION_RELEASE"]])
        return [release for (release,) in database.execute("select release from visits order by rowid")]
"""
LINKS = ["data", "logs", "media/uploads"]
SHARED = f"/srv/{APP}/shared"


@pytest.fixture(scope="module")
def declared(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Declared:
    """Inventories for the app, on a server that was bare."""
    repository.commit({"main.py": MAIN, "data/.gitkeep": "", "media/uploads/.gitignore": "*\n"})
    lab.reset(SERVER, SUITE, used=True)
    return Declared(tmp_path_factory.mktemp("inventory"), repository)


def make(declared: Declared, shared: list[str] | None = None, **changes: Any) -> Controller:
    """An inventory in which these folders are links."""
    return declared(
        {"python": "system", "health": {"watch": 0}, "shared": LINKS if shared is None else shared, **changes}
    )


def visits() -> list[str]:
    """The releases that were asked so far, as the one that serves says, which is the last."""
    found: list[str] = json.loads(https(SERVER, "/visits", DOMAIN).stdout)
    return found


def current() -> str:
    """The active release."""
    return shell(SERVER, f"readlink /srv/{APP}/current").strip().rpartition("/")[2]


def test_what_an_app_writes_outlives_two_deploys_and_a_rollback(declared: Declared) -> None:
    """The plan says it, the second run changes nothing, and root owns no more than the links."""
    planned = make(declared).plan(SERVER).host(SERVER)["changes"]
    (said,) = (one["summary"] for one in planned if one["id"] == f"release:{APP}")
    assert said.endswith(", with data, logs, media/uploads in shared/")
    make(declared).deploy(SERVER)
    again = make(declared)("deploy", SERVER, "--json").host(SERVER)
    assert (again["changed"], again["execs"]) == (0, 2)
    tree = f"/srv/{APP}/current"
    for name in LINKS:
        assert shell(SERVER, f"readlink {tree}/{name}; stat -c '%U %a' {SHARED}/{name}").split() == [
            f"{SHARED}/{name}",
            APP,
            "700",
        ]
    first = current()
    assert visits() == [first]
    declared.repository.commit({"main.py": MAIN.replace("apart: 1", "apart: 2")})
    make(declared).deploy(SERVER)
    second = current()
    assert visits() == [first, second]
    assert make(declared)("rollback", SERVER, "--json").status == 0
    assert (current(), visits()) == (first, [first, second, first])
    assert shell(SERVER, f"sort -u {SHARED}/logs/starts.log") == "start"
    make(declared).deploy(SERVER)
    assert current() == second


@pytest.mark.long
def test_a_link_that_a_hand_removed_or_replaced_is_put_back(declared: Declared) -> None:
    tree = f"/srv/{APP}/current"
    for spoil in (f"rm {tree}/logs", f"rm {tree}/logs && mkdir {tree}/logs", f"ln -sfn /etc {tree}/media/uploads"):
        shell(SERVER, spoil)
        assert f"release:{APP}" in make(declared).deploy(SERVER).changed(SERVER)
        assert make(declared).plan(SERVER).status == 0
        assert shell(SERVER, f"readlink {tree}/logs {tree}/media/uploads").split() == [
            f"{SHARED}/logs",
            f"{SHARED}/media/uploads",
        ]


def test_a_commit_with_files_in_such_a_folder_is_refused_in_the_plan(declared: Declared) -> None:
    declared.repository.commit({"data/seed.json": "{}"}, "tracked")
    with untouched():
        error = refused(make(declared)("plan", SERVER, "--json", "--revision", "tracked"))
    assert error == (
        f"{APP}: the commit has data/seed.json in data, which is a link into shared/ (shared): remove it from the repository"
        " (git rm -r --cached data), and what the app needs from the start goes into another folder"
    )


@pytest.mark.long
def test_another_list_is_another_release_and_each_keeps_its_own(declared: Declared) -> None:
    before = current()
    make(declared, [*LINKS, "cache"]).deploy(SERVER)
    assert current() != before
    assert shell(SERVER, f"readlink /srv/{APP}/current/cache") == f"{SHARED}/cache"
    make(declared).deploy(SERVER)
    assert current() == before
    assert shell(SERVER, f"ls -d /srv/{APP}/current/cache 2>/dev/null || true") == ""


@pytest.mark.long
def test_a_folder_that_the_app_cannot_have_is_one_line(declared: Declared) -> None:
    """A file of the app's where the folder would be: nothing is switched, and what is there stays."""
    shell(SERVER, f"runuser -u {APP} -- touch {SHARED}/taken")
    error = refused(make(declared, [*LINKS, "taken"])("deploy", SERVER, "--json"))
    assert error.startswith(f"{APP}: a folder of apps.{APP}.shared cannot be made: mkdir: cannot create directory")
    assert f"{SHARED}/taken" in error
    shell(SERVER, f"test -f {SHARED}/taken && rm {SHARED}/taken")
    make(declared).deploy(SERVER)


@pytest.mark.long
def test_folders_that_are_gone_are_made_again_before_anything_runs(declared: Declared) -> None:
    """As after a restore of a snapshot that is older than the key."""
    shell(SERVER, f"rm -r {SHARED}/media")
    answered = make(declared)("restart", SERVER, "--json")
    assert answered.status == 0, answered.stdout
    assert shell(SERVER, f"stat -c %U {SHARED}/media/uploads") == APP
    writes: dict[str, Any] = {"migrate": "touch data/migrated", "hooks": {"before": "touch media/uploads/hooked"}}
    make(declared, **writes).deploy(SERVER)
    shell(SERVER, f"rm -r {SHARED}")
    make(declared, **writes).deploy(SERVER)
    assert shell(SERVER, f"ls {SHARED}/data/migrated {SHARED}/media/uploads/hooked | wc -l") == "2"


@pytest.mark.long
def test_an_app_with_another_name_takes_over_what_is_in_its_folders(declared: Declared) -> None:
    """Of the folders that were made for its check, those that stayed empty are not kept aside as data."""
    before = visits()
    path = make(declared).inventory
    content = yaml.safe_load(path.read_text())
    content["apps"] = {"renamed": content["apps"][APP] | {"renamed_from": APP}}
    path.write_text(yaml.safe_dump(content))
    Controller(path).deploy(SERVER)
    release = shell(SERVER, "readlink /srv/renamed/current").rpartition("/")[2]
    assert visits() == [*before, release]
    kept = shell(SERVER, "find /srv/renamed/shared-* -mindepth 1 -type d -printf '%P '").split()
    assert {*kept} == {"data", "logs"}
