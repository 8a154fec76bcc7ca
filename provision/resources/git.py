"""An app's repository, mirrored on the server."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, State
from provision.engine.shell import library, words

LIBRARY = library(__file__)


@dataclass(frozen=True, slots=True)
class Mirror:
    """A bare mirror of `repository` at `path` that has `commit` (40 hex digits)."""

    path: str
    repository: str
    commit: str

    @property
    def id(self) -> str:
        return f"mirror:{self.path}"

    def probe(self) -> Probe:
        return Probe("probe_mirrors", LIBRARY, (self.path, self.commit))

    def plan(self, state: State, before: Mapping[str, Change]) -> Change | None:
        if state and state[0] == (self.repository,):
            return None
        what = "fetch" if state else "mirror"
        summary = f"{what} {self.repository} at {self.commit[:7]}"
        return Change(self.id, summary, words("mirror", self.path, self.repository, self.commit), LIBRARY)
