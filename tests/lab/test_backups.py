"""Backups of an app's database, and that they can be restored, on a real server."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from provision import lab
from tests.lab.conftest import SUITE, Answer, Controller, sampled, shell
from tests.lab.database_app import MAIN, WANTED, sql, visit, visits
from tests.lab.exposure import exposed
from tests.lab.refusals import APP, SERVER, Declared
from tests.lab.repository import Repository
from tests.lab.test_secrets import processes_watched, spellings

pytest_plugins = ("tests.lab.refusals",)

CANARY = "kanarie-of-the-backups-5678"
BACKUPS = {"repository": "/srv/backups", "passphrase": CANARY}
MIGRATE = """\
import os

import psycopg

with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    connection.execute("create table if not exists visits (id serial primary key, at timestamptz default clock_timestamp())")
"""
OTHER = os.environ.get("PROVISION_OTHER_SERVER", "lab4")
Make = Callable[..., Controller]


@pytest.fixture(scope="module")
def make(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Inventories for the app, on a server that was bare."""
    requirements = "fastapi==0.165.0\npsycopg[binary]\n"
    repository.commit({"main.py": MAIN, "migrate.py": MIGRATE, "requirements.txt": requirements})
    lab.reset(SERVER, SUITE, used=True)
    declared = Declared(tmp_path_factory.mktemp("inventory"), repository)
    database = {"engine": "postgresql", "check": "select count(*) from visits"}

    def controller(**changes: Any) -> Controller:
        return declared(WANTED | {"database": database, "backup_shared": False}, backups=BACKUPS | changes)

    return controller


def state(controller: Controller) -> dict[str, Any]:
    """What status says of the backups."""
    said: dict[str, Any] = controller("status", SERVER, "--json").host(SERVER)["backups"]
    return said


def good(answer: Answer) -> Answer:
    assert answer.status == 0, answer.stdout + answer.stderr
    return answer


def test_the_first_deploy_archives_and_the_next_changes_nothing(make: Make) -> None:
    answer = make().deploy(SERVER)
    assert {"packages:backups", "archive:postgresql"} <= {*answer.changed(SERVER)}
    again = make()("deploy", SERVER, "--json").host(SERVER)
    assert (again["changed"], again["execs"]) == (0, 2)
    assert exposed(SERVER) == {}
    assert visits(3) == ["1", "2", "3"]
    good(make()("backup", SERVER))
    listed = good(make()("backups", SERVER, "--json")).host(SERVER)["backups"]
    assert next(each["kind"] for each in listed) == "full", listed
    assert state(make())["last"]


def test_a_second_in_the_middle_is_restored_with_exactly_the_rows_until_then(make: Make) -> None:
    before = visits(5)[-1]
    time.sleep(1.1)
    moment = datetime.now(UTC)
    time.sleep(1.1)
    after = visits(5)[-1]
    planned = make()("restore", SERVER, "--app", APP, "--at", moment.isoformat(), "--plan", "--json").host(SERVER)
    assert f"restore its database as it was at {moment:%Y-%m-%dT%H:%M:%S}Z" in planned["changes"][0]["summary"]
    good(make()("restore", SERVER, "--app", APP, "--at", moment.isoformat(), "--json"))
    assert visit() == before
    assert sql("select max(id) from visits") == before
    (kept,) = sql(f"select datname from pg_database where datname like '{APP}_before_%'", "postgres").split()
    assert sql("select max(id) from visits", kept) == after
    assert make().plan(SERVER).status == 0
    assert int(visit("-X", "POST")) > int(before)


def test_what_was_kept_goes_when_it_is_discarded(make: Make) -> None:
    discarded = good(make()("restore", SERVER, "--app", APP, "--discard", "--json"))
    assert discarded.changed(SERVER) == [f"kept-databases:{APP}"]
    assert sql(f"select count(*) from pg_database where datname like '{APP}_%'", "postgres") == "0"
    assert good(make()("restore", SERVER, "--app", APP, "--discard", "--json")).changed(SERVER) == []


