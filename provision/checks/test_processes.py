"""The app's processes and schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from provision.checks.processes import Process
    from provision.checks.slot import Slot
    from provision.inventory import App

pytestmark = pytest.mark.role("app")


def test_every_process_runs_the_active_release_and_starts_at_boot(
    app: App, slot: Slot, release: str, processes: list[Process]
) -> None:
    releases = {process.id: process.release for process in processes}
    for name in app.processes:
        program = slot.manager.process(name)
        assert slot.manager.runs(program), f"{program} does not run"
        assert slot.manager.starts_at_boot(program), f"{program} would not start at boot"
        assert releases.get(slot.manager.main_process(program)) == release, f"{program} runs another release"


def test_every_schedule_has_a_next_time(app: App, slot: Slot) -> None:
    for name in app.schedules:
        assert slot.manager.never(name) == ""


def test_nothing_is_left_of_processes_that_the_inventory_no_longer_has(slot: Slot) -> None:
    assert slot.manager.left_over() == set()
