"""The app's Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from provision.inventory.python import AUTO, DEFAULT
from provision.release.layout import Layout
from provision.release.python import ran_on, with_python
from provision.release.venv import python_home

if TYPE_CHECKING:
    from provision.checks.slot import Slot
    from provision.inventory import App

pytestmark = pytest.mark.role("app")

WHICH = "import platform, sys; print(platform.python_version(), sys.base_prefix)"


def chosen(host: Any, app: App, release: str) -> App:
    """The app with the Python that was chosen for its release, where the inventory leaves that open."""
    if app.python.version != AUTO:
        return app
    kept = host.run("sed -n 2p %s", Layout(app.name).release(release).record).stdout
    return with_python(app, ran_on(kept) or DEFAULT)


def test_the_venv_has_the_inventorys_python(host: Any, app: App, release: str) -> None:
    """The named or chosen version, built by pyenv, or the distribution's current one."""
    said = host.check_output("%s -c %s", f"{Layout(app.name).current}/.venv/bin/python", WHICH)
    runs = chosen(host, app, release)
    wanted = (
        host.check_output("/usr/bin/python3 -c %s", WHICH)
        if runs.python.system
        else f"{runs.python.exact} {python_home(runs)}"
    )
    assert said == wanted


def test_the_service_runs_this_python(host: Any, app: App, slot: Slot, release: str) -> None:
    program = host.check_output("readlink %s", f"/proc/{slot.main_process()}/exe")
    assert program.startswith(f"{python_home(chosen(host, app, release))}/bin/python3")
