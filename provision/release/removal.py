"""Files of a process manager that an app no longer needs."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.inventory import App
from provision.release import shell
from provision.release.facts import ManagedFile
from provision.release.process_manager import PROCESS_MANAGERS, manager_of, process_manager


@dataclass(frozen=True, slots=True)
class RemovedUnit:
    """A unit, program or cron job at `path` that the inventory no longer has is stopped, disabled and removed.

    That happens in the phase `finish`, when the new release serves: the old one may need it until then.
    """

    path: str

    @property
    def ref(self) -> Ref:
        return Ref("retired", self.path.rpartition("/")[2])

    def probe(self) -> Probe:
        return Probe("process_probe_removed", shell.LIBRARY, (self.path,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        script = PROCESS_MANAGERS[manager_of(self.path)].removal(self.path)
        summary = f"{self.path.rpartition('/')[2]}: stop and remove"
        return Change(self.ref, summary, script, shell.LIBRARY, phase="finish")


def left(app: App, managed: tuple[ManagedFile, ...]) -> tuple[RemovedUnit, ...]:
    """Files of the app that a process manager reads, and that the inventory no longer has."""
    wanted = process_manager(app).paths()
    return tuple(RemovedUnit(file.path) for file in managed if file.app == app.name and file.path not in wanted)
