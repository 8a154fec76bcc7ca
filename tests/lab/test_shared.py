"""Backups of an app's shared folder, SQLite databases in it, and that they can be restored, on a real server."""

import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision import lab
from tests.lab.conftest import LAB, SUITE, Answer, Controller, https, shell
from tests.lab.database_app import MAIN as DATABASE
from tests.lab.exposure import exposed
from tests.lab.refusals import ADDRESS, APP, DOMAIN, SERVER, Declared, lab_values
from tests.lab.repository import Repository
from tests.lab.s3 import serving
from tests.lab.test_secrets import processes_watched, spellings

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
    assert exposed(SERVER) == {}
    assert visits(3) == ["1", "2", "3"]
    as_app(
        "mkdir -p up; echo picture >up/one; ln -s /etc/shadow up/link; mkfifo up/pipe; chmod 640 up/one; chmod 2750 up"
    )
    good(make()("backup", SERVER, "--full"))
    listed = good(make()("backups", SERVER, "--json")).host(SERVER)["backups"]
    assert [each["of"] for each in listed][-1] == f"{APP}/shared", listed
    assert listed[-1]["kind"] == "full"
    assert listed[-1]["size"] > 0
    assert state(make())["wrong"] == []


@pytest.mark.long
def test_a_snapshot_is_restored_in_place_with_its_databases_and_what_there_was_is_kept(make: Make) -> None:
    moment = datetime.now(UTC)
    time.sleep(1.1)
    newer = visits(4)[-1]
    as_app("echo other >up/one; rm up/link")
    good(make()("backup", SERVER))
    good(make()("restore", SERVER, "--app", APP, "--at", moment.isoformat(), "--json"))
    assert visit() == "3"
    assert as_app("cat up/one; stat -c %a up up/one; readlink up/link") == "picture\n2750\n640\n/etc/shadow"
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


@pytest.mark.long
def test_a_drill_is_noted_and_leaves_nothing(make: Make) -> None:
    good(make()("backup.drill", SERVER))
    found = state(make())
    assert found["wrong"] == [], found
    assert found["shared"]["drill_seconds"] >= 0
    assert shell(SERVER, "ls -A /var/lib/provision/shared-scratch") == ""
    assert make()("verify", SERVER, "--json", "--only", "backups").failing(SERVER) == set()


@pytest.mark.long
def test_databases_that_are_written_to_all_the_time_are_whole_in_a_snapshot(make: Make) -> None:
    write = (
        "while [ -e /run/writes ]; do for mode in wal delete; do"
        f' runuser -u {APP} -- sqlite3 -cmd ".timeout 60000" {SHARED}/"a $mode.db" "pragma journal_mode=$mode; begin;'
        " create table if not exists t (a, b); delete from t; insert into t select hex(randomblob(300)), 1 from generate_series(1, 2000);"
        ' insert into t select 1, 2; commit" >/dev/null; sleep 0.1; done; done'
    )
    shell(SERVER, f"touch /run/writes; systemd-run --quiet --unit=writes sh -c '{write}'")
    try:
        time.sleep(3)
        good(make()("backup", SERVER))
    finally:
        shell(SERVER, "rm -f /run/writes; systemctl stop writes.service || true")
    good(make()("restore", SERVER, "--app", APP, "--into", "written", "--json"))
    for mode in ("wal", "delete"):
        said = shell(
            SERVER,
            f"sqlite3 '{SHARED}.restored-written/a {mode}.db' 'pragma integrity_check; select sum(b = 1), sum(b = 2) from t'",
        )
        assert said == "ok\n2000|1"
    assert visit() == "4"
    good(make()("restore", SERVER, "--app", APP, "--discard", "--json"))


@pytest.mark.long
@pytest.mark.parametrize("fault", ["wrong key", "unreachable", "full"])
def test_a_repository_that_fails_is_red_and_the_site_serves(make: Make, fault: str) -> None:
    place, settings = f"/srv/backups/restic-{SERVER}", "/etc/provision/restic/environment"
    breaks, mends, said = {
        "unreachable": (f"mv {place} {place}.away", f"mv {place}.away {place}", "has no folder"),
        "wrong key": (
            f"sed -i.kept s/{CANARY}/another/ {settings}",
            f"mv {settings}.kept {settings}",
            "wrong password",
        ),
        "full": (
            f"mv {place} {place}.away; mkdir {place}; mount -t tmpfs -o size=64m none {place}; cp -a {place}.away/. {place};"
            f" dd if=/dev/zero of={place}/filler bs=4k 2>/dev/null || true",
            f"umount {place}; rmdir {place}; mv {place}.away {place}",
            "no space left",
        ),
    }[fault]
    shell(SERVER, breaks)
    try:
        lab.shell(SERVER, "systemctl start provision-shared-backup-check.service")
        wrong = "".join(state(make())["wrong"])
        assert "shared/: the repository cannot be read" in wrong
        assert said in wrong
        assert make()("verify", SERVER, "--json", "--only", "backups").failing(SERVER)
        assert visits(1)[0].isdigit()
        assert make()("backup", SERVER).status == 1
    finally:
        shell(SERVER, mends)
    shell(SERVER, "systemctl start provision-shared-backup-check.service")
    good(make()("backup", SERVER))
    assert state(make())["wrong"] == []


