"""A control group for each server: servers share no limits, and all of their processes can be found."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from provision.lab.machine import until

CONTROLLERS = ("cpu", "memory", "pids", "io")


def top() -> str:
    """The top group. Its name has the network namespace, because each can have a lab."""
    return f"provision-lab-{Path('/proc/self/ns/net').stat().st_ino}"


def hierarchies() -> list[Path]:
    """The mounted hierarchies, systemd's first. Without cpuset, whose groups start with no CPU."""
    unified, legacy = [], []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup2":
            unified.append(Path(place))
        elif kind == "cgroup" and "cpuset" not in options.split(","):
            legacy.append(Path(place))
    return unified[:1] + legacy


def create(name: str) -> list[Path]:
    """Make the server's group in each hierarchy, and return their folders."""
    groups = []
    for hierarchy in hierarchies():
        group = hierarchy / top() / name
        group.mkdir(parents=True, exist_ok=True)
        for parent in (hierarchy, hierarchy / top()):
            enable(parent)
        groups.append(group)
    return groups


def enable(group: Path) -> None:
    """Let the group's children use the controllers that it has."""
    offered = group / "cgroup.controllers"
    if not offered.exists():
        return
    for controller in set(offered.read_text().split()) & set(CONTROLLERS):
        (group / "cgroup.subtree_control").write_text(f"+{controller}")


def processes(name: str = "") -> set[int]:
    """The ids of all processes in a group (by default the whole lab's) and below it."""
    found: set[int] = set()
    for hierarchy in hierarchies():
        for folder, _, files in os.walk(hierarchy / top() / name):
            if "cgroup.procs" in files:
                try:
                    found.update(map(int, (Path(folder) / "cgroup.procs").read_text().split()))
                except OSError:
                    continue
    return found - {0}


def end(name: str = "", timeout: float = 10) -> bool:
    """Kill every process in the group and remove it; False if that takes more than `timeout` seconds."""

    def ended() -> bool:
        for pid in processes(name):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return remove(name)

    return until(ended, timeout)


def remove(name: str = "") -> bool:
    """Remove the empty group and those below it; False while one is still in use."""
    for hierarchy in hierarchies():
        for folder, _, _ in os.walk(hierarchy / top() / name, topdown=False):
            try:
                Path(folder).rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return False
    return True
