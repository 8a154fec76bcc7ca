"""Backups of shared folders: what is planned, what is kept, and what is wrong with them."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from provision import roles
from provision.engine.resource import State
from provision.errors import InventoryError, PlanError
from provision.inventory.backups import Backups
from provision.release import backup_status, backups
from provision.release.backups import backed_up_databases
from provision.release.recovery import Moment
from provision.release.shared import LIBRARY, SharedRepository, program, settings, variables
from provision.release.shared_recovery import DiscardedShared, RestoredShared, SwitchedShared
from tests.inventories import HOST_KEY
from tests.unit.tables import HOST, SHOP, ids

if TYPE_CHECKING:
    from tests.unit.tables import MakeFacts, MakeHost

PASSPHRASE = 'correct-"horse"-$battery'
WITH = f"backups: {{repository: /mnt/backups, passphrase: '{PASSPHRASE}'}}\n"
S3 = f"repository: s3://s3.example.com:9000/shop-backups/one, access_key: AKIA, secret_key: secretsecret, passphrase: '{PASSPHRASE}'"
DATABASE = f"{SHOP[:-2]}, database: postgresql}}\n"
NOW = 1_800_000_000


def run(script: str) -> str:
    return subprocess.run(["sh"], input=f"{LIBRARY}\n{script}", capture_output=True, text=True, check=True).stdout


def test_every_app_of_a_host_with_backups_has_them_unless_it_says_otherwise(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    found = ids(roles.server(make_host(f"{HOST}{WITH}apps:\n{SHOP}"), *make_known()))
    assert found.index("user:provision-backup") < found.index("file:/etc/provision/restic/environment")
    assert found.index("directory:/srv/shop/shared") < found.index("repository:shared")
    assert "backups:none" in found
    for text in (f"{HOST}apps:\n{SHOP}", f"{HOST}{WITH}apps:\n{SHOP[:-2]}, backup_shared: false}}\n"):
        found = ids(roles.server(make_host(text), *make_known()))
        assert "backups:shared-none" in found
        assert not [each for each in found if "restic" in each or "shared-backup" in each]


def test_a_repository_is_made_ready_when_what_reaches_it_changes(make_host: MakeHost) -> None:
    host = make_host(f"{HOST}{WITH}apps:\n{SHOP}")
    one = SharedRepository(host, "1234")
    assert one.plan(State.of({"settled": "1234"}), {}) is None
    change = one.plan(State.of({"settled": "other"}), {})
    assert change
    assert change.script == f"{variables(host)}shared_enable 1234"


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("repository: /mnt/backups", ("/mnt/backups", "''")),
        (S3.rpartition(", passphrase")[0], ("''", "s3:https://s3.example.com:9000/shop-backups/one")),
        (
            f"repository: sftp://a@storage.example.com:2222/b, key: KEY, host_key: '[storage.example.com]:2222 {HOST_KEY}'",
            ("''", "sftp:a@storage.example.com:/b"),
        ),
    ],
)
def test_a_repository_is_a_folder_a_bucket_or_behind_sftp(
    make_host: MakeHost, tmp_path: Any, where: str, expected: tuple[str, str]
) -> None:
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"), check=True)
    where = where.replace("KEY", str(tmp_path / "key"), 1)
    said = variables(make_host(f"{HOST}backups: {{{where}, passphrase: {'x' * 20}}}\napps:\n{SHOP}"))
    assert (f"shared_place={expected[0]}\n" in said, f"shared_url={expected[1]}\n" in said) == (True, True)
    assert ("-p 2222 a@storage.example.com -s sftp" in said) == ("sftp" in where)


def test_secrets_are_in_the_settings_alone(make_host: MakeHost) -> None:
    host = make_host(f"{HOST}backups: {{{S3}}}\napps:\n{DATABASE}")
    wanted = host.backups
    assert wanted
    assert 'RESTIC_PASSWORD="correct-\\"horse\\"-\\$battery"\n' in settings(wanted)
    assert 'AWS_SECRET_ACCESS_KEY="secretsecret"\n' in settings(wanted)
    assert "repo1-s3-key-secret=secretsecret\n" in backups.settings(wanted)
    assert {"repo1-s3-endpoint=s3.example.com:9000", "repo1-path=/one", "repo1-s3-uri-style=path"} <= {
        *backups.settings(wanted).splitlines()
    }
    for secret in (PASSPHRASE, "secretsecret"):
        assert secret not in program(host) + backups.program(host) + repr(wanted) + variables(host)
    assert backed_up_databases(host) == ["shop"]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("{repository: 's3://h/bucket', passphrase: PASS}", "is not a repository"),
        ("{repository: 's3://h/bucket/a', passphrase: PASS}", "s3:// needs access_key and secret_key"),
        (
            "{repository: /b, access_key: a, passphrase: PASS}",
            "access_key and secret_key are for a repository at s3://",
        ),
    ],
)
def test_a_bucket_needs_its_keys(make_host: MakeHost, text: str, wrong: str) -> None:
    with pytest.raises(InventoryError, match=re.escape(wrong)):
        make_host(f"{HOST}backups: {text.replace('PASS', 'x' * 20)}\n")


def snapshot(day: int, kind: str, app: str = "shop") -> dict[str, Any]:
    return {
        "time": f"2026-05-{day:02}T02:30:00.123456789Z",
        "tree": "ab",
        "paths": ["/mnt/shared", "/mnt/sqlite"],
        "tags": [f"app.{app}", f"kind.{kind}", "of.0123456789ab"],
        "summary": {"backup_start": "2020-01-01T00:00:00Z"},
        "id": f"{day:08x}" * 8,
        "short_id": f"{day:08x}",
    }


def test_snapshots_are_read_from_what_restic_lists() -> None:
    listed = json.dumps([snapshot(3, "differential"), snapshot(2, "full"), {**snapshot(4, "full"), "tags": ["own"]}])
    compact = listed.replace(": ", ":").replace(", ", ",")
    said = run(f"shared_restic() {{ printf '%s' '{compact}'; }}\nshared_snapshots web1\n")
    assert said.splitlines() == [
        "2026-05-02T02:30:00 00000002 full 0123456789ab shop",
        "2026-05-03T02:30:00 00000003 differential 0123456789ab shop",
    ]


@pytest.mark.parametrize(
    ("kinds", "keep", "old"),
    [
        ("fddfdd", 2, []),
        ("fddfdd", 1, [1, 2, 3]),
        ("ddfdf", 2, [1, 2]),
        ("dddd", 1, []),
        ("", 1, []),
    ],
)
def test_what_is_older_than_the_full_ones_that_are_kept_goes(kinds: str, keep: int, old: list[int]) -> None:
    names = {"f": "full", "d": "differential"}
    lines = "".join(
        f"2026-05-{day:02}T00:00:00 {day} {names[kind]} ab shop\n2026-05-{day:02}T00:00:00 9{day} full ab other\n"
        for day, kind in enumerate(kinds, 1)
    )
    said = run(f"shared_keep={keep}\nshared_old shop <<'END'\n{lines}END\n")
    assert [int(each) for each in said.split()] == old


@pytest.mark.parametrize(
    ("text", "size"), [("300.969 KiB", "308192"), ("512 B", "512"), ("1.500 GiB", "1610612736"), ("", "")]
)
def test_sizes_are_read_from_what_restic_prints(text: str, size: str) -> None:
    assert run(f"printf '%s' '{text}' | shared_bytes") == size


def test_a_restore_comes_beside_first_and_says_of_when(make_host: MakeHost) -> None:
    host = make_host(f"{HOST}{WITH}apps:\n{SHOP}")
    moment = Moment(datetime(2026, 5, 1, 12, 30, tzinfo=UTC))
    here = State.of({"user": "yes"})
    change = RestoredShared(host, "shop", moment, "web1").plan(here, {})
    assert change
    assert change.summary == (
        "shop: restore shared/ of the newest snapshot that is not from after 2026-05-01T12:30:00Z, as shared.restored beside it"
    )
    assert change.script.endswith("shared_restore shop web1 2026-05-01T12:30:00 - shared.restored")
    change = RestoredShared(host, "shop", Moment(backup="0a1b2c3d"), "web0", "older").plan(here, {})
    assert change
    assert change.script.endswith("shared_restore shop web0 - 0a1b2c3d shared.restored-older")
    assert "from the backups of web0" in change.summary
    switched = SwitchedShared(host, "shop", "shared.before-20260501T123000Z").plan(here, {})
    assert switched
    assert switched.script == "shared_switch shop shared.restored shared.before-20260501T123000Z"


@pytest.mark.parametrize(
    ("state", "into", "wrong"),
    [
        ({}, "", "has no shared folder on this server yet"),
        ({"user": "yes", "apart": "yes"}, "", "is a link or a mount of its own"),
        ({"user": "yes", "taken": "yes"}, "older", "there is a folder shared.restored-older already"),
    ],
)
def test_what_cannot_be_restored_is_refused(make_host: MakeHost, state: dict[str, str], into: str, wrong: str) -> None:
    host = make_host(f"{HOST}{WITH}apps:\n{SHOP}")
    with pytest.raises(PlanError, match=wrong):
        RestoredShared(host, "shop", Moment(), "web1", into).plan(State.of(state) if state else State(), {})


def test_only_what_restores_left_is_removed() -> None:
    change = DiscardedShared("shop").plan(
        State.of({"kept": "shared.restored-a"}, {"kept": "shared.before-20260501T123000Z"}), {}
    )
    assert change
    assert change.script == "shared_discard shop shared.restored-a shared.before-20260501T123000Z"
    assert DiscardedShared("shop").plan(State.of({"user": "yes"}), {}) is None
    with pytest.raises(Exception, match="kept"):
        DiscardedShared("shop").plan(State.of({"kept": "shared.x; rm"}), {})


RESTORED = [
    "restored-shared:shop",
    "restored-database:shop",
    "switched-shared:shop",
    "backups:settled",
    "backups:shared-settled",
]


@pytest.mark.parametrize(
    ("moment", "only", "found"),
    [
        (Moment(), "", RESTORED),
        (Moment(), "database", ["restored-database:shop", "backups:settled"]),
        (Moment(), "shared", ["restored-shared:shop", "switched-shared:shop", "backups:shared-settled"]),
        (Moment(before="20260501T123000-abc1234"), "", ["restored-database:shop", "backups:settled"]),
        (Moment(backup="20260501-023000F"), "", ["restored-database:shop", "backups:settled"]),
        (Moment(backup="0a1b2c3d"), "", ["restored-shared:shop", "switched-shared:shop", "backups:shared-settled"]),
    ],
)
def test_database_and_folder_are_restored_together_or_one_alone(
    make_host: MakeHost, make_known: MakeFacts, moment: Moment, only: Any, found: list[str]
) -> None:
    host = make_host(f"{HOST}{WITH}apps:\n{DATABASE}")
    known = make_known()
    resources = roles.backups.restored(host, known.facts, known.wanted, moment, only=only)
    assert ids(tuple(resources)) == found


def said(
    backup: str = "ok", check: str = "ok", drill: str = "ok 12 1799996400", age: int = 3600, app: str = "shop"
) -> list[str]:
    """What a server says whose last snapshot is `age` seconds old."""
    at = datetime.fromtimestamp(NOW - age, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    listed = base64.b64encode(f"{at} 0a1b2c3d full {app} 1000 -\n".encode() if age else b"").decode()
    notes = {"shared-backup": backup, "shared-check": check, "shared-drill": drill}
    lines = [f"what={name}\tat={NOW - 60}\tsaid={text}" for name, text in notes.items() if text]
    return [*lines, f"what=shared-info\tat={NOW}\tsaid={listed}"]


def state(lines: list[str], **more: Any) -> backup_status.BackupState:
    wanted = Backups.model_validate({"repository": "/mnt/backups", "passphrase": PASSPHRASE, **more})
    return backup_status.state(wanted, lines, ["shop"])


def test_backups_that_are_well_say_when_and_how_long() -> None:
    one = state(said())
    assert (one.wrong, one.databases) == ((), False)
    assert one.shared
    assert (one.shared.drill_seconds, one.shared.data_age) == (12, 3528)
    assert one.line("web1") == (
        "web1: backups: shared/: last backup 2027-01-15T07:00:00Z, last drill 2027-01-15T07:59:00Z (restored and checked in 12 s)"
    )
    (info,) = backup_status.listed("web1", said())
    assert (info.of, info.id, info.kind, info.age, info.size, info.stored) == (
        "shop/shared",
        "0a1b2c3d",
        "full",
        1.0,
        1000,
        None,
    )


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        (said(age=40 * 3600), "the last one of shop is 40 hours old, and 30 are allowed"),
        (said(app="blog"), "there is none yet of shop"),
        (said(backup="shop: a.db\x1b"), r"the last backup failed at 2027-01-15T07:59:00Z: shop: a.db\x1b"),
        (said(check="no route"), "the repository cannot be read: no route"),
        (said(drill="damaged"), "the last drill failed at 2027-01-15T07:59:00Z: damaged"),
        (said(age=0, drill=""), "there is none yet of shop"),
        (said(age=29 * 3600, drill=""), "nothing has been restored for practice yet: invoke backup.drill"),
    ],
)
def test_what_is_wrong_is_said(lines: list[str], wrong: str) -> None:
    assert state(lines, max_drill_age=20 if "practice" in wrong else 200).wrong == (f"shared/: {wrong}",)
