"""An app with a PostgreSQL database, by the inventory alone, on a real server."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from provision import lab
from tests.lab.conftest import SUITE, Controller, https, shell
from tests.lab.load import load
from tests.lab.refusals import ADDRESS, APP, DOMAIN, SERVER, Declared
from tests.lab.repository import Repository

pytest_plugins = ("tests.lab.refusals",)

MAIN = """\
import os

import psycopg
from fastapi import FastAPI

app = FastAPI()
VERSION = "first"


def ask(sql):
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        return connection.execute(sql).fetchone()[0]


@app.get("/health")
def health():
    return ask("select 1")


@app.get("/commit")
def commit():
    ask("select count(*) from visits")
    return os.environ["PROVISION_COMMIT"]


@app.get("/version")
def version():
    return VERSION


@app.get("/parts")
def parts():
    return [os.environ[name] for name in ("SERVER", "WHO", "SAID")]


@app.post("/visits")
def visit():
    return ask("insert into visits default values returning id")


@app.get("/visits")
def visits():
    return ask("select count(*) from visits")
"""
MIGRATE = """\
import os

import psycopg

with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    connection.execute("create table if not exists visits (id serial primary key)")
    connection.execute("select similarity('word', 'words')")
"""
WANTED = {
    "python": "system",
    "database": {"engine": "postgresql", "extensions": ["pg_trgm"]},
    "environment": {"SERVER": "{database.host}", "WHO": "{database.user}@{database.name}", "SAID": "{other}"},
    "migrate": "python migrate.py",
    "health": {"watch": 0},
}
Make = Callable[..., Controller]


@pytest.fixture(scope="module")
def make(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Inventories for the app, on a server that was bare."""
    requirements = "fastapi==0.165.0\npsycopg[binary]\n"
    repository.commit({"main.py": MAIN, "migrate.py": MIGRATE, "requirements.txt": requirements})
    lab.reset(SERVER, SUITE, used=True)
    declared = Declared(tmp_path_factory.mktemp("inventory"), repository)
    return lambda **changes: declared(WANTED | changes)


def visit(*options: str) -> str:
    """What the site says of its visits."""
    return https(SERVER, "/visits", DOMAIN, *options).stdout


def test_the_first_deploy_makes_it_and_the_next_changes_nothing(make: Make) -> None:
    answer = make().deploy(SERVER)
    assert f"database:{APP}" in answer.changed(SERVER)
    assert [visit("-X", "POST") for _ in range(3)] == ["1", "2", "3"]
    assert https(SERVER, "/parts", DOMAIN).stdout == f'["/run/postgresql","{APP}@{APP}","{{other}}"]'
    again = make()("deploy", SERVER, "--json").host(SERVER)
    assert (again["changed"], again["execs"]) == (0, 2)
    assert make()("verify", SERVER, "--json", "--only", "database").failing(SERVER) == set()


def test_a_plan_warns_where_pools_are_larger_than_postgresql_allows(make: Make) -> None:
    large = make(database={"engine": "postgresql", "extensions": ["pg_trgm"], "pool": 60})
    (said,) = (each for each in large("plan", SERVER, "--json").host(SERVER)["warnings"] if "connections" in each)
    assert said.startswith(
        f"PostgreSQL allows 97 connections, and during a deploy the apps keep up to 120 ({APP} 120)"
    ), said
    assert make()("plan", SERVER, "--json").host(SERVER)["warnings"] == []


def test_another_release_has_the_data_and_no_request_fails(make: Make, repository: Repository) -> None:
    repository.commit({"main.py": MAIN.replace('"first"', '"second"')})
    with load(ADDRESS, DOMAIN, 60) as seen:
        make().deploy(SERVER)
    assert (seen.failed, seen.failures[:3]) == (0, [])
    assert https(SERVER, "/version", DOMAIN).stdout == '"second"'
    assert visit() == "3"


def test_no_other_user_of_the_server_gets_in(make: Make) -> None:
    for user, name in (("nobody", APP), ("admin", APP), ("nobody", "nobody")):
        asks = f"cd /; ! runuser -u {user} -- psql -h /run/postgresql -U {name} -d {APP} -c 'select 1'"
        assert "FATAL" in shell(SERVER, f"{asks} 2>&1")
    shell(SERVER, "cd /; runuser -u postgres -- psql -c 'create role admin login'")
    said = shell(SERVER, f"cd /; ! runuser -u admin -- psql -h /run/postgresql -d {APP} -c 'select 1' 2>&1")
    assert "permission denied for database" in said
    shell(SERVER, "cd /; runuser -u postgres -- psql -c 'drop role admin'")


