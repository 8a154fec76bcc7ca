from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provision.engine.resource import State
from provision.release.removal import RemovedUnit

if TYPE_CHECKING:
    from tests.unit.release.serving import Observe


@pytest.mark.parametrize(
    ("path", "name", "script"),
    [
        ("/etc/systemd/system/shop@.service", "shop@.service", "systemd_remove shop@.service"),
        ("/etc/systemd/system/shop@blue.socket", "shop@blue.socket", "systemd_remove shop@blue.socket"),
        ("/etc/systemd/system/shop-tidy.timer", "shop-tidy.timer", "systemd_remove shop-tidy.timer"),
        ("/etc/supervisor/conf.d/shop-blue.conf", "shop-blue.conf", "supervisor_remove shop-blue"),
        ("/etc/cron.d/shop-tidy", "shop-tidy", "supervisor_remove_job shop-tidy"),
    ],
)
def test_what_is_retired_goes_by_its_name_and_is_gone_by_its_path(path: str, name: str, script: str) -> None:
    change = RemovedUnit(path).plan(State(), {})
    assert change is not None
    assert change.id == str(RemovedUnit(path).ref) == f"retired:{name}"
    assert change.summary == f"{name}: stop and remove"
    assert change.script == script
    assert (change.phase, change.undo) == ("finish", "")


def test_nothing_is_asked_of_what_is_to_go(observe: Observe) -> None:
    assert observe(RemovedUnit("/etc/cron.d/one"), RemovedUnit("/etc/cron.d/two")) == ((), ())
