"""Swap files."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Finding, Probe, Ref, State
from provision.engine.shell import library, words
from provision.errors import PlanError

LIBRARY = library(__file__)
MIB, GIB = 1024**2, 1024**3
SPARE = GIB  # bytes of the disk that stay free beside the swap file


def size_for(memory: int) -> int:
    """How large a swap file should be for this much memory, both in bytes: whole MiB.

    Up to 1 GiB, as large as the memory; above, the square root of the memory in GiB, rounded: 2 GiB for 4, 3 for 8, 4
    for 16. This is the rule for machines that never hibernate of https://help.ubuntu.com/community/SwapFaq. It covers
    peaks (a build, a migration) on a small server, without taking much of its disk.
    """
    return round(math.sqrt(memory / GIB)) * GIB if memory > GIB else math.ceil(memory / MIB) * MIB


@dataclass(frozen=True, slots=True)
class Swap:
    """A swap file of `size` bytes, in use now and after each boot. A server that has other swap needs none.

    Roles ask for `Swap(size_for(facts[SYSTEM].memory))`. The folder of `path` is there, on a filesystem that can hold
    swap files (swapon(8)); the path has no white space. A systemd unit, and not a line in /etc/fstab, brings the swap
    back after a boot: systemd.mount(5) recommends units to tools, and a unit is a file of its own that is written
    whole, while fstab belongs to whoever runs the server, and a mistake there can keep it from booting. A container is refused,
    unless this is `optional`; then a full disk is only warned of, too.
    """

    size: int
    path: str = "/swapfile"
    optional: bool = False

    @property
    def ref(self) -> Ref:
        return Ref("swap", self.path)

    def probe(self) -> Probe:
        return Probe("swap_probe", LIBRARY, (self.path,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state["container"] and self.optional:
            return None
        if state["container"]:
            raise PlanError(
                f"{self.path}: the server is a container ({state['container']}), and swap is its host's: "
                "make the swap file on the host"
            )
        active = state["active"] == "yes"
        if state["other"] and not active:
            return None
        what = [] if self._made(state) else [f"write it ({self.size // MIB} MiB)"]
        if what and self._lacks_room(state):
            return None
        if what:
            self._check_place(state)
        elif state["access"] != "600 root:root":
            what.append(f"access {state['access']} -> 600 root:root")
        what += [] if active else ["use it"]
        what += [] if state["unit"] == "yes" else ["use it after each boot"]
        if not what:
            return None
        script = words("swap_make", self.path, str(self.size))
        return Change(self.ref, f"swap file {self.path}: {', '.join(what)}", script, LIBRARY)

    def findings(self, state: State, planned: Mapping[Ref, Change] | None) -> tuple[Finding, ...]:
        """That there is no room for an optional one."""
        if state["container"] or state["other"] or self._made(state) or not self._lacks_room(state):
            return ()
        what = f"no swap file: {(self.size + SPARE) // MIB} MiB of free disk are needed, and {int(state['room']) // MIB} MiB are free"
        return (Finding("swap", "warn", what, "free some"),)

    def _lacks_room(self, state: State) -> bool:
        return self.optional and bool(state["room"]) and int(state["room"]) < self.size + SPARE

    def _made(self, state: State) -> bool:
        return (state["content"], state["size"]) == ("swap", str(self.size))

    def _check_place(self, state: State) -> None:
        if state["content"] not in ("none", "swap"):
            raise PlanError(f"{self.path} is there and is not a swap file: move it away")
        folder = self.path.rpartition("/")[0] or "/"
        if not state["room"]:
            raise PlanError(f"{self.path}: there is no folder {folder}: make it, or choose another path")
        needed, room = self.size + SPARE, int(state["room"])
        if room < needed:
            raise PlanError(
                f"{self.path}: a swap file of {self.size // MIB} MiB needs {needed // MIB} MiB of free disk in {folder}, "
                f"and {room // MIB} MiB are free: free some, or choose a path on another disk"
            )


@dataclass(frozen=True, slots=True)
class NoSwap:
    """No swap file at this path, which is the toolkit's own: not in use, not after a boot, and its place is free."""

    path: str

    @property
    def ref(self) -> Ref:
        return Ref("swap", self.path)

    def probe(self) -> Probe:
        return Probe("swap_file_probe", LIBRARY, (self.path,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if not state["there"]:
            return None
        return Change(self.ref, f"remove the swap file {self.path}", words("swap_remove", self.path), LIBRARY)
