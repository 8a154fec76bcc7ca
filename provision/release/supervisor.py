"""Supervisor as an app's process manager, with cron for the schedules.

An activation writes what the two read from the slot's own copies, so a release that fails changes nothing that the old one
would start with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from provision.engine.layout import Place, Places
from provision.engine.resource import Change, Probe, Ref, Resource, State
from provision.engine.shell import library, quote, words
from provision.inventory import App
from provision.release.command import commands
from provision.release.layout import APP, SLOTS, Layout, directory, file
from provision.release.template import render
from provision.resources import service
from provision.resources.file import File
from provision.resources.package import Packages
from provision.resources.service import Service


class SupervisorPlaces(Places):
    """What Supervisor and cron read, and where Supervisor writes."""

    prefix = "supervisor"
    keys = ("app",)

    programs = Place(
        "/etc/supervisor/conf.d", "directory", "instead of the units, APP.conf and APP-NAME.conf", mode=0o755
    )
    jobs = Place("/etc/cron.d", "directory", "instead of the timers, APP-NAME", mode=0o755)
    socket = Place("/run/supervisor.sock", "socket", "where Supervisor listens", mode=0o700)
    logs = Place("/var/log/supervisor/{app}", "directory", "the log files", "root", "adm", 0o750)
    start = Place("/etc/{app}/start", "file", "what Supervisor runs; each slot has a copy", "root", APP, 0o750)
    program = Place("/etc/{app}/program.conf", "file", "a slot's program; each slot has a copy", "root", APP, 0o640)


PROGRAMS, JOBS = SupervisorPlaces.programs.path, SupervisorPlaces.jobs.path
LIBRARY = f"{SupervisorPlaces.shell()}{service.LIBRARY}{library(__file__)}"


@dataclass(frozen=True, slots=True)
class Program:
    """A program that Supervisor has loaded from its file as that is now."""

    name: str

    @property
    def ref(self) -> Ref:
        return Ref("program", self.name)

    def probe(self) -> Probe:
        return Probe("supervisor_probe", LIBRARY, (self.name,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state["state"] == "loaded" and File.ref_to(_conf(self.name)) not in earlier:
            return None
        return Change(self.ref, f"{self.name}: load into Supervisor", words("supervisor_keep", self.name), LIBRARY)


@dataclass(frozen=True, slots=True)
class Supervisor:
    """How Supervisor runs an app."""

    app: App

    name: ClassVar[str] = "supervisor"
    places: ClassVar[type[Places]] = SupervisorPlaces
    library: ClassVar[str] = LIBRARY
    reads: ClassVar[tuple[str, ...]] = (f"{PROGRAMS}/*.conf", f"{JOBS}/*")

    @property
    def _own(self) -> SupervisorPlaces:
        return SupervisorPlaces(self.app.name)

    @staticmethod
    def needs(apps: Sequence[App]) -> tuple[Resource, ...]:
        """Supervisor itself, and cron for schedules."""
        cron = ("cron",) if any(app.schedules for app in apps) else ()
        return (Packages("supervisor", ("supervisor", *cron)), Service("supervisor"))

    @staticmethod
    def removal(path: str) -> str:
        """The script that stops and removes a program, or removes a cron job."""
        name = path.rpartition("/")[2]
        if name.endswith(".conf"):
            return words("supervisor_remove", name.removesuffix(".conf"))
        return words("supervisor_remove_job", name)

    @property
    def _values(self) -> dict[str, object]:
        return {"app": self.app, "layout": Layout(self.app.name), "places": self._own}

    def files(self) -> tuple[File, ...]:
        """The program that starts the active slot at a boot."""
        return (File(_conf(self.app.name), render("supervisor/boot.conf.j2", **self._values)),)

    def paths(self) -> set[str]:
        """All that Supervisor and cron read of an app as the inventory has it."""
        app = self.app
        programs = (app.name, *(f"{app.name}-{name}" for name in (*SLOTS, *commands(app))))
        return {*map(_conf, programs), *(f"{JOBS}/{app.name}-{name}" for name in app.schedules)}

    def copies(self) -> tuple[File, ...]:
        """The start script, a slot's program with @SLOT@ for its name, and the other programs and cron jobs."""
        app, values = self.app, self._values
        quoted = {name: quote(command.line) for name, command in commands(app).items()}
        found = [
            file(self._own, SupervisorPlaces.start, render("supervisor/start.sh.j2", **values, commands=quoted)),
            file(self._own, SupervisorPlaces.program, render("supervisor/slot.conf.j2", **values)),
        ]
        for name, command in commands(app).items():
            content = render(
                "supervisor/process.conf.j2", **values, name=name, oneshot=command.oneshot, group=command.group
            )
            found.append(self._unit(f"{name}.conf", content))
        for name, schedule in app.schedules.items():
            found.append(self._unit(name, render("supervisor/job.j2", **values, name=name, schedule=schedule)))
        return tuple(found)

    def _unit(self, name: str, content: str) -> File:
        app = self.app.name
        return File(f"{Layout(app).units}/{app}-{name}", content, "root", app, 0o640)

    def prepared(self) -> tuple[Resource, ...]:
        """The folder of the logs, and what a slot copies."""
        return (directory(self._own, SupervisorPlaces.logs), *self.copies())

    def loaded(self) -> tuple[Resource, ...]:
        """The program that no activation loads."""
        return (Program(self.app.name),)

    def logs(self, process: str) -> tuple[str, ...]:
        """Supervisor's lines in the journal that begin with one process's program, or with any (""); web is the app itself."""
        app = self.app
        slots = [f"{slot}_0" for slot in SLOTS] if process in ("", "web") else []
        names = (name for name in (*app.processes, *app.schedules) if process in ("", name))
        return tuple(f"supervisor.service:{app.name}-{name}" for name in (*slots, *names))


def _conf(program: str) -> str:
    return f"{PROGRAMS}/{program}.conf"