@pytest.mark.long
def test_a_damaged_database_is_red_and_all_else_is_backed_up(make: Make) -> None:
    as_app(
        'sqlite3 broken.db "create table t (a); insert into t select hex(randomblob(400)) from generate_series(1, 200)"'
    )
    as_app("dd if=/dev/zero of=broken.db bs=4096 seek=1 count=20 conv=notrunc 2>/dev/null; echo fine >up/two")
    make()("backup", SERVER)
    assert make()("backup.drill", SERVER).status == 1
    assert "broken.db is damaged" in "".join(state(make())["wrong"])
    as_app("rm broken.db")
    good(make()("backup", SERVER))
    good(make()("backup.drill", SERVER))
    assert state(make())["wrong"] == []
    good(make()("restore", SERVER, "--app", APP, "--into", "fine", "--json"))
    assert shell(SERVER, f"cat {SHARED}.restored-fine/up/two") == "fine"
    good(make()("restore", SERVER, "--app", APP, "--discard", "--json"))


@pytest.mark.long
def test_the_passphrase_is_nowhere_but_in_its_own_file(make: Make) -> None:
    with processes_watched() as seen:
        printed = [
            make()(task, SERVER, *more) for task, *more in (("deploy", "--json"), ("backup",), ("status", "--json"))
        ]
    leaks = spellings(CANARY)
    assert [each for each in printed if any(leak in each.stdout + each.stderr for leak in leaks)] == []
    assert [each for each in seen if any(leak in each for leak in leaks)] == []
    found = shell(SERVER, f"grep -rlFs {CANARY} /etc /run /tmp /var/lib /var/cache /var/log /usr/local /root || true")
    assert found.splitlines() == ["/etc/provision/restic/environment"]
    assert shell(SERVER, f"stat -c '%a %U:%G' {found}") == "600 root:root"


@pytest.mark.long
def test_without_the_key_in_the_inventory_all_of_it_goes_but_the_repository(
    make: Make, repository: Repository, tmp_path: Path
) -> None:
    without = Declared(tmp_path, repository)({"python": "system"})
    good(without("provision", SERVER, "--json"))
    left = "ls -d /etc/provision/restic /usr/local/lib/provision-shared-backups /etc/systemd/system/provision-shared-backup* /var/cache/provision-restic"
    assert shell(SERVER, f"{left} 2>/dev/null; getent passwd provision-backup || true") == ""
    assert shell(SERVER, "ls /srv/backups") == f"restic-{SERVER}"
    assert without.plan(SERVER).status == 0


