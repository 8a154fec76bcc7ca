from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from provision.engine.resource import Change
from provision.resources import release as release_module
from provision.resources.release import Activation, Check, Migration, Release

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from provision.engine.resource import Resource, State

    Observe = Callable[..., tuple[State, ...]]
    Call = Callable[..., subprocess.CompletedProcess[str]]

ID = "20261121T230500-0123456"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
RELEASE = Release("shop", ID, COMMIT, "app")
CHECK = Check("shop", ID, "app", "shop.main:app", "print")
MIGRATION = Migration("shop", ID, "app", "print")
ACTIVATION = Activation("shop", ID, "print", "e" * 64, "c" * 64, "/health", 30, "shop.example.com", 5)


def summary(resource: Resource, *row: str, before: tuple[str, ...] = ()) -> str | None:
    change = resource.plan((row,) if row else (), {name: Change(name, "", "") for name in before})
    assert change is None or change.id == resource.id
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
    change = resource.plan((row,) if row else (), {})
    assert change is not None
    return change


def test_where_one_host_migrates_for_all_the_others_only_take_note() -> None:
    change = planned(MIGRATION)
    assert change.phase == "migrate"
    assert change.script == f"migrate_release shop {ID} app print ''"
    assert change.elsewhere == "mark shop migrated print"


def test_where_every_host_migrates_none_takes_note_instead() -> None:
    change = planned(replace(MIGRATION, every=True))
    assert (change.phase, change.elsewhere) == ("migrate", "")
    assert change.script == planned(MIGRATION).script


def test_a_note_of_a_migration_reads_as_the_migration_itself(
    tmp_path: Path, me: tuple[str, str], observe: Observe, call: Call
) -> None:
    places = {"/var/lib/provision": tmp_path, " root root": f" {me[0]} {me[1]}"}
    assert call([release_module], planned(MIGRATION).elsewhere, places).returncode == 0
    (state,) = observe(MIGRATION, places=places)
    assert MIGRATION.plan(state, {}) is None


def test_a_migration_runs_again_where_its_database_is_made_anew() -> None:
    assert summary(MIGRATION, "print", before=("directory:/srv/shop/shared",)) is not None
    assert summary(MIGRATION, "print", before=("directory:/srv/blog/shared",)) is None


def test_only_an_activation_can_be_taken_back() -> None:
    change = planned(ACTIVATION)
    assert change.phase == "activate"
    assert change.script == f"activate shop {ID} print /health 30 shop.example.com 5 . '' ''"
    assert change.undo == "revert shop /health 30 shop.example.com"
    for other in (RELEASE, CHECK, MIGRATION):
        assert planned(other).undo == ""
    for other in (RELEASE, CHECK):
        assert planned(other).phase == "prepare"


def test_an_activation_and_its_way_back_have_the_processes_and_only_the_activation_the_hooks() -> None:
    hooked = replace(ACTIVATION, folder="app", before="warm up", after="tell 'all'", processes=("worker", "mail"))
    change = planned(hooked)
    assert change.script.endswith(""" shop.example.com 5 app 'warm up' 'tell '"'"'all'"'"'' worker mail""")
    assert change.undo == "revert shop /health 30 shop.example.com worker mail"


def test_without_nginx_an_activation_is_made_and_taken_back_without_a_domain() -> None:
    change = planned(replace(ACTIVATION, domain=""))
    assert change.script == f"activate shop {ID} print /health 30 '' 5 . '' ''"
    assert change.undo == "revert shop /health 30 ''"


SERVING = ("blue", "print", "active", "enabled", "no", "same", "inactive", ID, "200")


def with_(**changes: str) -> tuple[str, ...]:
    names = ("slot", "fingerprint", "active", "enabled", "reload", "snapshot", "idle", "current", "health")
    return tuple(changes.get(name, value) for name, value in zip(names, SERVING, strict=True))


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ((), "nothing serves yet"),
        (with_(current="20261001T000000-fedcba9"), "20261001T000000-fedcba9 is active"),
        (with_(current=""), "nothing is active"),
        (with_(fingerprint="other"), "its configuration changed"),
        (with_(fingerprint=""), "its configuration changed"),
        (with_(active="failed"), "its slot blue is failed"),
        (with_(health="500"), "its health check answered 500"),
        (with_(health="000"), "its health check answered 000"),
        (with_(reload="yes"), "its unit changed"),
        (with_(snapshot="differs"), "the files of slot blue were modified"),
        (with_(enabled="disabled"), "its slot blue would not start at boot"),
        (with_(idle="active"), "both slots run"),
    ],
)
def test_a_release_is_activated_for_a_reason(row: tuple[str, ...], why: str) -> None:
    assert summary(ACTIVATION, *row) == f"shop: activate {ID} ({why})"


@pytest.mark.parametrize("idle", ["inactive", "failed", "unknown"])
def test_a_release_that_serves_as_it_should_is_right(idle: str) -> None:
    assert summary(ACTIVATION, *with_(idle=idle)) is None


@pytest.mark.parametrize(
    ("before", "why"),
    [
        ("release:shop", "its files were restored"),
        ("venv:shop", "its files were restored"),
        ("file:/etc/systemd/system/shop@.service", "its unit changed"),
        ("directory:/srv/shop/shared", "its shared folder was restored"),
    ],
)
def test_a_release_is_activated_again_for_what_is_about_to_change(before: str, why: str) -> None:
    assert summary(ACTIVATION, *SERVING, before=(before,)) == f"shop: activate {ID} ({why})"


