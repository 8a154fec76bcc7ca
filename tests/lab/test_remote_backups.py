"""Backups of a database whose app is on another host, and that it can be restored, on two real servers."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision import lab
from tests.lab.conftest import LAB, SUITE, Answer, Controller, https, shell
from tests.lab.database_app import MAIN, MIGRATE
from tests.lab.refusals import lab_values
from tests.lab.repository import Repository
from tests.lab.test_database_host import ADDRESS, APP, DB, LOGIN, WANTED, WEB, ask, visit

BACKUPS = {"repository": "/srv/backups", "passphrase": "kanarie-of-the-remote-3456"}
# A second server of the app's.
SECOND = os.environ.get("PROVISION_TEST_PAIR", "lab1,lab2,lab3").split(",")[2:]
OWNED = "/var/lib/postgresql/owned"
Make = Callable[..., Controller]
"""Makes an inventory whose drill asks the database this query, in which the app has a second server, or not."""


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Inventories for the app and its database, on two servers that were bare."""
    repository = Repository.create("remotebackups", tmp_path_factory.mktemp("remote") / "work")
    repository.commit(
        {"main.py": MAIN, "migrate.py": MIGRATE, "requirements.txt": "fastapi==0.165.0\npsycopg[binary]\n"}
    )
    for server in (DB, WEB):
        lab.reset(server, SUITE, used=True)
    folder = tmp_path_factory.mktemp("inventory")

    def written(check: str = "select count(*) from visits", second: bool = False) -> Controller:
        content = lab_values()
        database = {"host": "db1", "extensions": ["pg_trgm"], "check": check}
        apps = {APP: WANTED | {"source": repository.url, "database": database}}
        web, db, *more = (content["hosts"][one] for one in (WEB, DB, *SECOND[:second]))
        domains = [f"remote.{each}.test" for each in SECOND]
        content["hosts"] = {
            f"web{number}": one | {"apps": {APP: apps[APP] | {"domains": domains}}, "groups": ["both"]}
            for number, one in enumerate(more, 2)
        } | {
            "web1": web | {"apps": apps, "groups": ["both"]},
            "db1": db | {"roles": ["base"], "groups": ["both"], "hardening": {"firewall": True}},
        }
        path = folder / "remote.yml"
        path.write_text(yaml.safe_dump(content | {"backups": BACKUPS}, sort_keys=False))
        return Controller(path)

    yield written
    repository.remove()


def good(answer: Answer) -> Answer:
    assert answer.status == 0, answer.stdout + answer.stderr
    return answer


def state(controller: Controller) -> dict[str, Any]:
    """What status says of the backups on the database's host."""
    said: dict[str, Any] = good(controller("status", "db1", "--json")).host("db1")["backups"]
    return said


def restored(controller: Controller, *options: str, host: str = "db1") -> Answer:
    return good(controller("restore", host, "--app", APP, *options, "--json"))


def visits(count: int) -> str:
    """So many visits; the number of the last."""
    return [visit() for _ in range(count)][-1]


def rows(database: str = APP) -> str:
    return ask("select max(id) from visits", database)[0]


def as_app(sql: str) -> str:
    """What the database answers the app, from its own server."""
    shell(WEB, f"cat >/root/asked.sql <<'END'\n{sql}\nEND\nchmod 644 /root/asked.sql")
    known = f"PGPASSWORD=$(cat /etc/{APP}/database.login) PGSSLMODE=verify-full PGSSLROOTCERT=/etc/{APP}/database.crt"
    words = f"psql -XAtq -v ON_ERROR_STOP=1 -h {ADDRESS} -U {LOGIN} -d {APP}"
    return shell(WEB, f"cd /; {known} runuser -u {APP} -- {words} </root/asked.sql")


def test_the_host_of_the_database_archives_it_and_the_next_deploy_changes_nothing(make: Make) -> None:
    answer = make().deploy("both")
    assert {"packages:backups", "archive:postgresql"} <= {*answer.changed("db1")}
    assert not {"packages:backups", "archive:postgresql"} & {*answer.changed("web1")}
    again = make().deploy("both")
    assert [(again.host(one)["changed"], again.host(one)["execs"]) for one in ("db1", "web1")] == [(0, 2), (0, 2)]
    visits(3)
    good(make()("backup", "db1"))
    assert next(one["of"] for one in good(make()("backups", "db1", "--json")).host("db1")["backups"]) == "PostgreSQL"
    assert "databases backed up" in good(make()("backup", "both")).stdout
    assert state(make())["last"]


