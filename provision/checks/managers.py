"""systemd and Supervisor, as the checks see them: nothing else here knows which of them runs an app."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from provision.checks.processes import Process
from provision.inventory import App
from provision.release.layout import SLOTS, Layout
from provision.release.supervisor import JOBS, PROGRAMS
from provision.release.systemd import UNITS


@dataclass(frozen=True)
class Manager(ABC):
    """A process manager: how it names, queries and starts the app's programs."""

    host: Any
    app: App

    @abstractmethod
    def slot(self, name: str) -> str:
        """The program of a slot."""

    def beside(self, name: str) -> str:
        """The program that keeps a slot's socket open; "" if the process manager does that itself."""
        return ""

    @abstractmethod
    def process(self, name: str) -> str:
        """The program of a process, or of a schedule's job."""

    @abstractmethod
    def of(self, programs: Iterable[str], processes: Iterable[Process]) -> set[int]:
        """The ids of the processes that belong to these programs."""

    @abstractmethod
    def state(self, program: str) -> str:
        """The program's state, as the process manager calls it."""

    @abstractmethod
    def runs(self, program: str) -> bool:
        """Whether the program runs."""

    @abstractmethod
    def has_ended(self, program: str) -> bool:
        """Whether the program has ended for good: it neither runs nor is starting or stopping."""

    @abstractmethod
    def starts_at_boot(self, program: str) -> bool:
        """Whether the program starts at boot."""

    @abstractmethod
    def main_process(self, program: str) -> int:
        """The id of the program's main process; 0 if none runs."""

    @abstractmethod
    def start(self, program: str) -> None:
        """Start the program, whatever its earlier failures."""

    @abstractmethod
    def never(self, schedule: str) -> str:
        """Why the schedule never runs; "" if it does."""

    @abstractmethod
    def files(self) -> set[str]:
        """The files that it reads for an app that matches the inventory."""

    def left_over(self) -> set[str]:
        """Files of the app that some process manager would read, and that the inventory no longer accounts for."""
        own = self.app.name
        found = self.host.run(
            "grep -slE %s %s/*.service %s/*.socket %s/*.timer %s/*.conf %s/*; find %s -path %s -xtype l",
            f"^[#;] provision: {own}\\.",
            *(UNITS, UNITS, UNITS, PROGRAMS, JOBS, UNITS, f"*.wants/{own}[-@]*"),
        ).stdout.split()
        return set(found) - self.files()


class Systemd(Manager):
    """systemd: a slot is a service with a socket, a schedule a timer."""

    def slot(self, name: str) -> str:
        return f"{self.app.name}@{name}.service"

    def process(self, name: str) -> str:
        return f"{self.app.name}-{name}.service"

    def of(self, programs: Iterable[str], processes: Iterable[Process]) -> set[int]:
        units = set(programs)
        return {process.id for process in processes if process.unit in units}

    def state(self, program: str) -> str:
        return str(self.host.run("systemctl is-active %s", program).stdout.strip())

    def runs(self, program: str) -> bool:
        return self.state(program) in ("active", "reloading")

    def has_ended(self, program: str) -> bool:
        return self.state(program) in ("inactive", "failed")

    def starts_at_boot(self, program: str) -> bool:
        """A slot is started by its socket."""
        unit = program.replace(".service", ".socket") if "@" in program else program
        return bool(self.host.run("systemctl is-enabled %s", unit).stdout.strip() == "enabled")

    def main_process(self, program: str) -> int:
        return int(self.host.check_output("systemctl show -p MainPID --value %s", program))

    def start(self, program: str) -> None:
        self.host.run("systemctl reset-failed %s; systemctl start %s", program, program)

    def never(self, schedule: str) -> str:
        timer = f"{self.app.name}-{schedule}.timer"
        if not self.starts_at_boot(timer):
            return f"{timer} would not start at boot"
        if not self.runs(timer):
            return f"{timer} does not run"
        # While the job runs, systemd shows no next time.
        if self.state(self.process(schedule)) == "activating":
            return ""
        at = self.host.check_output("systemctl show -p NextElapseUSecRealtime --value %s", timer)
        return "" if at else f"{timer} has no next time"

    def files(self) -> set[str]:
        own = self.app.name
        names = [f"{own}@{slot}.{kind}" for slot in SLOTS for kind in ("service", "socket")]
        names += map(self.process, (*self.app.processes, *self.app.schedules))
        return {f"{UNITS}/{name}" for name in (*names, *(f"{own}-{name}.timer" for name in self.app.schedules))}


