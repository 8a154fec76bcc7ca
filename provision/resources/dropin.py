"""Files beside a program's own settings (drop-ins), each with the command that makes the program read it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import joined, library, words
from provision.resources import file
from provision.resources.file import Absent, File

LIBRARY = joined(file.LIBRARY, library(__file__))


@dataclass(frozen=True, slots=True)
class DropIn:
    """A file with this content, which `then` has made its program read; nothing at the path if it is empty. The file is the toolkit's own,
    and so are the folders that are made for it.
    """

    path: str
    content: str = field(repr=False)
    then: str = ""

    @property
    def ref(self) -> Ref:
        return Ref("dropin", self.path)

    @property
    def _thing(self) -> File | Absent:
        return File(self.path, self.content) if self.content else Absent(self.path)

    def probe(self) -> Probe:
        return Probe("dropin_probe", LIBRARY, self._thing.probe().item)

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        found = self._thing.plan(State(row for row in state if not row[0].startswith("unread=")), earlier)
        if not found and not state["unread"]:
            return None
        begin, end = words("dropin_begin", self.path), words("dropin_end", self.path, self.then)
        if not found:
            return Change(self.ref, f"{self.path}: {self.then}", f"{begin}\n{end}", LIBRARY)
        return replace(found, ref=self.ref, script=f"{begin}\n{found.script}\n{end}", library=LIBRARY)


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer that is enabled and runs; if not `wanted`, it is what it was before it was enabled here."""

    name: str
    wanted: bool = True

    @property
    def ref(self) -> Ref:
        return Ref("timer", self.name)

    def probe(self) -> Probe:
        return Probe("dropin_timer_probe", LIBRARY, (self.name, "yes" if self.wanted else "no"))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if self.wanted and (state["enabled"], state["active"]) != ("enabled", "active"):
            return Change(self.ref, f"{self.name}: enable and start", words("dropin_timer_on", self.name), LIBRARY)
        if not self.wanted and state["was"]:
            return Change(
                self.ref, f"{self.name}: {state['was']}, as it was", words("dropin_timer_back", self.name), LIBRARY
            )
        return None
