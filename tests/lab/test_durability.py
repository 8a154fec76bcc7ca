"""What a site said to have written is in its database, whatever happens: under deploys, crashes, power cuts and full disks."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from provision import lab
from tests.lab.conftest import shell
from tests.lab.database_app import MAIN, MIGRATE, Make, ask, visit
from tests.lab.load import writes
from tests.lab.refusals import ADDRESS, APP, DOMAIN, SERVER
from tests.lab.repository import Repository

pytest_plugins = ("tests.lab.database_app",)

# A campaign deploys 20 times.
DEPLOYS = int(os.environ.get("PROVISION_DEPLOYS", "2"))
SLOW = MIGRATE.replace(
    '    connection.execute("select similarity',
    """\
    connection.execute("alter table visits add column if not exists note text")
    connection.execute("select pg_sleep(8)")
    connection.execute("select similarity""",
)
WAL = "/var/lib/postgresql/15/main/pg_wal"


@pytest.fixture(scope="module", autouse=True)
def deployed(make: Make) -> None:
    """The app serves."""
    make().deploy(SERVER)


def rows(sql: str) -> list[str]:
    """What the app's database answers its superuser."""
    return shell(SERVER, f'cd /; runuser -u postgres -- psql -XAtqd {APP} -c "{sql}"').splitlines()


def kept() -> set[str]:
    """The visits that are in the database."""
    return set(rows("select id from visits"))


def wait_until_it_writes(seconds: int) -> None:
    """Wait until the site can write again."""
    deadline = time.monotonic() + seconds
    while not (said := visit("-X", "POST")).isdigit():
        assert time.monotonic() < deadline, said
        time.sleep(0.5)


def test_deploys_lose_no_request_that_writes(make: Make, repository: Repository) -> None:
    with writes(ADDRESS, DOMAIN, 60 * DEPLOYS, "/visits") as seen:
        for number in range(DEPLOYS):
            repository.commit({"main.py": MAIN.replace('"first"', f'"{number}"')})
            make().deploy(SERVER)
    assert (seen.failures, len(seen.acknowledged) > 20 * DEPLOYS) == ([], True)
    assert set(seen.acknowledged) <= kept()
    print(f"{len(seen.acknowledged)} writes over {DEPLOYS} deploys, none failed, all there")


@pytest.mark.long
def test_what_was_written_is_there_after_postgresqls_main_process_was_killed(make: Make) -> None:
    with writes(ADDRESS, DOMAIN, 60, "/visits") as seen:
        time.sleep(1)
        shell(SERVER, "kill -9 $(head -n 1 /var/lib/postgresql/15/main/postmaster.pid)")
        wait_until_it_writes(60)
        time.sleep(1)
    assert make()("status", SERVER, "--json").host(SERVER)["postgresql"]["restarts"] == 1
    assert set(seen.acknowledged) <= kept()
    times = [when for when, _ in seen.failures]
    print(
        f"{len(times)} of {len(times) + len(seen.acknowledged)} writes failed, over {max(times, default=0) - min(times, default=0):.1f} s"
    )


@pytest.mark.long
def test_half_a_migration_is_not_there_after_a_power_cut_and_the_next_deploy_makes_it_whole(
    make: Make, repository: Repository
) -> None:
    note = "select count(*) from information_schema.columns where column_name = 'note'"
    active = f"readlink /srv/{APP}/current"
    before = shell(SERVER, active)
    repository.commit({"migrate.py": SLOW})
    with writes(ADDRESS, DOMAIN, 120, "/visits") as seen:
        running = make().start("deploy", SERVER, "--json")
        deadline = time.monotonic() + 60
        while not rows("select 1 from pg_stat_activity where query like 'select pg_sleep%'"):
            assert time.monotonic() < deadline
        lab.kill(SERVER)
        lab.start(SERVER)
        running.communicate(timeout=240)
        wait_until_it_writes(60)
    assert set(seen.acknowledged) <= kept()
    assert (running.returncode, shell(SERVER, active), rows(note)) == (1, before, ["0"])
    make().deploy(SERVER)
    assert (shell(SERVER, active) != before, rows(note)) == (True, ["1"])


@contextmanager
def small_wal() -> Iterator[None]:
    """PostgreSQL's write-ahead log has a disk of its own, of 480 MB, which is more than it keeps for later."""
    disk = "size=480m,mode=700,uid=$(id -u postgres),gid=$(id -g postgres)"
    shell(
        SERVER,
        f"systemctl stop postgresql@15-main && cp -a {WAL} /root/wal && mount -t tmpfs -o {disk} tmpfs {WAL} && cp -a /root/wal/. {WAL}/ && systemctl start postgresql@15-main",
    )
    try:
        yield
    finally:
        moved = f"rm -rf /root/wal && cp -a {WAL} /root/wal && umount {WAL} && rm -rf {WAL}/* && cp -a /root/wal/. {WAL}/ && rm -r /root/wal"
        shell(
            SERVER,
            f"rm -f {WAL}/full; systemctl stop postgresql@15-main; {moved} && systemctl start postgresql@15-main",
        )


@pytest.mark.long
def test_postgresql_comes_back_by_itself_when_the_disk_of_its_log_is_no_longer_full(make: Make) -> None:
    with small_wal():
        wait_until_it_writes(60)
        with writes(ADDRESS, DOMAIN, 300, "/visits") as seen:
            shell(SERVER, f"! dd if=/dev/zero of={WAL}/full bs=1M status=none 2>/dev/null")
            deadline = time.monotonic() + 90
            while visit("-X", "POST").isdigit():
                lab.shell(SERVER, "cd /; runuser -u postgres -- psql -XAtqc 'select pg_switch_wal()'")
                assert time.monotonic() < deadline, "the disk is full, and it writes"
            time.sleep(75)
            assert not visit("-X", "POST").isdigit()
            down = make()("status", SERVER, "--json").host(SERVER)["postgresql"]
            assert (down["answers"], "No space left on device" in down["reason"]) == (False, True), down
            shell(SERVER, f"rm {WAL}/full")
            wait_until_it_writes(60)
        assert set(seen.acknowledged) <= kept()
        assert ask("select pg_is_in_recovery()") == ["f"]
        assert "PostgreSQL ended and came back by itself" in make()("status", SERVER).stderr
    wait_until_it_writes(60)
    assert set(seen.acknowledged) <= kept()
