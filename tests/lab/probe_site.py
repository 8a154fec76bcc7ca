"""The probe app's site on a lab server, under either process manager."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from provision import lab
from tests.lab import probe_app, steps
from tests.lab.conftest import LAB, Answer, Controller, https, seed, shell
from tests.lab.repository import Repository

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab3")
DOMAIN = f"probe.{SERVER}.test"
ADDRESS = f"10.213.0.{10 + int(SERVER.removeprefix('lab'))}"
Manager = Literal["systemd", "supervisor"]
# After each deploy that fails, a reboot must leave the release serving; it takes ten seconds.
REBOOTS = "PROVISION_REBOOTS" in os.environ


@dataclass(frozen=True)
class Site:
    """The probe app on the server, under a process manager; its good commits are on the branches one and two."""

    controller: Controller
    repository: Repository
    commits: tuple[str, str]
    manager: Manager

    @property
    def text(self) -> str:
        """The inventory's text."""
        return self.controller.inventory.read_text()

    def __call__(self, task: str, *options: str) -> Answer:
        """Run a task. After a deploy that fails, what serves must start again as it is."""
        serves = self.serving() if task == "deploy" else ""
        answer = self.controller(task, SERVER, *options)
        if answer.status and serves in self.commits:
            self.starts_again(serves)
        return answer

    def starts_again(self, commit: str) -> None:
        """A crash, and with PROVISION_REBOOTS a reboot, leave this commit serving."""
        self.crash()
        self.wait("a crash", (commit,))
        if REBOOTS:
            lab.reboot(SERVER)
            self.wait("a reboot", (commit,))

    def crash(self) -> None:
        """Let the process managers read their files anew, and kill the main process of the active slot and its workers."""
        main = self.main_process()
        shell(
            SERVER,
            "systemctl daemon-reload; supervisorctl reread >/dev/null 2>&1;"
            f" kill -KILL $(cat /proc/{main}/task/{main}/children) {main}",
        )

    def processes(self) -> list[str]:
        """The ids of the app's worker's processes."""
        return shell(SERVER, "pgrep -f '^python -m worker worker' || true").split()

    def main_process(self) -> int:
        """The id of the active slot's main process."""
        slot = self.slot()
        if self.manager == "supervisor":
            return int(shell(SERVER, f"supervisorctl pid probe-{slot}:probe-{slot}_0"))
        return int(shell(SERVER, f"systemctl show -p MainPID --value probe@{slot}.service"))

    def deploy(self, *options: str) -> Answer:
        """A deploy that must succeed."""
        return self.controller.deploy(SERVER, *options)

    def with_text(self, text: str) -> "Site":
        """The same site with another inventory, from here on."""
        self.controller.with_text(text)
        return self

    def serving(self) -> str:
        """The commit that answers."""
        return https(SERVER, "/commit", DOMAIN).stdout.strip('"')

    def slot(self) -> str:
        """The slot that has the traffic."""
        return shell(SERVER, "readlink /run/probe/current.sock").removesuffix(".sock")

    def running(self) -> list[str]:
        """The slots that run, under either process manager."""
        said = shell(
            SERVER,
            "for slot in blue green; do systemctl -q is-active probe@$slot && echo $slot; done;"
            " supervisorctl status 2>/dev/null | sed -n 's/^probe-.*:probe-\\(blue\\|green\\)_0 *\\(RUNNING\\|STARTING\\).*/\\1/p'",
        )
        return said.split()

    def next(self) -> tuple[str, str]:
        """The branch that is not being served, and its commit."""
        number = 1 - self.commits.index(self.serving())
        return ("one", "two")[number], self.commits[number]

    def held_up(self, revision: str, change: str, number: int) -> "tuple[subprocess.Popen[str], str]":
        """A deploy that stops before a step of the changes whose ids begin with `change`; its process, and the step."""
        steps.arm(SERVER, change, number)
        process = self.controller.start("deploy", SERVER, "--revision", revision)
        return process, steps.wait(SERVER)

    def wait(self, after: str, commits: tuple[str, ...] = ()) -> None:
        """Wait until it serves one of these commits by itself; by default, one of its good ones."""
        deadline = time.monotonic() + 30
        while self.serving() not in (commits or self.commits):
            assert time.monotonic() < deadline, after
            time.sleep(0.2)

    def left(self) -> list[str]:
        """Files that only an unfinished activation may have."""
        return shell(
            SERVER,
            "find /etc/probe /run/probe /srv/probe -maxdepth 2"
            " \\( -name '.provision.*' -o -name '*.provision-new' -o -name previous.sock -o -name standing-by -o -name held -o -name 'preview*' \\)",
        ).splitlines()


def make(manager: Manager, folder: Path, pythons: Path) -> Iterator[Site]:
    """The app at the branch one, on a server that was reset."""
    repository = Repository.create(f"probe-{SERVER}", folder / "work")
    repository.commit(probe_app.files(note="base"))
    commits = (
        repository.commit(probe_app.files(note="one"), "one"),
        repository.commit(probe_app.files(note="two"), "two"),
    )
    path = folder / "probe.yml"
    path.write_text(
        probe_app.INVENTORY.format(
            lab=LAB, url=repository.url, batch=1, migrate="false", memory="300M", manager=manager
        )
    )
    seeded = seed(path, pythons)
    lab.reset(SERVER, used=True)
    site = Site(Controller(path), repository, commits, manager)
    site.deploy("--revision", "one")
    yield site
    repository.remove()
    shutil.rmtree(seeded)
