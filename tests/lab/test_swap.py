"""A swap file made and used for real on this machine, under a root folder of the test's own, and refused on a container."""

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from provision.engine import apply, probe
from provision.engine.resource import Change
from provision.engine.shell import joined
from provision.resources.swap import MIB, Swap
from tests.lab.sample_site import Apply

pytest_plugins = ("tests.lab.sample_site",)

WANTED = Swap(8 * MIB)
# This machine's own swap, if it has any, is not the test's business, nor is what kind of machine it is.
COMMANDS = {
    "systemd-detect-virt": "echo none; exit 1",
    "swapon": 'case $1 in --show*) /sbin/swapon "$@" | grep \'^{root}/\' ;; *) /sbin/swapon "$@" ;; esac',
}


@dataclass(frozen=True)
class Machine:
    """This machine, with `root` for its root folder."""

    root: Path

    @property
    def file(self) -> Path:
        """Where the swap file is."""
        return self.root / "swapfile"

    def sh(self, script: str) -> "subprocess.CompletedProcess[str]":
        """Run a script as on a server."""
        environ = {**os.environ, "PROVISION_ROOT": str(self.root)}
        return subprocess.run(("sh", "-s"), input=script, capture_output=True, text=True, timeout=60, env=environ)

    def plan(self, wanted: Swap) -> Change | None:
        """The change that is needed, from what a probe says."""
        ran = self.sh(probe.script([wanted]))
        return wanted.plan(probe.parse(ran.stdout, 1).states[0], {})

    def make(self, wanted: Swap) -> "subprocess.CompletedProcess[str]":
        """Make the change that is needed; there must be one."""
        change = self.plan(wanted)
        assert change is not None
        libraries = joined(apply.LIBRARY, change.library)
        return self.sh(f"{libraries}set -eu\nmain() {{\n{change.script}\n}}\nmain </dev/null\n")

    def in_use(self) -> dict[str, int]:
        """The KiB of each swap file below the root folder that the kernel uses."""
        rows = [line.split() for line in Path("/proc/swaps").read_text().splitlines()[1:]]
        return {row[0]: int(row[2]) for row in rows if row[0].startswith(f"{self.root}/")}

    def command(self, name: str, script: str) -> Path:
        """Put a script in place of a command."""
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path


@pytest.fixture
def machine() -> Iterator[Machine]:
    """The machine, with a root folder in /var/tmp, which is on a disk; whatever happens, the test's swap files go."""
    with TemporaryDirectory(dir="/var/tmp") as folder:
        machine = Machine(Path(folder))
        (machine.root / "bin").mkdir()
        for name, script in COMMANDS.items():
            machine.command(name, script.format(root=machine.root))
        try:
            yield machine
        finally:
            for path in machine.in_use():
                subprocess.run(("/sbin/swapoff", path), check=True)


def right(machine: Machine, size: int) -> bool:
    """The swap file is used, private, brought back after a boot, and all that is there."""
    header = 4096
    unit = machine.root / "etc/systemd/system/swap.target.wants/swapfile.swap"
    found = machine.file.stat()
    return (
        machine.in_use() == {str(machine.file): (size - header) // 1024}
        and (found.st_size, found.st_mode & 0o777, found.st_uid, found.st_gid) == (size, 0o600, 0, 0)
        and "What=/swapfile\n" in unit.read_text()
        and list(machine.root.glob(".provision.*")) == []
    )


def test_a_swap_file_is_made_and_used_and_then_there_is_nothing_to_do(machine: Machine) -> None:
    ran = machine.make(WANTED)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert right(machine, 8 * MIB)
    assert machine.plan(WANTED) is None


def test_a_swap_file_in_use_gets_another_size(machine: Machine) -> None:
    machine.make(WANTED)
    ran = machine.make(Swap(16 * MIB))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert right(machine, 16 * MIB)
    assert machine.plan(Swap(16 * MIB)) is None


def by_hand(*command: str) -> Callable[[Machine], object]:
    """What somebody does to the swap file."""
    return lambda machine: subprocess.run((*command, machine.file), check=True)


@pytest.mark.parametrize(
    ("hand", "what"),
    [
        (by_hand("/sbin/swapoff"), "use it"),
        (by_hand("chmod", "640"), "access 640 root:root -> 600 root:root"),
        (lambda machine: (machine.root / "etc/systemd/system/swapfile.swap").unlink(), "use it after each boot"),
    ],
    ids=["swapoff", "chmod", "no unit"],
)
def test_what_a_hand_did_is_mended_and_the_file_stays(
    machine: Machine, hand: Callable[[Machine], object], what: str
) -> None:
    machine.make(WANTED)
    before = machine.file.stat().st_ino
    hand(machine)
    change = machine.plan(WANTED)
    assert change is not None
    assert change.summary == f"swap file /swapfile: {what}"
    assert machine.make(WANTED).returncode == 0
    assert right(machine, 8 * MIB)
    assert machine.file.stat().st_ino == before


@pytest.mark.parametrize("killed", ["mkswap", "mv", "swapon"])
def test_after_a_run_that_was_killed_the_next_one_finishes_and_clears(machine: Machine, killed: str) -> None:
    show = f'case $1 in --show*) exec {machine.root}/bin/.swapon "$@" ;; esac\n' if killed == "swapon" else ""
    if show:
        (machine.root / "bin/swapon").rename(machine.root / "bin/.swapon")
    command = machine.command(killed, f"{show}kill -KILL $PPID")
    assert machine.make(WANTED).returncode != 0
    assert machine.in_use() == {}
    assert machine.file.exists() == (killed == "swapon")
    assert len(list(machine.root.glob(".provision.*"))) == (0 if killed == "swapon" else 1)
    command.unlink()
    if show:
        (machine.root / "bin/.swapon").rename(machine.root / "bin/swapon")
    ran = machine.make(WANTED)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert right(machine, 8 * MIB)
    assert machine.plan(WANTED) is None


def test_a_container_is_refused(apply: Apply) -> None:
    result = apply(WANTED)
    assert result.error == (
        "/swapfile: the server is a container (systemd-nspawn), and swap is its host's: make the swap file on the host"
    )
    assert result.changes == ()
