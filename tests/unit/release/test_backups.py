"""Backups: what is planned, what is refused, and what is wrong with them."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from provision import roles
from provision.engine.resource import State
from provision.engine.shell import quote
from provision.errors import InventoryError, PlanError
from provision.inventory import load
from provision.inventory.backups import Backups
from provision.release import backup_status, backups
from provision.release.backups import LIBRARY, PostgresArchive, program, settings
from provision.release.recovery import DiscardedDatabases, Moment, RestoredDatabase
from tests.inventories import HOST_KEY
from tests.unit.tables import HOST, SHOP, ids

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.tables import MakeFacts, MakeHost

PASSPHRASE = "correct-horse-battery"
ARCHIVE = PostgresArchive("web1", "/srv/backups", "1234", distribution="debian12")
OURS = "pgbackrest --config-path=/etc/provision/pgbackrest --stanza=web1 archive-push %p"
RIGHT = {
    "mode": "on",
    "command": OURS,
    "library": "",
    "timeout": "1min",
    "cluster": "77",
    "settled": "1234 77",
    "tool": "2.45-1",
}
WITH = f"backups: {{repository: /srv/backups, passphrase: {PASSPHRASE}}}\n"
DATABASE = f"{SHOP[:-2]}, database: {{engine: postgresql, check: select 1}}}}\n"
NOW = 1_800_000_000


def test_an_archive_that_is_right_is_left_alone() -> None:
    assert ARCHIVE.plan(State.of(RIGHT), {}) is None


@pytest.mark.parametrize(
    ("differs", "summary"),
    [
        (
            {"mode": "off", "command": "(disabled)", "settled": ""},
            "make the repository ready, archive all that it writes, which restarts it once",
        ),
        ({"settled": "1234 78"}, "make the repository ready"),
        ({"settled": "other 77"}, "make the repository ready"),
        ({"timeout": "0"}, "archive all that it writes"),
        ({"mode": "off"}, "archive, which restarts it once"),
    ],
)
def test_what_is_missing_is_made(differs: dict[str, str], summary: str) -> None:
    change = ARCHIVE.plan(State.of(RIGHT | differs), {})
    assert change
    assert change.summary == f"PostgreSQL: {summary}"
    assert change.script == "backups_stanza=web1\nbackups_enable /srv/backups 1234"


@pytest.mark.parametrize("differs", [{"command": "cp %p /mnt/%f"}, {"command": "", "library": "basic_archive"}])
def test_somebody_elses_archive_is_refused(differs: dict[str, str]) -> None:
    with pytest.raises(PlanError, match="archives by somebody else's word already"):
        ARCHIVE.plan(State.of(RIGHT | differs), {})


@pytest.mark.parametrize(
    ("distribution", "tool", "refused"),
    [
        ("debian12", "", True),
        ("debian13", "", False),
        ("debian12", "2.45-1", True),
        ("debian12", "2.55.1-1.pgdg", False),
    ],
)
def test_sftp_is_refused_where_pgbackrest_is_too_old(distribution: str, tool: str, refused: bool) -> None:
    archive = PostgresArchive("web1", "", "1234", sftp=True, distribution=distribution)
    state = State.of(RIGHT | {"tool": tool})
    if refused:
        with pytest.raises(PlanError, match=r"2\.46 and newer can"):
            archive.plan(state, {})
    else:
        assert archive.plan(state, {}) is None


def test_only_a_host_with_a_database_and_backups_has_them(make_host: MakeHost, make_known: MakeFacts) -> None:
    found = ids(roles.server(make_host(f"{HOST}{WITH}apps:\n{DATABASE}"), *make_known()))
    assert found.index("database:shop") < found.index("packages:backups") < found.index("archive:postgresql")
    assert {f"service:provision-backup-{name}.timer" for name in ("full", "differential", "check", "drill")} <= {*found}
    for text in (f"{HOST}{WITH}apps:\n{SHOP}", f"{HOST}apps:\n{DATABASE}"):
        found = ids(roles.server(make_host(text), *make_known()))
        assert "backups:none" in found
        assert not [each for each in found if "pgbackrest" in each or "archive" in each]


def test_the_program_has_the_queries_and_the_settings_alone_have_the_passphrase(make_host: MakeHost) -> None:
    host = make_host(f"{HOST}{WITH}apps:\n{DATABASE}")
    assert "shop) printf '%s' 'select 1' ;;" in program(host)
    assert PASSPHRASE not in program(host)
    assert host.backups
    assert f"repo1-cipher-pass={PASSPHRASE}\n" in settings(host.backups)
    assert PASSPHRASE not in repr(host.backups)


RESTORE = RestoredDatabase("shop", Moment(), "web1", "web1", "shop_before_20260501t100000z")


def test_a_restore_says_what_becomes_of_what_there_is() -> None:
    change = RESTORE.plan(State.of({"role": "ours"}), {})
    assert change
    assert change.summary == (
        "shop: restore its database as new as the backups have it; keep the present one as shop_before_20260501t100000z"
    )
    assert change.script.splitlines() == [
        "backups_stanza=web1",
        "recovery_restore shop shop_restored web1 yes --type=default",
        "recovery_switch shop shop_restored shop_before_20260501t100000z",
    ]


def test_a_time_is_told_with_its_zone() -> None:
    moment = Moment(datetime(2026, 5, 1, 12, 30, tzinfo=UTC))
    assert moment.options("shop") == (
        "--type=time",
        "--target=2026-05-01 12:30:00.000000+00",
        "--target-action=promote",
    )
    assert str(moment) == "as it was at 2026-05-01T12:30:00Z"


LISTED = (
    '[{"backup":[{"label":"20260501-020000F","lsn":{"start":"0/2","stop":"0/3"},"timestamp":{"start":1777600800,"stop":1777600860}},'
    '{"label":"20260501-020000F_20260502-020000D","lsn":{"start":"0/4","stop":"0/5"},"timestamp":{"start":1777687200,"stop":1777687260}}]}]'
)


@pytest.mark.parametrize(
    ("release", "label"),
    [
        ("", "20260501-020000F_20260502-020000D"),
        ("20260503T000000-abc1234", "20260501-020000F_20260502-020000D"),
        ("20260501T120000-abc1234", "20260501-020000F"),
        ("20260501T020000-abc1234", ""),
    ],
)
def test_before_a_release_comes_the_last_backup_that_was_over_by_then(release: str, label: str) -> None:
    moment = Moment(before=release) if release else Moment()
    script = f"{LIBRARY}\nlisted={quote(LISTED)}\nrecovery_last {quote(' '.join(moment.options('shop')) if release else '')}\n"
    done = subprocess.run(["sh"], input=script, capture_output=True, text=True, check=True)
    assert done.stdout == f"{label}\n"
    assert str(Moment(before="20260501T020000-abc1234")) == "as it was before 20260501T020000-abc1234 migrated it"


def test_a_restore_beside_needs_a_free_name_and_a_database_of_the_apps() -> None:
    beside = RestoredDatabase("shop", Moment(), "web0", "web1", "kept", "beside")
    change = beside.plan(State.of({"role": "ours"}), {})
    assert change
    assert "recovery_switch" not in change.script
    assert "from the backups of web0, as the database beside beside it" in change.summary
    with pytest.raises(PlanError, match="has a database beside already"):
        beside.plan(State.of({"role": "ours"}, {"taken": "yes"}), {})
    with pytest.raises(PlanError, match="has no database on this server yet"):
        beside.plan(State(), {})


def test_a_database_that_no_restore_made_is_not_written_over() -> None:
    assert RESTORE.probe().item == ("shop", "shop_before_20260501t100000z", "shop_restored")
    with pytest.raises(PlanError, match="PostgreSQL has a database shop_restored that no restore made"):
        RESTORE.plan(State.of({"role": "ours"}, {"beside": "theirs"}), {})


def test_no_user_of_the_server_can_be_before_pgbackrest_where_it_locks() -> None:
    assert "lock-path=/run/postgresql/pgbackrest\n" in settings(wanted())


def test_what_was_kept_is_dropped_by_name() -> None:
    change = DiscardedDatabases("shop").plan(
        State.of({"role": "ours"}, {"kept": "shop_before_1"}, {"kept": "beside"}), {}
    )
    assert change
    assert (change.summary, change.script) == (
        "shop: drop shop_before_1, beside for ever",
        "recovery_discard shop shop_before_1 beside",
    )
    assert DiscardedDatabases("shop").plan(State.of({"role": "ours"}), {}) is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root has folders in those of others")
def test_a_repository_is_made_where_root_alone_decides_what_is_there(
    call: Callable[..., Any], stand_in: Callable[[str, str], Path], owners: object, tmp_path: Path
) -> None:
    """Whoever has a folder above could put another in its place before it is given to postgres."""
    stand_in("runuser", "exit 0")
    above = tmp_path / "theirs" / "roots"
    above.mkdir(parents=True)
    os.chown(above.parent, 65534, 65534)
    made = call([backups], f"PATH={tmp_path}/bin:$PATH; backups_folder {above}/backups")
    assert f"{above.parent} is not root's alone" in made.stdout
    assert [*above.iterdir()] == []


def test_a_query_arrives_as_it_is_written(
    call: Callable[..., Any], stand_in: Callable[[str, str], Path], owners: object, root: Path
) -> None:
    query = """select count(*) > 0 from "a b" where c = 'it''s $HOME `id` \\ ${1} %n'"""
    (root / "var/lib/provision/scratch").mkdir(parents=True)
    stand_in(
        "systemd-run",
        f'echo "$*" >{root}/arguments; sed "s/^QUERY=/printf %s /" {root}/var/lib/provision/scratch/drill.env | sh',
    )
    ran = call([backups], f"recovery_query shop {quote(query)}")
    assert (ran.returncode, ran.stdout) == (0, query), ran.stderr
    assert "count" not in (root / "arguments").read_text()


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("postgresql+asyncpg://shop@/shop?host=/run/postgresql", "postgresql+asyncpg://shop@/shop?host=/run/provision-scratch-drill"),
        ("postgresql://shop:hidden@/shop?host=/run/postgresql&a=b", "postgresql://shop:hidden@/shop?host=/run/provision-scratch-drill&a=b"),
        ("postgresql://shop:hidden@db.example.com/shop", ""),
    ],
)  # fmt: skip
def test_the_address_that_a_drill_asks_is_in_no_argument(
    url: str,
    read: str,
    call: Callable[..., Any],
    stand_in: Callable[[str, str], Path],
    owners: object,
    root: Path,
) -> None:
    """All users of a server can read arguments and what systemd says of a unit; and systemd writes them to the journal."""
    release, slot = root / "srv/shop/releases/one", root / "etc/shop/blue"
    for folder in (release, slot, root / "var/lib/provision/scratch"):
        folder.mkdir(parents=True)
    (release / ".release").write_text("commit\t.\n")
    (release / "alembic.ini").touch()
    (slot.parent / "current").symlink_to("blue")
    (slot / "release").symlink_to(release)
    (slot / "env").write_text(f'A="b"\nDATABASE_URL="{url}"\n')
    stand_in(
        "systemd-run",
        f'echo "$*" >{root}/arguments; cat {root}/var/lib/provision/scratch/drill.env >{root}/read; echo abc123',
    )
    ran = call([backups], f"PATH={root}/bin:$PATH; recovery_alembic shop")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    asked = (root / "read").read_text() if (root / "read").exists() else ""
    assert asked == (f'DATABASE_URL="{read}"\n' if read else "")
    assert (root / "arguments").exists() == bool(read)
    assert not read or "hidden" not in (root / "arguments").read_text()


def said(
    backup: str = "ok", check: str = "ok", drill: str = "ok 12 1799999000", age: int = 3600, archiver: str = ""
) -> list[str]:
    """What a server says whose last backup is `age` seconds old."""
    raw = {
        "label": "20260501-023000F",
        "type": "full",
        "timestamp": {"start": NOW - age - 9, "stop": NOW - age},
        "info": {"size": 23_000_000, "repository": {"delta": 3_000_000}},
    }
    listed = base64.b64encode(json.dumps([{"backup": [raw] if age else []}]).encode()).decode()
    notes = {"backup": backup, "check": check, "drill": drill}
    lines = [f"what={name}\tat={NOW - 60}\tsaid={text}" for name, text in notes.items() if text]
    return [*lines, f"what=archiver\tat={archiver}\tsaid=failing", f"what=info\tat={NOW}\tsaid={listed}"]


def test_what_an_app_says_in_a_drill_is_no_news_of_the_backups(call: Callable[..., Any], owners: object) -> None:
    """An app that was taken over says in its database's error that its backups are well."""
    forged = f"ERROR: no\twhat=backup\tat={NOW}\tsaid=ok"
    script = "mkdir -p $backups_state; backups_note backup 'unable to open'; backups_note drill"
    ran = call([backups], f"{script} {quote(forged)}; backups_status")
    assert ran.returncode == 0, ran.stderr
    state = backup_status.state(wanted(), ran.stdout.splitlines())
    assert [one for one in state.wrong if one.endswith(": unable to open")], state


