from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from provision.engine.resource import Change, State
from provision.release import tree as release_module
from provision.release.tree import Check, Migration, Release
from tests.unit.conftest import planned as earlier

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from provision.engine.resource import Resource

    Observe = Callable[..., tuple[State, ...]]
    Call = Callable[..., subprocess.CompletedProcess[str]]

ID = "20261121T230500-0123456"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
RELEASE = Release("shop", ID, COMMIT, "app")
CHECK = Check("shop", ID, "app", "shop.main:app", "print")
MIGRATION = Migration("shop", ID, "app", "print")


def summary(resource: Resource, *row: str, before: tuple[str, ...] = ()) -> str | None:
    change = resource.plan(State((row,) if row else ()), earlier(*before))
    assert change is None or change.id == str(resource.ref)
    return change.summary if change else None


def test_a_release_is_exported_once_and_restored_when_it_was_modified() -> None:
    assert summary(RELEASE) == f"shop: release {ID}"
    assert summary(RELEASE, "unmodified") is None
    assert summary(RELEASE, "modified") == f"shop: restore release {ID} (its files were modified)"


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


def planned(resource: Resource, *row: str) -> Change:
    change = resource.plan(State((row,) if row else ()), {})
    assert change is not None
    return change


def test_where_one_host_migrates_for_all_the_others_only_take_note() -> None:
    change = planned(MIGRATION)
    assert change.phase == "once"
    assert change.script == f"migrate_release shop {ID} app print ''"
    assert change.follower_script == "mark shop migrated print"


def test_where_every_host_migrates_none_takes_note_instead() -> None:
    change = planned(replace(MIGRATION, every=True))
    assert (change.phase, change.follower_script) == ("once", "")
    assert change.script == planned(MIGRATION).script


def test_a_note_of_a_migration_reads_as_the_migration_itself(
    tmp_path: Path, me: tuple[str, str], observe: Observe, call: Call
) -> None:
    places = {"/var/lib/provision": tmp_path, " root root": f" {me[0]} {me[1]}"}
    assert call([release_module], planned(MIGRATION).follower_script, places).returncode == 0
    (state,) = observe(MIGRATION, places=places)
    assert MIGRATION.plan(State(state), {}) is None


def test_a_migration_runs_again_where_its_database_is_made_anew() -> None:
    assert summary(MIGRATION, "print", before=("directory:/srv/shop/shared",)) is not None
    assert summary(MIGRATION, "print", before=("directory:/srv/blog/shared",)) is None


def test_what_comes_before_an_activation_cannot_be_taken_back() -> None:
    for resource, phase in ((RELEASE, "prepare"), (CHECK, "prepare"), (MIGRATION, "once")):
        change = planned(resource)
        assert (change.phase, change.undo) == (phase, "")


def test_marks_are_read_by_their_first_line(tmp_path: Path, observe: Observe) -> None:
    places = {"/var/lib/provision": tmp_path}
    assert observe(CHECK, MIGRATION, places=places) == ((), ())
    (tmp_path / "apps" / "shop").mkdir(parents=True)
    (tmp_path / "apps" / "shop" / "checked").write_text("print\n")
    (tmp_path / "apps" / "shop" / "migrated").write_text("")
    assert observe(CHECK, MIGRATION, places=places) == ((("print",),), ())


def test_a_mark_that_was_made_is_read(tmp_path: Path, me: tuple[str, str], observe: Observe, call: Call) -> None:
    places = {"/var/lib/provision": tmp_path, " root root": f" {me[0]} {me[1]}"}
    assert call([release_module], "mark shop checked print", places).returncode == 0
    assert observe(CHECK, places=places) == ((("print",),),)


@pytest.fixture
def srv(tmp_path: Path, repository: Path, git: Callable[..., str]) -> Path:
    """/srv/ with the app shop and its repository."""
    shop = tmp_path / "srv" / "shop"
    (shop / "releases").mkdir(parents=True)
    git("clone", "--quiet", "--bare", str(repository), str(shop / "repository.git"), folder=tmp_path)
    return tmp_path / "srv"


@pytest.fixture
def commit(repository: Path, git: Callable[..., str]) -> str:
    return git("rev-parse", "HEAD", folder=repository)


def test_a_release_that_was_exported_is_unmodified_until_a_file_changes(
    srv: Path, commit: str, observe: Observe, make: Call
) -> None:
    places = {"/srv/": f"{srv}/"}
    release = replace(RELEASE, commit=commit)
    (state,) = observe(release, places=places)
    assert state == ()
    assert make(release.plan(State(state), {}), places).returncode == 0
    tree = srv / "shop" / "releases" / ID
    assert (tree / "app" / "main.py").read_text() == "app = None\n"
    assert [path.name for path in tree.parent.iterdir()] == [ID]
    assert observe(release, RELEASE, replace(release, folder="other"), places=places) == ((("unmodified",),), (), ())
    later = (tree / ".release").stat().st_mtime + 60
    os.utime(tree / "app" / "main.py", (later, later))
    (state,) = observe(release, places=places)
    assert state == (("modified",),)
    assert make(release.plan(State(state), {}), places).returncode == 0
    assert observe(release, places=places) == ((("unmodified",),),)


def test_a_restored_release_keeps_its_venv(srv: Path, commit: str, make: Call) -> None:
    places = {"/srv/": f"{srv}/"}
    release = replace(RELEASE, commit=commit)
    make(release.plan(State(), {}), places)
    link = srv / "shop" / "releases" / ID / ".venv"
    link.symlink_to("../../venvs/key")
    make(release.plan(State((("modified",),)), {}), places)
    assert str(link.readlink()) == "../../venvs/key"


def test_a_commit_without_the_apps_folder_is_one_clear_line(srv: Path, commit: str, make: Call) -> None:
    ran = make(replace(RELEASE, commit=commit, folder="web").plan(State(), {}), {"/srv/": f"{srv}/"})
    assert ran.returncode == 1
    assert ran.stdout == "error: shop: the commit has no folder web (source.folder)\n"
    assert list((srv / "shop" / "releases").iterdir()) == []
