"""systemd as an app's process manager: a unit for both slots, and units and timers beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from provision.engine.layout import Place, Places
from provision.engine.resource import Resource
from provision.engine.shell import library, quote, words
from provision.inventory import App
from provision.release.command import commands
from provision.release.layout import SLOTS, Layout
from provision.release.template import render
from provision.resources.file import File
from provision.resources.service import Service


class SystemdPlaces(Places):
    """What systemd reads."""

    prefix = "systemd"

    units = Place(
        "/etc/systemd/system",
        "directory",
        "APP@.service (`systemctl status 'APP@*'`), and APP-NAME.service and .timer: more processes, and schedules",
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
    reads: ClassVar[tuple[str, ...]] = (f"{UNITS}/*.service", f"{UNITS}/*.timer")
    copied: ClassVar[tuple[str, ...]] = ()

    @staticmethod
    def needs(apps: Sequence[App]) -> tuple[Resource, ...]:
        """Nothing: each supported system has systemd."""
        return ()

    @staticmethod
    def unit(app: str) -> str:
        """The unit from which both slots run."""
        return f"{UNITS}/{app}@.service"

    @staticmethod
    def removal(path: str) -> str:
        """The script that stops and removes a unit."""
        return words("systemd_remove", path.rpartition("/")[2])

    def files(self) -> tuple[File, ...]:
        """The units and timers."""
        app, layout = self.app, Layout(self.app.name)
        found = [File(self.unit(app.name), render("app.service.j2", app=app, layout=layout))]
        for name, command in commands(app).items():
            content = render(
                "process.service.j2",
                app=app,
                layout=layout,
                name=name,
                command=_word(command.line),
                oneshot=command.oneshot,
                group=command.group,
            )
            found.append(File(f"{UNITS}/{app.name}-{name}.service", content))
        for name, schedule in app.schedules.items():
            timer = render("schedule.timer.j2", app=app, layout=layout, name=name, schedule=schedule)
            check = f"systemd-analyze calendar {quote(schedule.calendar)}"
            found.append(File(self._timer(name), timer, check=check))
        return tuple(found)

    def paths(self) -> set[str]:
        """All that systemd reads of an app as the inventory has it."""
        return {file.path for file in self.files()}

    def copies(self) -> tuple[File, ...]:
        """Nothing: a slot's unit is the same for both slots."""
        return ()

    def prepared(self) -> tuple[Resource, ...]:
        """Nothing: the journal has the logs."""
        return ()

    def loaded(self) -> tuple[Resource, ...]:
        """Nothing: an activation starts the units."""
        return ()

    def timers(self) -> tuple[Resource, ...]:
        """The schedules' timers, which start once the release has the traffic."""
        return tuple(
            Service(f"{self.app.name}-{name}.timer", (File.ref_to(self._timer(name)),)) for name in self.app.schedules
        )

    def logs(self, process: str) -> tuple[str, ...]:
        """The units whose log is that of one process, or of all (""); web is the app itself."""
        app = self.app
        slots = [f"{app.name}@{slot}.service" for slot in SLOTS] if process in ("", "web") else []
        names = (name for name in (*app.processes, *app.schedules) if process in ("", name))
        return (*slots, *(f"{app.name}-{name}.service" for name in names))

    def _timer(self, name: str) -> str:
        return f"{UNITS}/{self.app.name}-{name}.timer"


def _word(command: str) -> str:
    """A command as one word of ExecStart (systemd.service(5), "Command lines")."""
    escaped = command.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$").replace("%", "%%")
    return f'"{escaped}"'
