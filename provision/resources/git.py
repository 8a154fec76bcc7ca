"""An app's repository, mirrored on the server."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provision.engine.resource import Change, Probe, Refusal, State, Transfer
from provision.engine.shell import library, words

LIBRARY = library(__file__)
PUSHED = "pushed"


@dataclass(frozen=True, slots=True)
class Mirror:
    """A bare mirror of `repository` at `path` that has `commit` (40 hex digits).

    Where the repository is PUSHED, the commit comes from the controller: in `pack`, by way of the login's `home`.
    """

    path: str
    repository: str
    commit: str
    pack: Path | None = None
    home: str = ""

    @property
    def id(self) -> str:
        return f"mirror:{self.path}"

    def probe(self) -> Probe:
        return Probe("probe_mirrors", LIBRARY, (self.path, self.commit))

    def plan(self, state: State, before: Mapping[str, Change]) -> Change | None:
        if state and state[0] == (self.repository,):
            return None
        if self.repository == PUSHED:
            return self._receive()
        what = "fetch" if state else "mirror"
        summary = f"{what} {self.repository} at {self.commit[:7]}"
        return Change(self.id, summary, words("mirror", self.path, self.repository, self.commit), LIBRARY)

    def _receive(self) -> Change:
        if self.pack is None:
            raise Refusal(f"the server has lost the commit {self.commit[:7]}: deploy, to send it again")
        remote = f".provision-{self.commit}.pack"
        script = words("receive", self.path, self.commit, f"{self.home}/{remote}")
        summary = f"send {self.commit[:7]} from this machine"
        return Change(self.id, summary, script, LIBRARY, upload=Transfer(self.pack, remote))
