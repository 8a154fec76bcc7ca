"""The app's service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from provision.inventory import App
    from tests.server.conftest import Slot

pytestmark = pytest.mark.role("app")

RESTART_SECONDS = 20


def test_the_service_is_enabled(host: Any, slot: Slot) -> None:
    service = host.service(slot.unit)
    assert service.is_enabled, f"{slot.unit} would not start at boot"


def test_the_service_is_running(host: Any, slot: Slot) -> None:
    service = host.service(slot.unit)
    assert service.is_running, f"{slot.unit} does not run"


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


def test_the_service_comes_back_after_a_sigkill_of_its_main_process(host: Any, app: App, slot: Slot) -> None:
    # Coming back takes as long as a start, for which the inventory has a limit.
    seconds = max(RESTART_SECONDS, app.health.timeout)
    before = slot.main_process()
    assert before, f"{slot.unit} has no main process"
    host.check_output("kill -KILL %s", str(before))
    try:
        assert slot.returns(before, seconds), f"{slot.unit} was not back within {seconds} seconds"
    finally:
        # Neither a service that stays down, nor a start that counts against its limit, is left behind.
        host.run("systemctl reset-failed %s; systemctl start %s", slot.unit, slot.unit)
