"""The backups of the apps' databases and shared folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from provision.engine.shell import joined
from provision.release import backups, shared, status

if TYPE_CHECKING:
    from provision import inventory

pytestmark = pytest.mark.host("backups")


def test_backups_are_made_arrive_and_can_be_restored(host: Any, declared: inventory.Host) -> None:
    asked = "; ".join(status.backup_calls(declared, "status"))
    said = host.run("sh -c %s", f"{joined(backups.STATUS, shared.STATUS)}{asked}")
    wrong = [each for state in status.backups(declared, said.stdout.splitlines()) for each in state.wrong]
    assert not wrong, "; ".join(wrong)
