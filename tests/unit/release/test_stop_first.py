"""An old release that is not trusted to end: it is stopped before the new one starts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.unit.release.serving import ACTIVATION, ID, OTHER, SERVING, planned

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.conftest import Units
    from tests.unit.release.serving import Serve, Shell

FIRST = replace(ACTIVATION, stops_first=True)


def test_the_plan_says_so_and_nothing_brings_the_old_release_back() -> None:
    change = planned(FIRST, replace(SERVING, current=OTHER))
    assert change.summary == f"shop: activate {ID} ({OTHER} is active; the old release is stopped first)"
    assert change.script.endswith("activation_run stop-first")
    assert change.undo == ""


def test_it_is_an_ordinary_activation_if_nothing_serves() -> None:
    assert planned(FIRST) == planned(ACTIVATION)


def test_the_old_release_has_ended_when_the_new_one_starts(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    units.serve("blue")
    health(tmp_path / "run" / "shop" / "green.sock")
    assert shell("activation_run stop-first").returncode == 0
    assert units.running == {"shop@green.socket", "shop@green.service"}
    assert units.calls.index("stop shop@blue.service shop@blue.socket") < units.calls.index("start shop@green.service")
    assert str((tmp_path / "run" / "shop" / "current.sock").readlink()) == "green.sock"


def test_the_old_release_stays_away_when_the_new_one_fails(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    units.serve("blue")
    health(tmp_path / "run" / "shop" / "green.sock", 200, 503)
    assert shell("timeout=1; activation_run stop-first").returncode == 1
    assert not units.running
    assert not (tmp_path / "run" / "shop" / "current.sock").is_symlink()
    assert "disable --quiet shop@blue.socket" in units.calls
