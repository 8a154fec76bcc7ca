"""systemd as an app's process manager: each slot has a service and its socket; units and timers run beside them.

An activation writes the units from the slot's own copies, so a release that fails changes nothing that the old one would
start with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from provision.engine.layout import Place, Places
from provision.engine.resource import Resource
from provision.engine.shell import library, quote, words
from provision.inventory import App
from provision.release.command import commands
from provision.release.layout import SLOTS, Layout
from provision.release.sandbox import sandbox
from provision.release.template import render
from provision.resources.file import File


class SystemdPlaces(Places):
    """What systemd reads."""

    prefix = "systemd"

    units = Place(
        "/etc/systemd/system",
        "directory",
        "APP@SLOT.socket and .service (`systemctl status 'APP@*'`), and APP-NAME.service and .timer: more processes, and"
        " schedules; an activation copies them from the slot",
        mode=0o755,
    )


UNITS = SystemdPlaces.units.path
LIBRARY = f"{SystemdPlaces.shell()}{library(__file__)}"


@dataclass(frozen=True, slots=True)
class Systemd:
    """How systemd runs an app."""

    app: App

    name: ClassVar[str] = "systemd"
    places: ClassVar[type[Places]] = SystemdPlaces
    library: ClassVar[str] = LIBRARY
    reads: ClassVar[tuple[str, ...]] = (f"{UNITS}/*.service", f"{UNITS}/*.socket", f"{UNITS}/*.timer")

    @staticmethod
    def needs(apps: Sequence[App]) -> tuple[Resource, ...]:
        """Nothing: each supported system has systemd."""
        return ()

    @staticmethod
    def removal(path: str) -> str:
        """The script that stops and removes a unit."""
        return words("systemd_remove", path.rpartition("/")[2])

    def files(self) -> tuple[File, ...]:
        """Nothing: an activation writes all units."""
        return ()

    def copies(self) -> tuple[File, ...]:
        """The units and timers; those of a slot are named APP@.service and APP@.socket."""
        app, layout = self.app, Layout(self.app.name)
        found = [
            self._unit("@.service", render("app.service.j2", app=app, layout=layout, sandbox=sandbox(app))),
            self._unit("@.socket", render("app.socket.j2", app=app, layout=layout)),
        ]
        for name, command in commands(app).items():
            content = render(
                "process.service.j2",
                app=app,
                layout=layout,
                name=name,
                command=_word(command.line),
                oneshot=command.oneshot,
                group=command.group,
                sandbox=sandbox(app),
            )
            found.append(self._unit(f"-{name}.service", content))
        for name, schedule in app.schedules.items():
            timer = render("schedule.timer.j2", app=app, layout=layout, name=name, schedule=schedule)
            check = f"systemd-analyze calendar {quote(schedule.calendar)}"
            found.append(self._unit(f"-{name}.timer", timer, check))
        return tuple(found)

    def paths(self) -> set[str]:
        """All that systemd reads of an app as the inventory has it."""
        app = self.app.name
        names = [f"{app}@{slot}.{kind}" for slot in SLOTS for kind in ("service", "socket")]
        names += [f"{app}-{name}.service" for name in commands(self.app)]
        names += [f"{app}-{name}.timer" for name in self.app.schedules]
        return {f"{UNITS}/{name}" for name in names}

    def prepared(self) -> tuple[Resource, ...]:
        """What a slot copies."""
        return self.copies()

    def loaded(self) -> tuple[Resource, ...]:
        """Nothing: an activation starts the units."""
        return ()

    def logs(self, process: str) -> tuple[str, ...]:
        """The units whose log is that of one process, or of all (""); web is the app itself."""
        app = self.app
        slots = [f"{app.name}@{slot}.service" for slot in SLOTS] if process in ("", "web") else []
        names = (name for name in (*app.processes, *app.schedules) if process in ("", name))
        return (*slots, *(f"{app.name}-{name}.service" for name in names))

    def _unit(self, suffix: str, content: str, check: str = "") -> File:
        app = self.app.name
        return File(f"{Layout(app).units}/{app}{suffix}", content, "root", app, 0o640, check=check)


def _word(command: str) -> str:
    """A command as one word of ExecStart (systemd.service(5), "Command lines")."""
    escaped = command.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$").replace("%", "%%")
    return f'"{escaped}"'