class Supervisor(Manager):
    """Supervisor: a slot is a group of two, Gunicorn and what keeps the socket open; a schedule is a job of cron."""

    def slot(self, name: str) -> str:
        group = self.process(name)
        return f"{group}:{group}_0"

    def beside(self, name: str) -> str:
        group = self.process(name)
        return f"{group}:{group}_1"

    def process(self, name: str) -> str:
        return f"{self.app.name}-{name}"

    def of(self, programs: Iterable[str], processes: Iterable[Process]) -> set[int]:
        mains = {name: self.main_process(name) for name in programs}
        # A job may have ended since the processes were listed. A process without its main process belongs to no program.
        ended = {name.rpartition(":")[2] for name, main in mains.items() if not main}
        running = {*mains.values()} - {0}
        return {process.id for process in processes if process.line & running or process.program in ended}

    def state(self, program: str) -> str:
        """Supervisor's word for the state; "" if it has loaded no such program."""
        said = self.host.run("supervisorctl status %s", program).stdout.strip()
        assert said.startswith(program), f"Supervisor does not answer: {said}"
        state = str(said.split()[1])
        return state if state != "ERROR" else ""

    def runs(self, program: str) -> bool:
        return self.state(program) == "RUNNING"

    def has_ended(self, program: str) -> bool:
        return self.state(program) in ("STOPPED", "EXITED", "FATAL", "")

    def starts_at_boot(self, program: str) -> bool:
        """A slot is started by the program APP, which follows the link `current`."""
        own = self.app.name
        slots = {self.slot(name): name for name in SLOTS}
        if program not in slots:
            return self._starts(program)
        current = self.host.run("readlink %s", Layout(own).active_slot).stdout.strip()
        return bool(current == slots[program]) and program in self._known() and self._starts(own)

    def main_process(self, program: str) -> int:
        said = self.host.run("supervisorctl pid %s", program).stdout.strip()
        return int(said) if said.isdigit() else 0

    def start(self, program: str) -> None:
        self.host.run("supervisorctl start %s", program)

    def never(self, schedule: str) -> str:
        job, program = f"{JOBS}/{self.app.name}-{schedule}", self.process(schedule)
        # cron ignores a file that others can write.
        if not self.host.run("find %s -maxdepth 0 -type f -user root ! -perm /022", job).stdout:
            return f"{job} is not there, or not root's alone to write"
        if not (self.host.service("cron").is_enabled and self.host.service("cron").is_running):
            return "cron does not run, or would not start at boot"
        return "" if self.state(program) else f"Supervisor has not loaded {program}"

    def files(self) -> set[str]:
        own, app = self.app.name, self.app
        programs = [own, *map(self.process, (*SLOTS, *app.processes, *app.schedules))]
        return {f"{PROGRAMS}/{name}.conf" for name in programs} | {f"{JOBS}/{own}-{name}" for name in app.schedules}

    def _known(self) -> dict[str, str]:
        """Whether each program in its files is started automatically: auto or manual."""
        lines = self.host.run("supervisorctl avail").stdout.splitlines()
        return {line.split()[0]: line.split()[-2] for line in lines if len(line.split()) > 3}

    def _starts(self, program: str) -> bool:
        return bool(self.host.service("supervisor").is_enabled) and self._known().get(program) == "auto"


MANAGERS: dict[str, type[Manager]] = {"systemd": Systemd, "supervisor": Supervisor}