def test_a_second_in_the_middle_is_restored_with_exactly_the_rows_until_then(make: Make) -> None:
    before = visits(3)
    time.sleep(1.1)
    moment = datetime.now(UTC).isoformat()
    time.sleep(1.1)
    after = visits(3)
    planned = good(make()("restore", "db1", "--app", APP, "--at", moment, "--plan", "--json")).host("db1")["changes"]
    assert [each["id"] for each in planned] == [f"restored-database:{APP}"]
    answer = restored(make(), "--at", moment)
    assert rows() == before
    (kept,) = ask(f"select datname from pg_database where datname like '{APP}_before_%'")
    assert rows(kept) == after
    assert "for web1, begins with new ones" in answer.stdout + answer.stderr
    assert ask("select distinct pg_get_userbyid(relowner) from pg_class where relname ~ '^visits'", APP) == [APP]
    assert int(visits(1)) > int(before)
    assert make().deploy("both").host("db1")["changed"] == 0
    assert restored(make(), "--discard").changed("db1") == [f"kept-databases:{APP}"]
    assert restored(make(), "--discard").changed("db1") == []


def test_the_apps_host_alone_says_which_one_to_name(make: Make) -> None:
    answer = make()("restore", "web1", "--app", APP, "--json")
    assert answer.status == 1
    assert answer.host("web1")["error"].startswith(f"web1: the database of {APP} is on db1")


@pytest.mark.long
def test_both_together_restore_the_database_and_then_the_app_starts_anew(make: Make) -> None:
    newest = visits(2)
    shell(WEB, f"cd /; runuser -u {APP} -- sh -c 'echo kept >/srv/{APP}/shared/file'")
    good(make()("backup", "both"))
    shell(WEB, f"rm /srv/{APP}/shared/file")
    answer = restored(make(), host="both")
    assert f"restored-database:{APP}" in answer.changed("db1")
    assert any(each.startswith("activation:") or "slot" in each for each in answer.changed("web1")), answer.changed(
        "web1"
    )
    assert (rows(), shell(WEB, f"cat /srv/{APP}/shared/file")) == (newest, "kept")
    assert int(visits(1)) > int(newest)
    assert "begins with new ones" not in answer.stdout + answer.stderr
    only = restored(make(), "--only", "shared", host="both")
    assert only.changed("db1") == []
    restored(make(), "--discard", host="both")


@pytest.mark.long
def test_it_is_restored_beside_from_a_backup_and_not_to_before_a_migration(make: Make) -> None:
    backed_up = visits(2)
    good(make()("backup", "db1"))
    newest = visits(2)
    last = good(make()("backups", "db1", "--json")).host("db1")["backups"][-1]["id"]
    restored(make(), "--backup", last, "--into", "older")
    restored(make(), "--into", "beside")
    assert (rows("older"), rows("beside"), rows()) == (backed_up, newest, newest)
    release = shell(WEB, f"basename $(readlink /srv/{APP}/current)")
    answer = make()("restore", "db1", "--app", APP, "--before", release, "--json")
    assert "no point before a migration is noted" in answer.host("db1")["error"]
    restored(make(), "--discard")
    assert (
        ask(f"select datname from pg_database where datname not in ('{APP}', 'postgres') and not datistemplate") == []
    )


def test_a_drill_asks_as_the_app_and_leaves_nothing(make: Make) -> None:
    good(make()("backup.drill", "db1"))
    found = state(make())
    assert (found["wrong"], found["drill_seconds"] > 0) == ([], True), found
    assert shell(DB, "ls -A /var/lib/provision/scratch") == ""
    assert shell(DB, f"getent passwd {APP} || true") == ""
    checked = make()("verify", "both", "--json", "--only", "backups or database")
    assert [checked.failing(one) for one in ("db1", "web1")] == [set(), set()]


@pytest.mark.long
def test_a_drill_that_finds_nothing_is_red(make: Make) -> None:
    for check, said in (
        ("select count(*) from visits where id < 0", 'database.check answers "0" on the restored database'),
        ("select session_user::text = 'postgres'", 'database.check answers "f" on the restored database'),
    ):
        good(make(check)("provision", "db1", "--json"))
        assert make(check)("backup.drill", "db1").status == 1
        (wrong,) = state(make(check))["wrong"]
        assert said in wrong
    good(make()("provision", "db1", "--json"))
    good(make()("backup.drill", "db1"))


