"""A control group a server, so that servers share no limits and none of their processes is lost sight of."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from provision.lab.machine import until

CONTROLLERS = ("cpu", "memory", "pids", "io")


def top() -> str:
    """The group above all; there is one lab a network namespace, and that is in the name."""
    return f"provision-lab-{Path('/proc/self/ns/net').stat().st_ino}"


def hierarchies() -> list[Path]:
    """The mounted hierarchies, the one that systemd uses first; cpuset groups start without any CPU, so not those."""
    unified, legacy = [], []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup2":
            unified.append(Path(place))
        elif kind == "cgroup" and "cpuset" not in options.split(","):
            legacy.append(Path(place))
    return unified[:1] + legacy


def create(name: str) -> list[Path]:
    groups = []
    for hierarchy in hierarchies():
        group = hierarchy / top() / name
        group.mkdir(parents=True, exist_ok=True)
        for parent in (hierarchy, hierarchy / top()):
            enable(parent)
        groups.append(group)
    return groups


def enable(group: Path) -> None:
    offered = group / "cgroup.controllers"
    if not offered.exists():
        return
    for controller in set(offered.read_text().split()) & set(CONTROLLERS):
        (group / "cgroup.subtree_control").write_text(f"+{controller}")


def processes(name: str = "") -> set[int]:
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
    """Kill what is in the group and remove it."""

    def ended() -> bool:
        for pid in processes(name):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return remove(name)

    return until(ended, timeout)


def remove(name: str = "") -> bool:
    for hierarchy in hierarchies():
        for folder, _, _ in os.walk(hierarchy / top() / name, topdown=False):
            try:
                Path(folder).rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return False
    return True
