"""The app's Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from provision.release.layout import Layout
from provision.release.venv import python_home

if TYPE_CHECKING:
    from provision.checks.slot import Slot
    from provision.inventory import App

pytestmark = pytest.mark.role("app")

WHICH = "import platform, sys; print(platform.python_version(), sys.base_prefix)"


def test_the_venv_has_the_inventorys_python(host: Any, app: App) -> None:
    """The named version, built by pyenv, or the distribution's current one."""
    said = host.check_output("%s -c %s", f"{Layout(app.name).current}/.venv/bin/python", WHICH)
    wanted = (
        host.check_output("/usr/bin/python3 -c %s", WHICH)
        if app.python.system
        else f"{app.python.version} {python_home(app)}"
    )
    assert said == wanted


def test_the_service_runs_this_python(host: Any, app: App, slot: Slot) -> None:
    program = host.check_output("readlink %s", f"/proc/{slot.main_process()}/exe")
    assert program.startswith(f"{python_home(app)}/bin/python3")