@pytest.mark.long
def test_of_a_thousand_rows_over_a_minute_those_until_a_second_are_restored(make: Make) -> None:
    sql(f"create table rows (id int, at timestamptz default clock_timestamp()); grant all on rows to {APP}")
    sql(
        "do \\$\\$ begin for n in 1..1000 loop insert into rows values (n); commit; perform pg_sleep(0.06); end loop; end \\$\\$"
    )
    # No row is from within 15 ms of that second.
    second = sql(
        "select s at time zone 'UTC' from (select date_trunc('second', min(at)) + interval '1 second' * generate_series(20, 40) s from rows) t"
        " where not exists (select 1 from rows where at between s - interval '15 ms' and s + interval '15 ms') limit 1"
    )
    until = sql(f"select max(id) from rows where at < '{second} UTC'")
    good(make()("restore", SERVER, "--app", APP, "--at", f"{second.replace(' ', 'T')}Z", "--json"))
    assert sql("select count(*), min(id), max(id) from rows") == f"{until}|1|{until}"
    good(make()("restore", SERVER, "--app", APP, "--discard", "--json"))


@pytest.mark.long
def test_the_newest_is_restored_beside_and_the_app_keeps_its_own(make: Make) -> None:
    backed_up = visits(2)[-1]
    good(make()("backup", SERVER))
    newest = visits(2)[-1]
    last = good(make()("backups", SERVER, "--json")).host(SERVER)["backups"][-1]["id"]
    good(make()("restore", SERVER, "--app", APP, "--backup", last, "--into", "older", "--json"))
    assert sql("select max(id) from visits", "older") == backed_up
    good(make()("restore", SERVER, "--app", APP, "--into", "beside", "--json"))
    assert sql("select max(id) from visits", "beside") == newest
    assert int(visits(1)[0]) > int(newest)
    assert (
        "beside already" in make()("restore", SERVER, "--app", APP, "--into", "beside", "--json").host(SERVER)["error"]
    )
    good(make()("restore", SERVER, "--app", APP, "--discard", "--json"))


def test_what_there_was_before_a_release_migrated_is_found_by_its_name(make: Make, repository: Repository) -> None:
    rows = sql("select count(*) from visits")
    active = f"basename $(readlink /srv/{APP}/current)"
    older = shell(SERVER, active)
    assert (
        "no backup from before that release"
        in make()("restore", SERVER, "--app", APP, "--before", older, "--into", "never", "--json").host(SERVER)["error"]
    )
    repository.commit(
        {"migrate.py": f"{MIGRATE}    connection.execute('alter table visits add column if not exists note text')\n"}
    )
    good(make()("deploy", SERVER, "--json"))
    newer = shell(SERVER, active)
    visits(2)
    good(make()("restore", SERVER, "--app", APP, "--before", newer, "--into", "earlier", "--json"))
    noted = "select count(*) from information_schema.columns where table_name = 'visits' and column_name = 'note'"
    assert (sql(noted), sql(noted, "earlier"), sql("select count(*) from visits", "earlier")) == ("1", "0", rows)
    good(make()("restore", SERVER, "--app", APP, "--discard", "--json"))


def test_a_drill_is_noted_and_leaves_nothing(make: Make) -> None:
    assert (state(make())["drilled"], state(make())["wrong"]) == ("", [])
    good(make()("backup.drill", SERVER))
    found = state(make())
    assert found["wrong"] == [], found
    assert found["drill_seconds"] > 0
    assert 0 <= found["data_age"] < 600
    assert shell(SERVER, "ls -A /var/lib/provision/scratch") == ""
    assert make()("verify", SERVER, "--json", "--only", "backups").failing(SERVER) == set()