@pytest.mark.parametrize("fault", ["postmaster killed", "power cut"])
def test_it_comes_back_by_itself_with_all_that_was_said_to_be_written(make: Make, fault: str) -> None:
    before = int(visit("-X", "POST"))
    if fault == "power cut":
        lab.kill(SERVER)
        lab.start(SERVER)
    else:
        shell(SERVER, "kill -9 $(head -n 1 /var/lib/postgresql/*/main/postmaster.pid)")
    deadline = time.monotonic() + 60
    while not (after := visit("-X", "POST")).isdigit():
        assert time.monotonic() < deadline, after
        time.sleep(0.5)
    assert int(after) > before
    assert make().plan(SERVER).status == 0


def test_what_a_hand_changed_is_put_right_and_a_database_of_somebody_elses_is_refused(make: Make) -> None:
    hand = f"grant connect on database {APP} to public; create database other; create role other login"
    for sql in hand.split("; "):
        shell(SERVER, f"cd /; runuser -u postgres -- psql -qc '{sql}'")
    assert make().deploy(SERVER).changed(SERVER) == [f"database:{APP}"]
    shell(SERVER, f"cd /; runuser -u postgres -- psql -qc 'alter database {APP} owner to other'")
    error = make()("deploy", SERVER, "--json").host(SERVER)["error"]
    assert error.startswith(f"{APP}: PostgreSQL has a database of this name that belongs to other")
    shell(SERVER, f"cd /; runuser -u postgres -- psql -qc 'alter database {APP} owner to {APP}'")
    assert make().plan(SERVER).status == 0


def test_what_the_app_puts_into_its_database_is_not_run_by_the_superuser(make: Make) -> None:
    evil = (
        "create schema evil; create table public.ran (who name); grant all on public.ran to public; create function evil.note() returns text"
        " language sql as $$ insert into public.ran values (current_user) returning who::text $$;"
        " create view evil.pg_extension as select evil.note()::name as extname;"
        f" alter database {APP} set search_path = evil, public, pg_catalog"
    )
    shell(SERVER, f"cd /; runuser -u {APP} -- psql -qXd {APP} <<'END'\n{evil}\nEND")
    ran = f"cd /; runuser -u {APP} -- psql -XAtqd {APP} -c 'select who from public.ran'"
    shell(SERVER, f"cd /; runuser -u postgres -- psql -qXd {APP} -c 'select extname from pg_extension'")
    assert shell(SERVER, ran) == "postgres", "whoever looks without care is caught"
    shell(SERVER, f"cd /; runuser -u {APP} -- psql -qXd {APP} -c 'truncate public.ran'")
    shell(SERVER, f"cd /; runuser -u postgres -- psql -qXd {APP} -c 'drop extension pg_trgm'")
    assert make().deploy(SERVER).changed(SERVER) == [f"database:{APP}"]
    assert make().plan(SERVER).status == 0
    assert shell(SERVER, ran) == ""
    undo = ("drop schema evil cascade", f"alter database {APP} reset search_path")
    for sql in undo:
        shell(SERVER, f"cd /; runuser -u {APP} -- psql -qXd {APP} -c '{sql}'")


def test_it_goes_with_the_apps_data_alone(make: Make, tmp_path: Path) -> None:
    listed = (
        "cd /; runuser -u postgres -- psql -XAtc 'select datname from pg_database union select rolname from pg_roles'"
    )
    assert make()("remove", SERVER, "--app", APP, "--yes", "--json").status == 0
    assert APP in shell(SERVER, listed).split()
    before = make().deploy(SERVER)
    assert f"database:{APP}" not in before.changed(SERVER)
    assert int(visit("-X", "POST")) > 3
    removed = make()("remove", SERVER, "--app", APP, "--with-data", APP, "--yes", "--json")
    assert removed.status == 0, removed.stdout
    left = shell(SERVER, listed).split()
    assert (APP in left, "other" in left) == (False, True)