@contextmanager
def clients_watched() -> Iterator[set[str]]:
    """As which users PostgreSQL's clients run that put something into a database."""
    seen: set[str] = set()
    loop = (
        "while :; do for each in /proc/[0-9]*; do case $(cat $each/comm 2>/dev/null) in"
        " pg_restore|vacuumdb) stat -c %U $each >>/root/seen ;; esac; done; done"
    )
    shell(DB, f"rm -f /root/seen; systemd-run --quiet --unit=watching sh -c '{loop}'")
    try:
        yield seen
    finally:
        shell(DB, "systemctl stop watching")
        seen.update(shell(DB, "sort -u /root/seen 2>/dev/null || true").split())


def test_what_an_app_has_put_into_its_database_is_run_by_nobody_else(make: Make) -> None:
    """What fits better than amcheck's own functions, what runs while rows are copied, what a drill asks, and settings with which nobody gets far."""
    ask("create extension amcheck schema public", APP)
    harm = f"begin copy (select 1) to program 'cat >{OWNED}'; exception when insufficient_privilege then null; end;"
    functions = {
        "verify_heapam(relation oid, on_error_stop bool, check_toast bool, skip text)": "table(blkno int8, offnum int, attnum int, msg text)",
        "bt_index_check(index oid, heapallindexed bool)": "void",
    }
    text = "create table said (who name, was name);"
    text += f"create function noted(int) returns bool language plpgsql as $$begin insert into public.said values (session_user, current_user); perform pg_sleep(1); {harm} return true; end$$;"
    text += f"create function asked() returns int language plpgsql as $$begin {harm} return 1; end$$;"
    text += "create table noticed (id int check (noted(id))); insert into noticed values (1);"
    text += "".join(
        f"create function public.{one} returns {type_} language plpgsql as $$begin {harm} end$$;"
        for one, type_ in functions.items()
    )
    settings = ("statement_timeout = 100", f"role = {APP}", "default_transaction_read_only = on")
    as_app(f"set role {APP}; {text}")
    as_app("".join(f"alter database {APP} set {each};" for each in settings))
    try:
        hostile = make("select asked()")
        good(hostile("provision", "db1", "--json"))
        good(hostile("backup", "db1"))
        good(hostile("backup.drill", "db1"))
        with clients_watched() as seen:
            restored(hostile)
        assert seen - {"UNKNOWN"} == {APP}, "a user that went while it was looked at has no name"
        assert sorted(ask("select distinct who || ' ' || was from said", APP)) == [f"{APP} {APP}", f"{LOGIN} {APP}"]
        assert shell(DB, f"ls {OWNED} 2>/dev/null || true") == ""
        assert shell(DB, f"getent passwd {APP} || true") == "", "the user was there for a moment only"
    finally:
        ask(f"alter database {APP} reset all")
        ask("drop extension if exists amcheck cascade", APP)
        ask("drop table if exists said, noticed cascade", APP)
        for one in (*functions, "noted(int)", "asked()"):
            ask(f"drop function if exists public.{one}", APP)
        shell(DB, f"rm -f {OWNED}")
    good(make()("provision", "db1", "--json"))
    restored(make(), "--discard")


@pytest.mark.long
def test_somebody_of_the_apps_name_on_that_host_is_not_taken_for_the_app(make: Make) -> None:
    shell(DB, f"useradd -m {APP}")
    try:
        answer = make()("restore", "db1", "--app", APP, "--json")
        assert "this server has a user of this name, who is somebody else" in answer.host("db1")["error"]
        assert make()("backup.drill", "db1").status == 1
        assert "who is somebody else" in "".join(state(make())["wrong"])
    finally:
        shell(DB, f"userdel -r {APP} 2>/dev/null")
    good(make()("backup.drill", "db1"))


