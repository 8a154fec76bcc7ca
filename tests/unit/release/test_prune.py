"""Which releases stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.release.serving import Shell


@pytest.fixture
def prune(tmp_path: Path, shell: Shell) -> Callable[[int], tuple[list[str], list[str]]]:
    """Seven releases, a day and a venv each, of which the first is active and in slot blue and the third in green.

    What stays of them, as days, when so many are kept: releases, and venvs.
    """
    shop, folders = tmp_path / "srv" / "shop", tmp_path / "etc" / "shop"
    (tmp_path / "var" / "lib" / "provision" / "apps" / "shop" / "releases").mkdir(parents=True)
    for day in range(1, 8):
        (shop / "releases" / f"2026010{day}T000000-abc").mkdir(parents=True)
        (shop / "venvs" / f"key{day}").mkdir(parents=True)
        (shop / "releases" / f"2026010{day}T000000-abc" / ".venv").symlink_to(f"../../venvs/key{day}")
    for slot, day in (("blue", 1), ("green", 3)):
        (folders / slot).mkdir(parents=True)
        (folders / slot / "release").symlink_to(shop / "releases" / f"2026010{day}T000000-abc")
    (shop / "current").symlink_to("releases/20260101T000000-abc")

    def run(keep: int) -> tuple[list[str], list[str]]:
        assert shell(f"keep={keep}; release_prune").returncode == 0
        releases = sorted(path.name[7] for path in (shop / "releases").iterdir())
        return releases, sorted(path.name[3] for path in (shop / "venvs").iterdir())

    return run


def test_the_newest_releases_stay_and_those_in_use_with_their_venvs(
    prune: Callable[[int], tuple[list[str], list[str]]],
) -> None:
    assert prune(2) == (["1", "3", "6", "7"], ["1", "3", "6", "7"])


def test_a_venv_that_only_a_slot_has_stays(tmp_path: Path, prune: Callable[[int], tuple[list[str], list[str]]]) -> None:
    """The slot's release has another one since, with which it is yet to be started."""
    shop = tmp_path / "srv" / "shop"
    (shop / "venvs" / "key8").mkdir()
    (tmp_path / "etc" / "shop" / "blue" / "venv").symlink_to(shop / "venvs" / "key8")
    assert prune(2) == (["1", "3", "6", "7"], ["1", "3", "6", "7", "8"])


def test_failed_releases_go_unless_a_slot_has_them_and_take_no_place_of_good_ones(
    tmp_path: Path, prune: Callable[[int], tuple[list[str], list[str]]]
) -> None:
    records = tmp_path / "var" / "lib" / "provision" / "apps" / "shop" / "releases"
    for day, state in ((3, "failed"), (4, "good"), (6, "failed"), (7, "failed")):
        (records / f"2026010{day}T000000-abc").write_text(f"{state}\t2026-01-0{day}T00:00:00Z\tjo@desk\n")
    assert prune(2) == (["1", "3", "4", "5"], ["1", "3", "4", "5"])
    assert sorted(path.name[7] for path in records.iterdir()) == ["3", "4"]


def test_what_was_built_goes_with_the_last_release_that_has_it(
    tmp_path: Path, prune: Callable[[int], tuple[list[str], list[str]]]
) -> None:
    shop = tmp_path / "srv" / "shop"
    for key, days in (("gone", (2, 4)), ("kept", (4, 7)), ("in-use", (3,)), ("nobodys", ())):
        (shop / "builds" / key / "out").mkdir(parents=True)
        for day in days:
            with (shop / "releases" / f"2026010{day}T000000-abc" / ".built").open("a") as record:
                record.write(f"{key}\n")
    # A link of that name is a commit's own.
    (shop / "releases" / "20260106T000000-abc" / ".built").symlink_to("/dev/zero")
    prune(2)
    assert sorted(path.name for path in (shop / "builds").iterdir()) == ["in-use", "kept"]
