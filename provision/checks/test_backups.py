"""The backups of the apps' databases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from provision.release import backups, status

if TYPE_CHECKING:
    from provision import inventory

pytestmark = [pytest.mark.role("app"), pytest.mark.host("backups")]


def test_backups_are_made_arrive_and_can_be_restored(host: Any, declared: inventory.Host) -> None:
    said = host.run("sh -c %s", f"{backups.STATUS}backups_status")
    wrong = [each for state in status.backups(declared, said.stdout.splitlines()) for each in state.wrong]
    assert not wrong, "; ".join(wrong)
