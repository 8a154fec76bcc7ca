"""The check before an activation."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import words
from provision.release import shell
from provision.release.tree import rebuilt

PROGRAM = f"<<'END_OF_PROGRAM'\n{Path(__file__).with_name('import_check.py').read_text()}END_OF_PROGRAM"


@dataclass(frozen=True, slots=True)
class Check:
    """The release's module can be imported in the environment that it will run in.

    `fingerprint` stands for everything that the import can depend on.
    """

    app: str
    release: str
    folder: str
    module: str
    fingerprint: str

    @property
    def ref(self) -> Ref:
        return Ref("check", self.app)

    def probe(self) -> Probe:
        return Probe("mark_probe", shell.LIBRARY, (self.app, "checked"))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state["mark"] == self.fingerprint and not rebuilt(self.app, earlier):
            return None
        script = words("check_import", self.app, self.release, self.folder, self.module, self.fingerprint)
        what = f"{self.app}: check that {self.module} can be imported"
        return Change(self.ref, what, f"{script} {PROGRAM}", shell.LIBRARY)
