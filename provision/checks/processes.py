"""What runs as an app's user."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provision.inventory import App
from provision.release.layout import Layout

PROGRAM = Path(__file__).with_suffix(".sh")


@dataclass(frozen=True)
class Process:
    """A process of the app's user: its systemd unit, its Supervisor program, and the release that it was started from.

    Each of these is "" if it has none. `line` has its own id, its group's, and its ancestors'.
    """

    id: int
    unit: str
    program: str
    release: str
    line: frozenset[int]
    command: str


@pytest.fixture
def processes(host: Any, app: App) -> list[Process]:
    """All processes of the app's user, whoever started them."""
    lines = host.check_output(
        "sh -c %s sh %s %s", PROGRAM.read_text(), app.name, Layout(app.name).releases
    ).splitlines()
    found = []
    for number, unit, program, its_release, ids, command in (line.split("\t") for line in lines):
        found.append(Process(int(number), unit, program, its_release, frozenset(map(int, ids.split())), command))
    return found
