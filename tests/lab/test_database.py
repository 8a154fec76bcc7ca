"""An app with a PostgreSQL database, by the inventory alone, on a real server."""

import time
from pathlib import Path

import pytest
import yaml

from provision import lab
from tests.lab.conftest import Controller, https, shell
from tests.lab.database_app import MAIN, WANTED, Make, ask, visit
from tests.lab.load import load
from tests.lab.refusals import ADDRESS, APP, DOMAIN, SERVER
from tests.lab.repository import Repository

pytest_plugins = ("tests.lab.database_app",)


@pytest.mark.long
def test_settings_that_postgresql_does_not_start_with_are_taken_back(make: Make) -> None:
    answer = make({"parameters": {"shared_buffers": "1000GB"}})("deploy", SERVER, "--json")
    assert answer.host(SERVER)["error"].startswith("PostgreSQL does not start with the new settings"), answer.stdout
    assert ask("show shared_buffers") == ["128MB"]


def test_the_first_deploy_makes_it_and_the_next_changes_nothing(make: Make) -> None:
    answer = make().deploy(SERVER)
    assert f"database:{APP}" in answer.changed(SERVER)
    assert [visit("-X", "POST") for _ in range(3)] == ["1", "2", "3"]
    assert https(SERVER, "/parts", DOMAIN).stdout == f'["/run/postgresql","{APP}@{APP}","{{other}}"]'
    assert https(SERVER, "/composed", DOMAIN).stdout == f'"{APP}"'
    again = make()("deploy", SERVER, "--json").host(SERVER)
    assert (again["changed"], again["execs"]) == (0, 2)
    assert make()("verify", SERVER, "--json", "--only", "database").failing(SERVER) == set()


def test_postgresql_is_set_up_by_the_servers_memory_from_the_start(make: Make) -> None:
    """Without waiting for a restart: half of the memory is what it plans with, and a quarter of that its own cache."""
    memory = int(shell(SERVER, "awk '/^MemTotal/ { print $2 }' /proc/meminfo")) // 1024
    (cache,) = ask("select setting::int / 128 from pg_settings where name = 'shared_buffers' and not pending_restart")
    assert abs(int(cache) - memory // 8) < memory // 80
    assert ask("select count(*) > 0 from pg_stat_statements") == ["t"]
    assert "100" in ask("show max_connections")


def test_a_setting_of_the_inventorys_is_set_at_once_or_waits_and_is_reset_without_it(make: Make) -> None:
    wanted = {"parameters": {"work_mem": "7MB", "max_connections": 140}}
    answer = make(wanted).deploy(SERVER)
    assert answer.changed(SERVER) == ["settings:postgresql"]
    assert ask("show work_mem") == ["7MB"]
    assert ask("show max_connections") == ["100"], "apps have data: their connections stay"
    (said,) = make(wanted)("plan", SERVER, "--json").host(SERVER)["warnings"]
    assert said.startswith("PostgreSQL has not taken over max_connections yet"), said
    wrong = make({"parameters": {"work_mem": "7MB", "wal_level": "tiny"}})("deploy", SERVER, "--json")
    assert wrong.host(SERVER)["error"].startswith("PostgreSQL refuses wal_level, and its settings stay as they are")
    assert ask("select name from pg_file_settings where name = 'wal_level'") == []
    shell(SERVER, "cd /; runuser -u postgres -- psql -qc 'alter system set random_page_cost = 9'")
    answer = make().deploy(SERVER)
    assert answer.changed(SERVER) == ["settings:postgresql"]
    assert make().plan(SERVER).status == 0
    assert "7MB" not in ask("show work_mem")


def test_a_plan_warns_where_pools_are_larger_than_postgresql_allows(make: Make) -> None:
    large = make(database={"engine": "postgresql", "extensions": ["pg_trgm"], "pool": 60})
    said = next(each for each in large("plan", SERVER, "--json").host(SERVER)["warnings"] if "connections" in each)
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


@pytest.mark.long
def test_an_app_with_another_name_has_the_same_database(make: Make, repository: Repository) -> None:
    before = int(visit())
    values = WANTED | {"source": repository.url, "module": "main:app", "domains": [DOMAIN], "workers": 1}

    def named(name: str, old: str, **changes: object) -> Controller:
        top = yaml.safe_load(make().inventory.read_text())
        path = make().inventory.with_name("renamed.yml")
        path.write_text(yaml.safe_dump(top | {"apps": {name: values | {"renamed_from": old} | changes}}))
        return Controller(path)

    sick = named("visitors", APP, health={"path": "/nowhere", "timeout": 5})("deploy", SERVER, "--json")
    assert (sick.status, visit()) == (1, str(before)), "the old app has its database back, and serves"
    with load(ADDRESS, DOMAIN, 60) as seen:
        named("visitors", APP).deploy(SERVER)
    assert (seen.failed, visit()) == (0, str(before))
    assert visit("-X", "POST").isdigit()
    owned = "select datname || '=' || pg_get_userbyid(datdba) from pg_database where not datistemplate and datname not in ('other', 'postgres')"
    assert ask(owned) == ["visitors=visitors"]
    again = named("visitors", APP)("deploy", SERVER, "--json").host(SERVER)
    assert (again["changed"], again["execs"]) == (0, 2)
    named(APP, "visitors").deploy(SERVER)
    assert (ask(owned), int(visit()) > before) == ([f"{APP}={APP}"], True)


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