@pytest.mark.long
def test_a_drill_that_finds_nothing_is_red(make: Make) -> None:
    empty = make()
    text = empty.inventory.read_text().replace(
        "select count(*) from visits", "select count(*) from visits where id < 0"
    )
    broken = empty.with_text(text)
    good(broken("provision", SERVER, "--json"))
    assert broken("backup.drill", SERVER).status == 1
    (said,) = state(broken)["wrong"]
    assert 'database.check answers "0" on the restored database' in said
    good(make()("provision", SERVER, "--json"))
    good(make()("backup.drill", SERVER))


@pytest.mark.parametrize("fault", sampled(["wrong key", "unreachable", "full"], 3))
def test_a_repository_that_fails_is_red_and_the_site_serves(make: Make, fault: str) -> None:
    place, settings = "/srv/backups", "/etc/provision/pgbackrest/pgbackrest.conf"
    breaks, mends = {
        "unreachable": (f"mv {place} {place}.away", f"mv {place}.away {place}"),
        "wrong key": (f"sed -i.kept s/{CANARY}/another-passphrase/ {settings}", f"mv {settings}.kept {settings}"),
        "full": (
            f"mv {place} {place}.away; mkdir {place}; mount -t tmpfs -o size=64m,mode=755,uid=postgres none {place};"
            f" cp -a {place}.away/. {place}; dd if=/dev/zero of={place}/filler bs=4k 2>/dev/null || true",
            f"umount {place}; rmdir {place}; mv {place}.away {place}",
        ),
    }[fault]
    shell(SERVER, breaks)
    try:
        lab.shell(SERVER, "systemctl start provision-backup-check.service")
        assert "does not arrive in the repository" in "".join(state(make())["wrong"])
        assert make()("verify", SERVER, "--json", "--only", "backups").failing(SERVER)
        assert visits(1)[0].isdigit()
        assert make()("backup", SERVER).status == 1
    finally:
        shell(SERVER, mends)
    shell(SERVER, "systemctl start provision-backup-check.service")
    good(make()("backup", SERVER))
    assert state(make())["wrong"] == []


@pytest.mark.long
def test_the_passphrase_is_nowhere_but_in_its_own_file(make: Make) -> None:
    with processes_watched() as seen:
        printed = [
            make()(task, SERVER, *more)
            for task, *more in (
                ("deploy", "--json"),
                ("backup",),
                ("backups", "--json"),
                ("status", "--json"),
                ("restore", "--app", APP, "--into", "beside"),
                ("restore", "--app", APP, "--discard"),
            )
        ]
    leaks = spellings(CANARY)
    assert [each for each in printed if any(leak in each.stdout + each.stderr for leak in leaks)] == []
    assert [each for each in seen if any(leak in each for leak in leaks)] == []
    patterns = " ".join(f"-e '{each}'" for each in sorted(leaks))
    found = shell(
        SERVER,
        f"find / /run /tmp -xdev -type f -size -30M -not -path '/usr/*' -print0 | xargs -0 grep -lFsa {patterns} || true",
    )
    assert found.splitlines() == ["/etc/provision/pgbackrest/pgbackrest.conf"]
    assert shell(SERVER, f"stat -c '%a %U:%G' {found}") == "640 root:postgres"


def test_an_archive_of_somebody_elses_is_left_alone(make: Make) -> None:
    ours = sql("show archive_command", "postgres")
    for command in ("'true %p'", "'" + ours.replace("'", "''") + "'"):
        sql(f"alter system set archive_command = {command}", "postgres")
        sql("select pg_reload_conf()", "postgres")
        time.sleep(0.5)
        plan = make().plan(SERVER)
        if "true" in command:
            assert plan.host(SERVER)["error"].startswith(
                "PostgreSQL on this server archives by somebody else's word already: true %p"
            )
    assert plan.status == 0


