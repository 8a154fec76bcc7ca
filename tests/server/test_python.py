"""The app's Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from provision.resources.python import ROOT

if TYPE_CHECKING:
    from provision.inventory import App
    from tests.server.conftest import Slot

pytestmark = pytest.mark.role("app")


def test_the_venv_has_the_inventorys_python_from_pyenv(host: Any, app: App) -> None:
    program = "import platform, sys; print(platform.python_version(), sys.base_prefix)"
    said = host.check_output("%s -c %s", f"/srv/{app.name}/current/.venv/bin/python", program)
    assert said == f"{app.python.version} {ROOT}/versions/{app.python.name}"


def test_the_service_runs_this_python(host: Any, app: App, slot: Slot) -> None:
    program = host.check_output("readlink %s", f"/proc/{slot.main_process()}/exe")
    assert program.startswith(f"{ROOT}/versions/{app.python.name}/bin/python3")
