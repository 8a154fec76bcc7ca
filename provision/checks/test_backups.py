"""The backups of the apps' databases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from provision.release import backups, status

if TYPE_CHECKING:
    from provision import inventory

pytestmark = pytest.mark.role("app")


def test_backups_are_made_arrive_and_can_be_restored(host: Any, declared: inventory.Host) -> None:
    if not status.backed_up(declared):
        pytest.skip("the inventory has no backups here")
    said = host.run("sh -c %s", f"{backups.STATUS}backups_status")
    (state,) = status.backups(declared, said.stdout.splitlines())
    assert not state.wrong, "; ".join(state.wrong)