@pytest.fixture(scope="module")
def bucket(make: Make, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What an inventory says of backups in a bucket."""
    with serving(tmp_path_factory.mktemp("s3")) as place:
        yield {"repository": f"s3://{place}/one", "access_key": "AKIALAB", "secret_key": "secret-of-the-bucket"}


@pytest.mark.long
def test_a_server_that_burnt_down_is_back_from_s3_with_database_and_files(
    make: Make, bucket: dict[str, Any], repository: Repository, tmp_path: Path
) -> None:
    def controller() -> Controller:
        mirrors = lab_values()["mirrors"] | {"ca_bundle": str(LAB / "acme-api-ca.pem")}
        app = {"python": "system", "database": "postgresql"}
        return Declared(tmp_path, repository)(app, backups=BACKUPS | bucket, mirrors=mirrors)

    lab.reset(SERVER, SUITE, used=True)
    controller().deploy(SERVER)
    visits(3)
    sql = f"cd /; runuser -u postgres -- psql -XAtqc '{{}}' {APP}"
    shell(SERVER, sql.format("create table orders as select 42 as number"))
    good(controller()("backup", SERVER, "--full"))
    listed = good(controller()("backups", SERVER, "--json")).host(SERVER)["backups"]
    assert {each["of"] for each in listed} == {"PostgreSQL", f"{APP}/shared"}
    good(controller()("backup.drill", SERVER))
    assert state(controller())["wrong"] == []
    lab.reset(SERVER, SUITE, used=True)
    good(controller()("restore", SERVER, "--deploy", "--json"))
    assert visit() == "3"
    assert shell(SERVER, sql.format("select * from orders")) == "42"
    assert controller().plan(SERVER).status == 0
    good(controller()("backup", SERVER, "--full"))
    assert state(controller())["wrong"] == []


@pytest.mark.long
def test_sftp_needs_no_new_restic(make: Make, tmp_path: Path) -> None:
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"), check=True)
    public = (tmp_path / "key.pub").read_text().strip()
    lab.reset(SERVER, SUITE, used=True)
    shell(
        SERVER,
        "useradd -m backups; install -d -o backups -m 700 ~backups/.ssh;"
        f" echo '{public}' >~backups/.ssh/authorized_keys; chown backups ~backups/.ssh/authorized_keys",
    )
    host_key = shell(SERVER, "cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub")
    elsewhere = {
        "repository": f"sftp://backups@{ADDRESS}/home/backups/repository",
        "key": str(tmp_path / "key"),
        "host_key": f"{ADDRESS} {host_key}",
    }
    make(**elsewhere).deploy(SERVER)
    visits(2)
    good(make(**elsewhere)("backup", SERVER))
    good(make(**elsewhere)("restore", SERVER, "--app", APP, "--into", "away", "--json"))
    assert shell(SERVER, f"sqlite3 {SHARED}.restored-away/data/visits.db 'select count(*) from visits'") == "2"
    assert state(make(**elsewhere))["wrong"] == []


APPS = ("shop", "blog")
MIGRATE = """\
import os

import psycopg

with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    connection.execute("create table if not exists visits (id serial primary key)")
"""


@pytest.fixture
def two(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What an inventory says of two apps and their backups, but for the host."""
    requirements = "fastapi==0.165.0\npsycopg[binary]\n"
    repository.commit({"main.py": DATABASE, "migrate.py": MIGRATE, "requirements.txt": requirements})
    app = {
        "source": repository.url,
        "module": "main:app",
        "python": "system",
        "workers": 1,
        "database": {"engine": "postgresql", "check": "select count(*) from visits"},
        "migrate": "python migrate.py",
        "health": {"watch": 0},
    }
    with serving(tmp_path_factory.mktemp("s3")) as place:
        content = lab_values()
        content["mirrors"]["ca_bundle"] = str(LAB / "acme-api-ca.pem")
        content["apps"] = {name: app | {"domains": [f"{name}.{SERVER}.test"]} for name in APPS}
        content["backups"] = {
            "repository": f"s3://{place}/all",
            "access_key": "AKIALAB",
            "secret_key": "secret-of-the-bucket",
            "passphrase": "kanarie-of-the-restores-3456",
        }
        yield content


def visit_of(app: str, *options: str) -> str:
    """What an app's site says of its visits."""
    return https(SERVER, "/visits", f"{app}.{SERVER}.test", *options).stdout


@pytest.mark.long
def test_another_host_takes_over_all_apps_of_one_that_is_gone(
    two: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    def controller(host: str) -> Controller:
        hosts = {host: two["hosts"][SERVER]}
        path = tmp_path_factory.mktemp(host) / "restores.yml"
        path.write_text(yaml.safe_dump(two | {"hosts": hosts}, sort_keys=False))
        return Controller(path)

    lab.reset(SERVER, SUITE, used=True)
    controller("old").deploy("old")
    for app, count in zip(APPS, (2, 5), strict=True):
        for _ in range(count):
            visit_of(app, "-X", "POST")
        shell(SERVER, f"cd /srv/{app}/shared; runuser -u {app} -- sh -c 'echo {app} >note'")
    backup = controller("old")("backup", "old", "--full")
    assert backup.status == 0, backup.stdout + backup.stderr
    lab.reset(SERVER, SUITE, used=True)

    new = controller("new")
    nothing = new("restore", "new", "--deploy", "--json")
    assert (nothing.status, "has no snapshots of shared/ of an earlier new" in nothing.host("new")["error"]) == (
        1,
        True,
    )
    database = new("restore", "new", "--deploy", "--only", "database", "--json")
    assert (database.status, "has no backups of an earlier new" in database.host("new")["error"]) == (1, True)
    restored = new("restore", "new", "--from", "old", "--deploy", "--json")
    assert restored.status == 0, restored.stdout + restored.stderr
    assert [visit_of(app) for app in APPS] == ["2", "5"]
    assert [shell(SERVER, f"cat /srv/{app}/shared/note") for app in APPS] == [*APPS]
    assert new.plan("new").status == 0
    for task in (("backup", "new", "--full"), ("backup.drill", "new")):
        answer = new(*task)
        assert answer.status == 0, answer.stdout + answer.stderr
    assert new("status", "new", "--json").host("new")["backups"]["wrong"] == []