@pytest.mark.long
def test_two_servers_of_an_app_have_one_database_and_one_of_them_can_leave(make: Make) -> None:
    (other,) = SECOND
    lab.reset(other, SUITE, used=True)
    both = make(second=True)
    assert f"login:{APP}_web2" in both.deploy("both").changed("db1")
    again = both.deploy("both")
    assert [(again.host(one)["changed"], again.host(one)["execs"]) for one in ("db1", "web1", "web2")] == [(0, 2)] * 3

    def visit_other() -> str:
        return https(other, "/visits", f"remote.{other}.test", "-X", "POST").stdout

    first = int(visit())
    assert [visit_other(), visit(), visit_other()] == [str(first + each) for each in (1, 2, 3)]
    passwords = {shell(each, f"cat /etc/{APP}/database.login") for each in (WEB, other)}
    assert len(passwords) == 2, "each has its own"
    taken = f"cd /; ! PGPASSWORD=$(cat /etc/{APP}/database.login) PGSSLMODE=require runuser -u {APP} -- psql -h {ADDRESS} -U {LOGIN} -d {APP} 2>&1"
    assert "no pg_hba.conf entry for host" in shell(other, taken)
    good(both("backup", "db1"))
    newest = rows()
    answer = restored(both, "--only", "database", host="both")
    assert (rows(), "begins with new ones" in answer.stdout + answer.stderr) == (newest, False)
    assert [visit_other(), visit()] == [str(int(newest) + each) for each in (1, 2)]
    make().deploy("db1")
    assert ask(f"select rolname from pg_roles where rolname = '{APP}_web2'") == []
    assert not visit_other().isdigit(), "the firewall lets it in no more, and it waits"
    assert int(visit()) > int(newest)
    assert make().deploy("both").host("db1")["changed"] == 0


def burn(server: str, folder: Path, users: str) -> None:
    """The server is a bare one, but for its folder of backups, which was on another disk, and the users whose that is."""
    at = f"admin@10.213.0.{10 + int(server.removeprefix('lab'))}"
    ssh = ("ssh", "-i", LAB / "id_ed25519", "-o", f"UserKnownHostsFile={LAB}/known_hosts", at, "sudo")
    with (folder / "backups.tar").open("wb") as file:
        subprocess.run((*ssh, "tar", "-C", "/srv", "-c", "backups"), stdout=file, check=True)
    lab.reset(server, SUITE, used=True)
    shell(server, users)
    with (folder / "backups.tar").open("rb") as file:
        subprocess.run((*ssh, "tar", "-C", "/srv", "-x"), stdin=file, check=True)


@pytest.mark.long
def test_a_host_that_burnt_down_is_back_with_its_data_by_one_command(make: Make, tmp_path: Path) -> None:
    newest = visits(3)
    good(make()("backup", "db1", "--full"))
    burn(DB, tmp_path, "useradd -r -d /var/lib/postgresql -s /bin/bash postgres")
    answer = good(make()("restore", "both", "--only", "database", "--deploy", "--json"))
    assert f"restored-database:{APP}" in answer.changed("db1")
    assert rows() == newest
    assert int(visits(1)) > int(newest)
    again = make().deploy("both")
    assert [again.host(one)["changed"] for one in ("db1", "web1")] == [0, 0]
    good(make()("backup", "db1", "--full"))
    good(make()("backup.drill", "db1"))
    assert state(make())["wrong"] == []


@pytest.mark.long
def test_a_server_of_the_app_that_burnt_down_is_back_too_and_the_database_stays(make: Make, tmp_path: Path) -> None:
    newest = visits(1)
    shell(WEB, f"cd /; runuser -u {APP} -- sh -c 'echo kept >/srv/{APP}/shared/file'")
    good(make()("backup", "both"))
    burn(WEB, tmp_path, "true")
    answer = good(make()("restore", "both", "--only", "shared", "--deploy", "--json"))
    assert answer.changed("db1") == [f"login:{LOGIN}"]
    assert (rows(), shell(WEB, f"cat /srv/{APP}/shared/file")) == (newest, "kept")
    assert int(visits(1)) > int(newest)
    again = make().deploy("both")
    assert [again.host(one)["changed"] for one in ("db1", "web1")] == [0, 0]


@pytest.mark.long
def test_without_the_key_in_the_inventory_all_of_it_goes_but_the_repository(make: Make) -> None:
    kept = make().inventory.read_text()
    content = yaml.safe_load(kept)
    del content["backups"]
    without = make().with_text(yaml.safe_dump(content, sort_keys=False))
    good(without("deploy", "both", "--json"))
    assert ask("show archive_mode") == ["off"]
    left = "ls -d /etc/provision/pgbackrest /usr/local/lib/provision-backups /etc/systemd/system/provision-backup*"
    assert shell(DB, f"{left} 2>/dev/null || true") == ""
    assert shell(DB, "ls /srv/backups") == "archive\nbackup"
    assert without("plan", "both").status == 0
    assert without.deploy("db1").host("db1")["changed"] == 0
    assert visit().isdigit()
