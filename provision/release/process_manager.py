"""What runs an app's slots and processes: the protocol that systemd and Supervisor implement, and the choice between them.

An implementation is a Python file and a shell file of the same name. Its shell functions begin with its name, and
slot.sh and process.sh call these:

    NAME_slot_probe APP SLOT                  fields of a record: active, enabled, reload
    NAME_slot_state APP SLOT                  active, failed, inactive, activating or deactivating
    NAME_slot_write|forget|differs APP SLOT   a program of the slot's own: made, removed, other than the slot's copy
    NAME_slot_start|stop|pid|since APP SLOT
    NAME_slot_exit APP SLOT                   how its main process ended: exit status N, or signal N
    NAME_slot_at_boot APP SLOT yes|no
    NAME_slot_log_mark APP SLOT               where the slot's log ends now
    NAME_slot_log APP SLOT MARK               the last lines after that
    NAME_process_state|restart|log APP NAME   a process beside the web app
    NAME_processes_stop APP                   all of them
    NAME_runs PATH...                         what runs of what the files at these paths describe
"""

from collections.abc import Sequence
from fnmatch import fnmatch
from typing import ClassVar, Protocol

from provision.engine.layout import Places
from provision.engine.resource import Resource
from provision.inventory import App
from provision.release.supervisor import Supervisor
from provision.release.systemd import Systemd
from provision.resources.file import File


class ProcessManager(Protocol):
    """How a process manager runs one app.

    `places` are the paths that belong to it, `library` is its shell, `reads` are globs of the files that it reads, and
    `copied` the names of the files in /etc/APP that a slot has copies of for it.
    """

    name: ClassVar[str]
    places: ClassVar[type[Places]]
    library: ClassVar[str]
    reads: ClassVar[tuple[str, ...]]
    copied: ClassVar[tuple[str, ...]]

    def __init__(self, app: App) -> None: ...

    @staticmethod
    def needs(apps: Sequence[App]) -> tuple[Resource, ...]:
        """What a server must have to run these apps."""
        ...

    @staticmethod
    def unit(app: str) -> str:
        """The path of the unit that both slots share; empty if each slot has a program of its own."""
        ...

    @staticmethod
    def removal(path: str) -> str:
        """The script that stops and removes what the file at a path describes."""
        ...

    def files(self) -> tuple[File, ...]:
        """The files that it reads for the app, without those of the slots. Each one's first line names the app."""
        ...

    def paths(self) -> set[str]:
        """The paths of all files that it reads for the app, with those of the slots."""
        ...

    def copies(self) -> tuple[File, ...]:
        """The files in `copied`, which each slot gets a copy of."""
        ...

    def prepared(self) -> tuple[Resource, ...]:
        """What its files need."""
        ...

    def loaded(self) -> tuple[Resource, ...]:
        """What makes it read its files, unless an activation does."""
        ...

    def timers(self) -> tuple[Resource, ...]:
        """What starts the schedules once the release has the traffic."""
        ...

    def logs(self, process: str) -> tuple[str, ...]:
        """Units in the journal with the log of one process ("web": the app itself), or of all (""); UNIT:NAME where lines of
        several processes are in a unit, and begin with their names.
        """
        ...


PROCESS_MANAGERS: dict[str, type[ProcessManager]] = {"systemd": Systemd, "supervisor": Supervisor}
# For the shell: their names, the files that a slot may have copies of, and what they read.
PRELUDE = (
    f"process_managers='{' '.join(PROCESS_MANAGERS)}'\n"
    f"slot_copied='env gunicorn.conf.py {' '.join(name for each in PROCESS_MANAGERS.values() for name in each.copied)}'\n"
    f'managed_globs="{" ".join(f"$root{glob}" for each in PROCESS_MANAGERS.values() for glob in each.reads)}"\n'
)


def process_manager(app: App) -> ProcessManager:
    """The process manager that the inventory names for the app."""
    return PROCESS_MANAGERS[app.process_manager](app)


def manager_of(path: str) -> str:
    """The name of the process manager that reads the file at a path."""
    return next(name for name, each in PROCESS_MANAGERS.items() if any(fnmatch(path, glob) for glob in each.reads))
