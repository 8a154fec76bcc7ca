"""Disks: room for what a plan writes, and mounts that let it be written and run."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Finding, Probe, Ref, State
from provision.engine.shell import library
from provision.untrusted import PATH, word
from provision.untrusted import line as shown

LIBRARY = library(__file__)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a change of a kind takes of the disk at a path, roughly: megabytes, and inodes. `runs`: programs are run from there.

    With a `name`, it is that of the one resource which is meant.
    """

    kind: str
    path: str
    megabytes: int
    inodes: int
    runs: bool = False
    name: str = ""

    def times(self, refs: Collection[Ref]) -> int:
        """How many of these changes cost it."""
        return sum(ref.kind == self.kind and self.name in ("", ref.name) for ref in refs)


@dataclass(frozen=True, slots=True)
class Room:
    """The disks have room for the changes of a plan, and their mounts allow them. Never a change.

    `usual` are the kinds of changes that are meant where there is no plan.
    """

    costs: tuple[Cost, ...]
    usual: tuple[str, ...]

    @property
    def ref(self) -> Ref:
        return Ref("room", "disks")

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths where anything costs anything."""
        return tuple(dict.fromkeys(cost.path for cost in self.costs))

    def probe(self) -> Probe:
        return Probe("room_probe", LIBRARY, (" ".join(self.paths),))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        return None

    def findings(self, state: State, planned: Mapping[Ref, Change] | None) -> tuple[Finding, ...]:
        there = {word(each, "path", PATH): each for each in state.records}
        found: list[Finding] = []
        needed: dict[str, tuple[int, int]] = {}
        for cost in self.costs:
            times = int(cost.kind in self.usual) if planned is None else cost.times(planned)
            if not times or cost.path not in there:
                continue
            options = there[cost.path]["options"].split(",")
            at = shown(there[cost.path]["at"], 100)
            if "ro" in options:
                fix = f"see why in dmesg, then mount -o remount,rw {at}"
                found.append(Finding("disk", "stop", f"{cost.path} cannot be written: {at} is mounted read-only", fix))
            elif cost.runs and "noexec" in options:
                fix = f"mount -o remount,exec {at}, and take noexec out of /etc/fstab"
                found.append(Finding("disk", "stop", f"no program can run in {cost.path}: {at} is mounted noexec", fix))
            megabytes, inodes = needed.get(at, (0, 0))
            needed[at] = (megabytes + cost.megabytes * times, inodes + cost.inodes * times)
        rooms = {shown(each["at"], 100): each for each in state.records}
        found += [one for at, needs in needed.items() if (one := _short(at, *needs, rooms[at]))]
        return tuple(dict.fromkeys(found)) or (Finding("disk", "ok", _free(rooms)),)


def _short(at: str, megabytes: int, inodes: int, room: Mapping[str, str]) -> Finding | None:
    free = int(word(room, "free", "[0-9]{1,15}")) // 1024
    left = word(room, "inodes", "[0-9]{1,15}|-")
    if free < megabytes:
        what = f"about {megabytes} MB are needed on {at}, and {free} MB are free"
        return Finding("disk", "warn", what, f"du -xhd 2 {at} | sort -h | tail shows what takes most")
    if left != "-" and int(left) < inodes:
        what = f"about {inodes} files more are needed on {at}, and it has inodes for {left}"
        return Finding("disk", "warn", what, f"du -x --inodes -d 3 {at} | sort -n | tail shows where most files are")
    return None


def _free(rooms: Mapping[str, Mapping[str, str]]) -> str:
    said = (f"{int(word(room, 'free', '[0-9]{1,15}')) / 1024**2:.1f} GB on {at}" for at, room in rooms.items())
    return f"free: {', '.join(said)}"