def wanted(**more: Any) -> Backups:
    return Backups.model_validate({"repository": "/srv/backups", "passphrase": PASSPHRASE, **more})


def test_backups_that_are_well_say_when_and_how_long() -> None:
    state = backup_status.state(wanted(), said())
    assert (state.wrong, state.drill_seconds, state.data_age) == ((), 12, 928)
    assert state.line("web1") == (
        "web1: backups: last backup 2027-01-15T07:00:00Z, last drill 2027-01-15T07:59:00Z (restored and checked in 12 s,"
        " the data was 928 s old)"
    )
    assert backup_status.state(wanted(), said(drill="ok 12 0")).data_age == 3528
    (one,) = backup_status.listed("web1", said())
    assert (one.id, one.kind, one.age, one.size, one.stored) == ("20260501-023000F", "full", 1.0, 23_000_000, 3_000_000)


def test_the_first_drill_may_wait_for_its_time() -> None:
    assert backup_status.state(wanted(), said(drill="")).wrong == ()
    late = backup_status.state(wanted(max_drill_age=2, max_age=9), said(drill="", age=3 * 3600))
    assert late.wrong == ("nothing has been restored for practice yet: invoke backup.drill",)


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        (said(age=40 * 3600), "the last one is 40 hours old, and 30 are allowed"),
        (said(backup="unable to open\x1b"), r"the last one failed at 2027-01-15T07:59:00Z: unable to open\x1b"),
        (said(check="no route"), "what PostgreSQL writes does not arrive in the repository: no route"),
        (said(drill="shop: it is damaged"), "the last drill failed at 2027-01-15T07:59:00Z: shop: it is damaged"),
        (said(archiver=str(NOW - 60)), "PostgreSQL's archive fails since 2027-01-15T07:59:00Z, which its log explains"),
        (said(age=0, drill=""), "there is none yet"),
    ],
)
def test_what_is_wrong_is_said(lines: list[str], wrong: str) -> None:
    state = backup_status.state(wanted(), lines)
    assert state.wrong == (wrong,)
    assert state.lines("web1") == (f"web1: backups: {wrong}",)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("{repository: backups}", '"backups" is not a repository; write a folder of the server, such as /mnt/backups'),
        ("{repository: /b, passphrase: short}", "a passphrase is 16 to 200 characters without spaces"),
        (f"{{repository: /b/../c, passphrase: {PASSPHRASE}}}", '"/b/../c" is not a repository'),
        (
            f"{{repository: sftp://a@b/c, passphrase: {PASSPHRASE}}}",
            "needs key and host_key: a private key, and what ssh-keyscan prints",
        ),
        (f"{{repository: /b, passphrase: {PASSPHRASE}, full: Funday}}", '"Funday" is no day of the week'),
        (
            f"{{repository: /b, passphrase: {PASSPHRASE}, host_key: {HOST_KEY}}}",
            "key and host_key are for a repository at sftp://",
        ),
    ],
)
def test_what_no_backup_can_be_made_with_is_said(make_host: MakeHost, text: str, wrong: str) -> None:
    with pytest.raises(InventoryError, match=re.escape(wrong)):
        make_host(f"{HOST}backups: {text}\n")


def test_the_key_may_be_a_secret_in_place_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "key"
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key), check=True)
    monkeypatch.setenv("KEY", key.read_text())
    (tmp_path / "prod.yml").write_text(
        f"{HOST}backups: {{repository: sftp://a@storage.example.com/b, passphrase: {PASSPHRASE}, key: !env KEY,"
        f" host_key: storage.example.com {HOST_KEY}}}\n"
    )
    backups = load(tmp_path / "prod.yml").hosts["web1"].backups
    assert backups
    assert backups.private_key.splitlines() == key.read_text().splitlines()


def test_an_older_pgbackrest_is_told_nothing_that_it_does_not_know() -> None:
    newer, older = (settings(wanted(), distribution).splitlines() for distribution in ("debian12", "debian11"))
    assert ("repo1-bundle=y" in newer, "repo1-bundle=y" in older) == (True, False)
    assert "archive-push-queue-max=4294967296" in older, "it takes GB for what newer ones call GiB"