@pytest.mark.long
def test_a_database_of_somebody_elses_with_the_name_of_a_restores_stays(make: Make) -> None:
    theirs = f"{APP}_restored"
    sql(f"create database {theirs}", "postgres")
    sql("create table kept (id int)", theirs)
    try:
        answer = make()("restore", SERVER, "--app", APP, "--json")
        assert f"PostgreSQL has a database {theirs} that no restore made" in answer.host(SERVER)["error"]
        assert sql("select count(*) from kept", theirs) == "0"
    finally:
        sql(f"drop database if exists {theirs}", "postgres")
    # What a run leaves that was killed right after it made one.
    sql(f"create database {theirs} owner {APP} connection limit 0", "postgres")
    good(make()("restore", SERVER, "--app", APP, "--json"))
    good(make()("restore", SERVER, "--app", APP, "--discard", "--json"))
    assert sql(f"select count(*) from pg_database where datname like '{APP}_%'", "postgres") == "0"


@pytest.mark.long
def test_no_user_of_the_server_has_pgbackrest_write_over_what_is_postgresqls(make: Make) -> None:
    victim = "/var/lib/postgresql/victim"
    locks = f"for each in backup archive; do ln -s {victim} /tmp/pgbackrest/{SERVER}-$each.lock; done"
    shell(
        SERVER,
        f"rm -rf /tmp/pgbackrest; cd /; runuser -u postgres -- sh -c 'echo whole >{victim}';"
        f" runuser -u nobody -- sh -c 'umask 0; mkdir /tmp/pgbackrest; {locks}'",
    )
    try:
        good(make()("backup", SERVER))
        assert shell(SERVER, f"cat {victim}") == "whole"
    finally:
        shell(SERVER, f"rm -rf /tmp/pgbackrest {victim}")


@pytest.mark.long
def test_what_an_app_has_put_into_its_database_is_run_by_nobody_else_and_keeps_nobody_from_restoring_it(
    make: Make,
) -> None:
    """Functions that fit better than amcheck's own, and settings with which nobody gets far."""
    owned = "/var/lib/postgresql/owned"
    good(make()("restore", SERVER, "--app", APP, "--json"))
    assert sql("select count(*) from pg_extension where extname = 'amcheck'") == "0"
    sql("create extension amcheck schema public")
    body = f"begin copy (select 1) to program 'cat >{owned}'; end"
    functions = (
        "verify_heapam(relation oid, on_error_stop bool, check_toast bool, skip text) returns table(blkno int8, offnum int, attnum int, msg text)",
        "bt_index_check(index oid, heapallindexed bool) returns void",
    )
    text = "".join(f"create function public.{each} language plpgsql as \\$\\${body}\\$\\$;" for each in functions)
    settings = ("statement_timeout = 1", f"role = {APP}", "default_transaction_read_only = on")
    text += "".join(f"alter database {APP} set {each};" for each in settings)
    shell(SERVER, f'cd /; runuser -u {APP} -- psql -Xqc "{text}" {APP}')
    try:
        good(make()("backup", SERVER))
        for task in (("backup.drill", SERVER), ("restore", SERVER, "--app", APP, "--json")):
            answer = make()(*task)
            assert shell(SERVER, f"ls {owned} 2>/dev/null || true") == ""
            good(answer)
    finally:
        sql(f"alter database {APP} reset all", "postgres")
        sql("drop extension if exists amcheck cascade")
        for each in functions:
            sql(f"drop function if exists public.{each.partition('(')[0]}")
        shell(SERVER, f"rm -f {owned}")
    good(make()("restore", SERVER, "--app", APP, "--discard", "--json"))


@pytest.mark.long
def test_what_is_restored_is_reached_by_no_app_while_it_is_read_and_goes_on_with_nothing(make: Make) -> None:
    program = "/usr/local/lib/provision-backups"
    shell(SERVER, f"{program} recovery_begin probe {SERVER} 12 --type=default")
    try:
        asked = f"cd /; runuser -u {APP} -- psql -XAtqc 'select 1' -h /run/provision-scratch-probe {APP}"
        assert "Permission denied" in lab.shell(SERVER, asked).stderr
        launched = "select count(*) from pg_stat_activity where backend_type = '\\''logical replication launcher'\\''"
        assert shell(SERVER, f"{program} recovery_ask probe postgres '{launched}'") == "0"
    finally:
        shell(SERVER, f"{program} recovery_drop probe")


