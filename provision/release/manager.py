"""The two managers that run an app's slots and processes: systemd and Supervisor, behind the same few shell functions."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Phase, Probe, Ref, State
from provision.engine.shell import library, words
from provision.resources.file import File

LIBRARY = library(__file__)
UNITS = "/etc/systemd/system"
PROGRAMS = "/etc/supervisor/conf.d"
JOBS = "/etc/cron.d"


@dataclass(frozen=True, slots=True)
class Program:
    """A program that Supervisor has loaded from /etc/supervisor/conf.d/NAME.conf as the file is now."""

    name: str

    @property
    def ref(self) -> Ref:
        return Ref("program", self.name)

    def probe(self) -> Probe:
        return Probe("probe_programs", LIBRARY, (self.name,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state == (("loaded",),) and File.ref_to(f"{PROGRAMS}/{self.name}.conf") not in earlier:
            return None
        return Change(self.ref, f"{self.name}: load into Supervisor", words("keep_program", self.name), LIBRARY)


@dataclass(frozen=True, slots=True)
class RemovedUnit:
    """A unit, a program or a cron job of ours, at `path`, that the inventory no longer wants: stopped, disabled, gone.

    What belongs to a manager that the app has left goes in the phase `finish`, once no slot runs there any more.
    """

    path: str
    phase: Phase = "prepare"

    @property
    def ref(self) -> Ref:
        return Ref("retired", self.path.rpartition("/")[2])

    def probe(self) -> Probe:
        return Probe("probe_retired", LIBRARY, (self.path,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        summary = f"{self.path.rpartition('/')[2]}: stop and remove"
        return Change(self.ref, summary, words("retire", self.path), LIBRARY, phase=self.phase)
