"""Files of which one needs the other: they are written together, checked once, and put back together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from provision.engine.resource import Change, Phase, Probe, Ref, Resource, State
from provision.engine.shell import library, words
from provision.resources import file
from provision.resources.file import File, Link

LIBRARY = file.LIBRARY + library(__file__)


class Member(Resource, Protocol):
    """A resource that is one path, probed as files are."""

    @property
    def path(self) -> str:
        """Where it is."""
        ...


@dataclass(frozen=True, slots=True)
class FileSet:
    """Files, links, and paths at which there must be nothing.

    `check` is a command that must succeed with all of them in place (`nginx -t`), and print nothing that has the
    extended regular expression `refuses`. Otherwise all are put back as they were, and the change fails. So they are if a
    run is killed between the first and the check: the next run checks what it finds. `first` says that it is what the set of
    this name is before another resource has its turn. `replaces` are paths that are removed once all are in place.
    """

    name: str
    members: tuple[Member, ...]
    check: str
    refuses: str = ""
    first: bool = False
    replaces: tuple[str, ...] = ()
    phase: Phase = "prepare"

    @staticmethod
    def ref_to(name: str, first: bool = False) -> Ref:
        """What a set of this name is called."""
        return Ref("files", f"{name}-first" if first else name)

    @property
    def ref(self) -> Ref:
        return self.ref_to(self.name, self.first)

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of what is there in the end."""
        return tuple(member.path for member in self.members if isinstance(member, File | Link))

    def probe(self) -> Probe:
        items = (field for member in self.members for field in member.probe().item)
        return Probe("file_set_probe", LIBRARY, (self.name, *items))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        found = [member.plan(_of(state, number), earlier) for number, member in enumerate(self.members, 1)]
        changes = [change for change in found if change]
        if not changes and not state["unchecked"]:
            return None
        begin = words("file_set_begin", self.name, *(change.ref.name for change in changes))
        check = words("file_set_check", self.name, self.check, self.refuses, *self.replaces)
        return Change(
            self.ref,
            "; ".join(change.summary for change in changes)
            or f"check what a run that was killed has written ({self.check})",
            "\n".join((begin, *(change.script for change in changes), check)),
            LIBRARY,
            "\n".join(change.diff for change in changes if change.diff),
            phase=self.phase,
        )


def _of(state: State, number: int) -> State:
    """What the probe printed about one member."""
    rows: Sequence[tuple[str, ...]] = [row[1:] for row in state if row[0] == f"member={number}"]
    return State(rows)
