"""The app's service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from provision.checks.slot import Slot
    from provision.inventory import App

pytestmark = pytest.mark.role("app")

RESTART_SECONDS = 20


def test_the_inventorys_process_manager_runs_the_service(host: Any, app: App, slot: Slot) -> None:
    said = host.run("cat %s", f"{slot.folder}/manager").stdout.strip() or "systemd"
    assert said == app.process_manager, f"{slot.program} is run by {said}"


def test_the_service_is_enabled(slot: Slot) -> None:
    assert slot.manager.starts_at_boot(slot.program), f"{slot.program} would not start at boot"


def test_the_service_is_running(slot: Slot) -> None:
    assert slot.manager.runs(slot.program), f"{slot.program} does not run"


def test_the_service_is_healthy_on_its_socket(slot: Slot) -> None:
    status = slot.health()
    assert status == "200"


def test_the_service_runs_as_the_apps_user(host: Any, app: App, slot: Slot) -> None:
    user = host.check_output("id -u %s", app.name)
    assert {number: users for number, users in slot.processes() if users != {user}} == {}, f"{app.name} is {user}"


def test_the_service_has_as_many_workers_as_configured(host: Any, app: App, slot: Slot) -> None:
    processors = int(host.check_output("nproc"))
    wanted = min(2 * processors + 1, 8) if app.workers == "auto" else app.workers
    workers = len(slot.processes()) - 1
    assert workers == wanted


@pytest.mark.disruptive
@pytest.mark.usefixtures("lock")
def test_the_service_comes_back_after_a_sigkill_of_its_main_process(host: Any, app: App, slot: Slot) -> None:
    # A restart takes as long as a start, which the inventory limits.
    seconds = max(RESTART_SECONDS, app.health.timeout)
    before = slot.main_process()
    host.check_output("kill -KILL %s", str(before))
    try:
        assert slot.returns(before, seconds), f"{slot.program} was not back within {seconds} seconds"
    finally:
        # Do not leave the service down, nor the kill counted against its start limit.
        slot.manager.start(slot.program)