def test_another_apps_changes_activate_nothing() -> None:
    before = ("release:other", "venv:other", "file:/etc/systemd/system/other@.service", "directory:/srv/other/shared")
    assert summary(ACTIVATION, *SERVING, before=before) is None


def test_a_restart_starts_anew_what_serves_as_it_should() -> None:
    again = replace(ACTIVATION, again=True)
    assert summary(again, *SERVING) == f"shop: activate {ID} (restart)"
    assert planned(again, *SERVING).script == planned(ACTIVATION).script
    assert planned(again, *SERVING).undo == planned(ACTIVATION).undo


def test_a_restart_of_what_serves_in_another_way_is_for_the_restart() -> None:
    again = replace(ACTIVATION, again=True)
    assert summary(again, *with_(current="20261001T000000-fedcba9")) == f"shop: activate {ID} (restart)"
    assert summary(again) == f"shop: activate {ID} (nothing serves yet)"


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
    assert make(release.plan(state, {}), places).returncode == 0
    tree = srv / "shop" / "releases" / ID
    assert (tree / "app" / "main.py").read_text() == "app = None\n"
    assert [path.name for path in tree.parent.iterdir()] == [ID]
    assert observe(release, RELEASE, replace(release, folder="other"), places=places) == ((("unmodified",),), (), ())
    later = (tree / ".release").stat().st_mtime + 60
    os.utime(tree / "app" / "main.py", (later, later))
    (state,) = observe(release, places=places)
    assert state == (("modified",),)
    assert make(release.plan(state, {}), places).returncode == 0
    assert observe(release, places=places) == ((("unmodified",),),)


def test_a_restored_release_keeps_its_venv(srv: Path, commit: str, make: Call) -> None:
    places = {"/srv/": f"{srv}/"}
    release = replace(RELEASE, commit=commit)
    make(release.plan((), {}), places)
    link = srv / "shop" / "releases" / ID / ".venv"
    link.symlink_to("../../venvs/key")
    make(release.plan((("modified",),), {}), places)
    assert str(link.readlink()) == "../../venvs/key"


def test_a_commit_without_the_apps_folder_is_one_clear_line(srv: Path, commit: str, make: Call) -> None:
    ran = make(replace(RELEASE, commit=commit, folder="web").plan((), {}), {"/srv/": f"{srv}/"})
    assert ran.returncode == 1
    assert ran.stdout == "error: shop: the commit has no folder web (source.folder)\n"
    assert list((srv / "shop" / "releases").iterdir()) == []


@pytest.fixture
def prune(tmp_path: Path, call: Call) -> Callable[[int], tuple[list[str], list[str]]]:
    """Seven releases, a day and a venv each, of which the first is active and in slot blue and the third in green.

    What stays of them, as days, when so many are kept: releases, and venvs.
    """
    shop, slots = tmp_path / "srv" / "shop", tmp_path / "etc" / "shop"
    (tmp_path / "state" / "apps" / "shop" / "releases").mkdir(parents=True)
    for day in range(1, 8):
        (shop / "releases" / f"2026010{day}T000000-abc").mkdir(parents=True)
        (shop / "venvs" / f"key{day}").mkdir(parents=True)
        (shop / "releases" / f"2026010{day}T000000-abc" / ".venv").symlink_to(f"../../venvs/key{day}")
    for slot, day in (("blue", 1), ("green", 3)):
        (slots / slot).mkdir(parents=True)
        (slots / slot / "release").symlink_to(shop / "releases" / f"2026010{day}T000000-abc")
    (shop / "current").symlink_to("releases/20260101T000000-abc")

    def run(keep: int) -> tuple[list[str], list[str]]:
        places = {
            "/srv/": f"{tmp_path}/srv/",
            "/etc/": f"{tmp_path}/etc/",
            "/var/lib/provision": f"{tmp_path}/state",
        }
        assert call([release_module], f"app=shop\nprune {keep}", places).returncode == 0
        releases = sorted(path.name[7] for path in (shop / "releases").iterdir())
        return releases, sorted(path.name[3] for path in (shop / "venvs").iterdir())

    return run


def test_the_newest_releases_stay_and_those_in_use_with_their_venvs(
    prune: Callable[[int], tuple[list[str], list[str]]],
) -> None:
    assert prune(2) == (["1", "3", "6", "7"], ["1", "3", "6", "7"])


def test_failed_releases_go_unless_a_slot_has_them_and_take_no_place_of_good_ones(
    tmp_path: Path, prune: Callable[[int], tuple[list[str], list[str]]]
) -> None:
    records = tmp_path / "state" / "apps" / "shop" / "releases"
    for day, state in ((3, "failed"), (4, "good"), (6, "failed"), (7, "failed")):
        (records / f"2026010{day}T000000-abc").write_text(f"{state}\t2026-01-0{day}T00:00:00Z\tjo@desk\n")
    assert prune(2) == (["1", "3", "4", "5"], ["1", "3", "4", "5"])
    assert sorted(path.name[7] for path in records.iterdir()) == ["3", "4"]


def test_the_slot_with_the_traffic_is_the_one_that_the_link_names(tmp_path: Path, call: Call) -> None:
    places = {"/run/": f"{tmp_path}/"}
    assert call([release_module], "slot_of shop", places).stdout == "\n"
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "current.sock").symlink_to("green.sock")
    assert call([release_module], "slot_of shop; other green; other blue", places).stdout == "green\nblue\ngreen\n"