def test_without_the_key_in_the_inventory_all_of_it_goes_but_the_repository(
    make: Make, repository: Repository, tmp_path: Path
) -> None:
    without = Declared(tmp_path, repository)(WANTED | {"database": {"engine": "postgresql"}})
    good(without("provision", SERVER, "--json"))
    assert sql("show archive_mode", "postgres") == "off"
    left = shell(
        SERVER,
        "ls -d /etc/provision/pgbackrest /usr/local/lib/provision-backups /etc/systemd/system/provision-backup* /run/postgresql/pgbackrest 2>/dev/null || true",
    )
    assert left == ""
    assert shell(SERVER, "ls /srv/backups") == "archive\nbackup"
    assert without.plan(SERVER).status == 0


@pytest.fixture
def elsewhere(make: Make, tmp_path: Path) -> Iterator[Callable[[], Controller]]:
    """Inventories for the app on a bare server, with their backups on another by SFTP, which Debian 13 can."""
    address = f"10.213.0.{10 + int(OTHER.removeprefix('lab'))}"
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"), check=True)
    public = (tmp_path / "key.pub").read_text().strip()
    shell(
        OTHER,
        "userdel -rf backups 2>/dev/null; useradd -m backups; install -d -o backups -m 700 ~backups/.ssh;"
        f" echo '{public}' >~backups/.ssh/authorized_keys; chown backups ~backups/.ssh/authorized_keys",
    )
    host_key = shell(OTHER, "cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub")
    backups = {
        "repository": f"sftp://backups@{address}/home/backups/repository",
        "passphrase": CANARY,
        "key": str(tmp_path / "key"),
        "host_key": f"{address} {host_key}",
    }
    lab.reset(SERVER, "trixie", used=True)
    yield lambda: make(**backups)
    lab.reset(SERVER, SUITE, used=True)


@pytest.mark.long
def test_a_server_that_burnt_down_is_back_with_its_data_by_one_command(elsewhere: Callable[[], Controller]) -> None:
    elsewhere().deploy(SERVER)
    visits(5)
    good(elsewhere()("backup", SERVER, "--full"))
    visits(5)
    newest = visit()
    segment = sql("select pg_walfile_name(pg_switch_wal())", "postgres")
    while sql(f"select left(last_archived_wal, 24) >= '{segment}' from pg_stat_archiver", "postgres") != "t":
        time.sleep(0.5)
    lab.reset(SERVER, "trixie", used=True)
    restored = good(elsewhere()("restore", SERVER, "--deploy", "--json"))
    print(f"from a bare server to the site with its data: {restored.document['seconds']:.0f} s")
    assert f"restored-database:{APP}" in restored.changed(SERVER)
    assert visit() == newest
    assert elsewhere().plan(SERVER).status == 0
    good(elsewhere()("backup", SERVER, "--full"))
    good(elsewhere()("backup.drill", SERVER))
    assert state(elsewhere())["wrong"] == []
    assert elsewhere()("verify", SERVER, "--json", "--only", "backups or database").failing(SERVER) == set()


@pytest.mark.long
def test_sftp_is_refused_where_pgbackrest_cannot(make: Make, tmp_path: Path) -> None:
    lab.reset(SERVER, "bookworm", used=True)
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"), check=True)
    key = "192.0.2.9 " + (tmp_path / "key.pub").read_text().split(" root")[0]
    wanted = make(repository="sftp://a@192.0.2.9/b", passphrase=CANARY, key=str(tmp_path / "key"), host_key=key)
    answer = wanted("provision", SERVER, "--json")
    assert answer.host(SERVER)["error"].startswith(
        "backups.repository is at sftp://, and pgBackRest of debian12 cannot use that"
    )
    assert answer.host(SERVER)["changed"] == 0
