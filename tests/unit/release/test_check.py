"""The check before an activation, and the migration: both leave a mark."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from provision.engine.resource import Change, State
from provision.release import check as check_module
from provision.release import shell
from provision.release.check import Check
from provision.release.migration import Migration
from tests.unit.conftest import planned as earlier

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provision.engine.resource import Resource

    Ran = subprocess.CompletedProcess[str]
    Observe = Callable[..., tuple[State, ...]]
    Call = Callable[..., Ran]

ID = "20261121T230500-0123456"
CHECK = Check("shop", ID, "app", "shop.main:app", "print")
MIGRATION = Migration("shop", ID, "app", "print")
MARKED = State.of({"mark": "print"})


def summary(resource: Resource, mark: str = "", before: tuple[str, ...] = ()) -> str | None:
    change = resource.plan(State.of({"mark": mark}) if mark else State(), earlier(*before))
    assert change is None or change.id == str(resource.ref)
    return change.summary if change else None


def planned(resource: Resource) -> Change:
    change = resource.plan(State(), {})
    assert change is not None
    return change


def test_a_release_is_checked_once_for_each_fingerprint() -> None:
    expected = "shop: check that shop.main:app can be imported"
    assert summary(CHECK) == expected
    assert summary(CHECK, "print") is None
    assert summary(CHECK, "other") == expected
    assert summary(CHECK, "print", before=("venv:shop",)) == expected
    assert summary(CHECK, "print", before=("venv:other", "release:other")) is None


def test_a_migration_runs_once_for_each_fingerprint() -> None:
    assert summary(MIGRATION, "print") is None
    assert summary(MIGRATION, "other") == "shop: migrate (alembic upgrade head, where there is an alembic.ini)"
    assert summary(replace(MIGRATION, command="./manage migrate")) == "shop: migrate (./manage migrate)"


def test_where_one_host_migrates_for_all_the_others_only_take_note() -> None:
    change = planned(MIGRATION)
    assert change.phase == "once"
    assert change.script == f"migration_run shop {ID} app print ''"
    assert change.follower_script == "mark_write shop migrated print"


def test_where_every_host_migrates_none_takes_note_instead() -> None:
    change = planned(replace(MIGRATION, every=True))
    assert (change.phase, change.follower_script) == ("once", "")
    assert change.script == planned(MIGRATION).script


def test_a_note_of_a_migration_reads_as_the_migration_itself(
    observe: Observe, call: Call, owners: Callable[[], list[str]]
) -> None:
    assert call([shell], planned(MIGRATION).follower_script).returncode == 0
    (state,) = observe(MIGRATION)
    assert MIGRATION.plan(state, {}) is None
    assert [line.split()[0] for line in owners()] == ["root:root"]


def test_a_migration_runs_again_where_its_database_is_made_anew() -> None:
    assert summary(MIGRATION, "print", before=("directory:/srv/shop/shared",)) is not None
    assert summary(MIGRATION, "print", before=("directory:/srv/blog/shared",)) is None


def test_what_comes_before_an_activation_cannot_be_taken_back() -> None:
    for resource, phase in ((CHECK, "prepare"), (MIGRATION, "once")):
        change = planned(resource)
        assert (change.phase, change.undo) == (phase, "")


def test_marks_are_read_by_their_first_line(root: Path, observe: Observe) -> None:
    assert observe(CHECK, MIGRATION) == (State(), State())
    marks = root / "var" / "lib" / "provision" / "apps" / "shop"
    marks.mkdir(parents=True)
    (marks / "checked").write_text("print\n")
    (marks / "migrated").write_text("")
    assert observe(CHECK, MIGRATION) == (MARKED, State())


def test_a_mark_that_was_made_is_read(observe: Observe, call: Call, owners: Callable[[], list[str]]) -> None:
    assert call([shell], "mark_write shop checked print").returncode == 0
    assert observe(CHECK) == (MARKED,)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("json:dumps", None),
        ("json:JSONEncoder.encode", None),
        ("no_such_module:app", "because ModuleNotFoundError: No module named 'no_such_module'"),
        ("json:no.such", "because AttributeError: module 'json' has no attribute 'no'"),
    ],
)
def test_a_module_that_cannot_be_imported_is_one_line(module: str, said: str | None) -> None:
    program = check_module.PROGRAM.partition("\n")[2].removesuffix("END_OF_PROGRAM")
    ran = subprocess.run((sys.executable, "-c", program, module), capture_output=True, text=True, timeout=20)
    assert (ran.returncode, ran.stderr.splitlines()[-1:]) == ((1, [said]) if said else (0, []))


def test_the_program_that_imports_travels_whole(root: Path, call: Call, stand_in: Callable[[str, str], Path]) -> None:
    """What stands for systemd-run runs it at once."""
    (root / "run" / "provision").mkdir(parents=True)
    stand_in("systemctl", "")
    stand_in("systemd-run", f'while [ "$1" != -c ]; do shift; done; exec \'{sys.executable}\' "$@"')
    ran = call([shell], planned(replace(CHECK, module="no_such_module:app")).script)
    assert ran.returncode == 1
    assert ran.stdout.splitlines()[-1] == (
        "error: shop: no_such_module:app cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"
    )


def test_a_check_that_succeeds_leaves_no_file(root: Path, call: Call, stand_in: Callable[[str, str], Path]) -> None:
    """What stands for systemd-run runs nothing, with success."""
    (root / "run" / "provision").mkdir(parents=True)
    release = root / "srv" / "shop" / "releases" / ID
    release.mkdir(parents=True)
    (release / ".release").write_text("0123456\tapp\n")
    stand_in("systemctl", "")
    stand_in("systemd-run", "echo warning")
    ran = call([shell], planned(CHECK).script)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert list((root / "run" / "provision").iterdir()) == []
