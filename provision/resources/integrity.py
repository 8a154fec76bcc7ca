"""What changed in the system's files is noted once a day: by AIDE against yesterday, by debsums against the packages."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.plan import diff
from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import heredoc, joined, library, words
from provision.resources import dropin

LIBRARY = joined(dropin.LIBRARY, library(__file__))


@dataclass(frozen=True, slots=True)
class Integrity:
    """A unit, the `timer` that starts it, and what they read: `files` by path. If not `wanted`, there is nothing of it, and no `folder`.

    In that folder is what the files were at the last check. So a change is told once, and stands in the journal.
    """

    folder: str
    timer: str
    files: tuple[tuple[str, str], ...]
    wanted: bool = True

    @property
    def ref(self) -> Ref:
        return Ref("integrity", self.timer)

    @property
    def _paths(self) -> tuple[str, ...]:
        return tuple(path for path, _ in self.files)

    def probe(self) -> Probe:
        paths = " ".join(self._paths)
        return Probe("integrity_probe", LIBRARY, (self.folder, self.timer, paths, "yes" if self.wanted else "no"))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if not self.wanted:
            if not state["there"]:
                return None
            script = words("integrity_remove", self.folder, self.timer, *self._paths)
            return Change(self.ref, "what changes in the system's files is noted no longer", script, LIBRARY)
        found = {each["path"]: each["sha256"] for each in state.records if "path" in each}
        differ = [(path, text) for path, text in self.files if found.get(path) != _sum(text)]
        if not differ and (state["enabled"], state["active"]) == ("enabled", "active"):
            return None
        written = (heredoc(words("integrity_file", path), text.encode()) for path, text in differ)
        script = "\n".join((*written, words("integrity_begin", self.folder, self.timer)))
        what = f"write {', '.join(path for path, _ in differ)}" if differ else f"enable and start {self.timer}"
        shown = "\n".join(diff(path, "", text) for path, text in differ if path not in found)
        return Change(
            self.ref, f"what changes in the system's files is noted every day: {what}", script, LIBRARY, shown
        )


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
