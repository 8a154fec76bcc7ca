"""The release that is active."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from provision.inventory import App
    from tests.server.conftest import Slot

pytestmark = pytest.mark.role("app")


def test_the_active_release_names_its_commit(host: Any, app: App) -> None:
    path = host.check_output("readlink -f %s", f"/srv/{app.name}/current")
    assert path.startswith(f"/srv/{app.name}/releases/")
    commit, folder = host.check_output("cat %s", f"{path}/.release").split("\t")
    assert re.fullmatch("[0-9a-f]{40}", commit)
    assert path.endswith(f"-{commit[:7]}")
    assert folder == app.source.folder


def test_the_slot_runs_the_active_release(host: Any, app: App, slot: Slot) -> None:
    active = host.check_output("readlink -f %s", f"/srv/{app.name}/current")
    assert host.check_output("readlink -f %s", f"{slot.folder}/release") == active
    main = slot.main_process()
    assert main, f"{slot.unit} has no main process"
    shown = host.check_output("tr '\\0' '\\n' <%s | grep ^PROVISION_", f"/proc/{main}/environ").splitlines()
    assert f"PROVISION_RELEASE={active.rpartition('/')[2]}" in shown
    assert f"PROVISION_SLOT={slot.name}" in shown


def test_only_one_slot_runs(host: Any, slot: Slot) -> None:
    state = host.run("systemctl is-active %s", slot.other).stdout.strip()
    assert state in ("inactive", "failed"), f"{slot.other} is {state}"
    other = host.service(slot.other)
    assert not other.is_enabled, f"{slot.other} would start at boot"
