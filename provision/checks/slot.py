"""The slot that has the traffic, and the release that it runs."""

import time
from dataclasses import dataclass
from typing import Any

import pytest

from provision.checks.managers import MANAGERS, Manager
from provision.inventory import App
from provision.release.layout import SLOTS, Layout


@dataclass(frozen=True)
class Slot:
    """The slot that has the traffic."""

    host: Any
    app: App
    name: str
    manager: Manager

    @property
    def program(self) -> str:
        """The slot's program."""
        return self.manager.slot(self.name)

    @property
    def other(self) -> str:
        """The other slot's program."""
        return self.manager.slot("green" if self.name == "blue" else "blue")

    @property
    def folder(self) -> str:
        """Where the slot's configuration is."""
        return Layout(self.app.name).slot(self.name).folder

    def main_process(self) -> int:
        """The id of the slot's main process."""
        found = self.manager.main_process(self.program)
        assert found, f"{self.program} has no main process"
        return found

    def health(self) -> str:
        """The HTTP status of the health check on the slot's own socket, asked as nginx asks; 000 if nothing answers."""
        path = Layout(self.app.name).slot(self.name).socket
        domain = self.app.asked[0]
        # An app may accept no other name, lead to HTTPS what did not come over it, and look at who asks.
        sent = "-H 'X-Real-IP: 127.0.0.1' -H 'X-Forwarded-For: 127.0.0.1' -H 'X-Forwarded-Proto: https' -H %s"
        words = f"curl -s -o /dev/null -m 10 -w '%%{{http_code}}' {sent} --unix-socket %s %s"
        url = f"http://{domain}{self.app.health.path}"
        return str(self.host.run(words, f"X-Forwarded-Host: {domain}", path, url).stdout)

    def processes(self) -> list[tuple[int, set[str]]]:
        """The main process first, then its workers: the id of each, and the ids of the users it runs as."""
        main = self.main_process()
        shown = self.host.check_output("cat /proc/[0-9]*/status 2>/dev/null | grep -E '^(Pid|PPid|Uid):'").split("\n")
        found = []
        for number, parent, users in zip(shown[::3], shown[1::3], shown[2::3], strict=True):
            if str(main) in (number.split()[1], parent.split()[1]):
                found.append((int(number.split()[1]), set(users.split()[1:])))
        return sorted(found, key=lambda process: process[0] != main)

    def returns(self, before: int, seconds: float) -> bool:
        """Whether another main process is healthy within so many seconds; False at once if the program has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.manager.has_ended(self.program):
                return False
            if self.manager.main_process(self.program) not in (0, before) and self.health() == "200":
                return True
            time.sleep(0.2)
        return False


@pytest.fixture
def slot(host: Any, app: App) -> Slot:
    """The slot that has the traffic."""
    layout = Layout(app.name)
    target = host.run("readlink %s", layout.current_socket).stdout.strip()
    name = target.removesuffix(".sock")
    assert name in SLOTS, f"{layout.current_socket} leads to no slot: {target or 'it is not there'}"
    manager = host.run("cat %s", layout.slot(name).manager).stdout.strip() or "systemd"
    return Slot(host, app, name, MANAGERS[manager](host, app))


@pytest.fixture
def release(host: Any, app: App) -> str:
    """The id of the active release."""
    return str(host.check_output("readlink -f %s", Layout(app.name).current)).rpartition("/")[2]
