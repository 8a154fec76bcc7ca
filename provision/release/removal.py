"""Files of a process manager that an app no longer needs."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Phase, Probe, Ref, State
from provision.inventory import App
from provision.release import shell
from provision.release.facts import ManagedFile
from provision.release.process_manager import PROCESS_MANAGERS, manager_of, process_manager


@dataclass(frozen=True, slots=True)
class RemovedUnit:
    """A unit, program or cron job at `path` that the inventory no longer has is stopped, disabled and removed.

    One of a process manager that the app has left goes in the phase `finish`, when no slot runs there any more.
    """

    path: str
    phase: Phase = "prepare"

    @property
    def ref(self) -> Ref:
        return Ref("retired", self.path.rpartition("/")[2])

    def probe(self) -> Probe:
        return Probe("process_probe_removed", shell.LIBRARY, (self.path,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        script = PROCESS_MANAGERS[manager_of(self.path)].removal(self.path)
        summary = f"{self.path.rpartition('/')[2]}: stop and remove"
        return Change(self.ref, summary, script, shell.LIBRARY, phase=self.phase)


def removed(app: App, managed: tuple[ManagedFile, ...]) -> tuple[RemovedUnit, ...]:
    """Files that the app's process manager reads and the inventory no longer has."""
    return tuple(RemovedUnit(path) for path in _unwanted(app, managed) if manager_of(path) == app.process_manager)


def left(app: App, managed: tuple[ManagedFile, ...]) -> tuple[RemovedUnit, ...]:
    """Files that a process manager which ran the app before still reads."""
    paths = _unwanted(app, managed)
    return tuple(RemovedUnit(path, "finish") for path in paths if manager_of(path) != app.process_manager)


def _unwanted(app: App, managed: tuple[ManagedFile, ...]) -> list[str]:
    wanted = process_manager(app).paths()
    return [file.path for file in managed if file.app == app.name and file.path not in wanted]
