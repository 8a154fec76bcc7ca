"""What runs an app's slots and processes: the protocol that systemd and Supervisor implement, and the choice between them.

An implementation is a Python file and a shell file of the same name. Its shell functions begin with its name, and
slot.sh and process.sh call these:

    NAME_slot_probe APP SLOT                  fields of a record: active, enabled, reload
    NAME_slot_state APP SLOT                  active, failed, inactive, activating or deactivating
    NAME_slot_write|forget|differs APP SLOT   a program of the slot's own: made, removed, other than the slot's copy
    NAME_slot_start|stop|pid|since APP SLOT
    NAME_slot_wait APP SLOT                   its socket is open, and requests wait there; sets waits: the process that keeps it, if any
    NAME_slot_open APP                        a slot that was to wait may start
    NAME_slot_exit APP SLOT                   how its main process ended: exit status N, or signal N
    NAME_slot_at_boot APP SLOT yes|no
    NAME_slot_log_mark APP SLOT               where the slot's log ends now
    NAME_slot_log APP SLOT MARK               the last lines after that
    NAME_process_state|restart|log APP NAME   a process or timer beside the web app
    NAME_processes APP SLOT                   the names of those that the slot's release has
    NAME_processes_write APP SLOT             their files: those of the slot, and no others
    NAME_processes_stop APP                   all of them
    NAME_jobs_stop APP                        what its schedules have started, and may be about to start
    NAME_uninstall PATH                       what its file at this path describes: stopped and removed
    NAME_places APP                           paths of the app that are its own
    NAME_serves USERS                         PACKAGE and WHY, a line each, of its packages that serve somebody else
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

    `places` are the paths that belong to it, `library` is its shell, and `reads` are globs of the files that it reads.
    """

    name: ClassVar[str]
    places: ClassVar[type[Places]]
    library: ClassVar[str]
    reads: ClassVar[tuple[str, ...]]

    def __init__(self, app: App) -> None: ...

    @staticmethod
    def needs(apps: Sequence[App]) -> tuple[Resource, ...]:
        """What a server must have to run these apps."""
        ...

    @staticmethod
    def removal(path: str) -> str:
        """The script that stops and removes what the file at a path describes."""
        ...

    def files(self) -> tuple[File, ...]:
        """The files that it reads for the app, without those that an activation writes."""
        ...

    def paths(self) -> set[str]:
        """The paths of all files that it reads for the app. Each one's first line names the app."""
        ...

    def copies(self) -> tuple[File, ...]:
        """The files below /etc/APP that each slot gets a copy of, and from which an activation writes what it reads."""
        ...

    def prepared(self) -> tuple[Resource, ...]:
        """What its files need."""
        ...

    def loaded(self) -> tuple[Resource, ...]:
        """What makes it read its files, unless an activation does."""
        ...

    def logs(self, process: str) -> tuple[str, ...]:
        """Units in the journal with the log of one process ("web": the app itself), or of all (""); UNIT:NAME where lines of
        several processes are in a unit, and begin with their names.
        """
        ...


PROCESS_MANAGERS: dict[str, type[ProcessManager]] = {"systemd": Systemd, "supervisor": Supervisor}
# For the shell: their names, and what they read.
PRELUDE = (
    f"process_managers='{' '.join(PROCESS_MANAGERS)}'\n"
    f'managed_globs="{" ".join(f"$root{glob}" for each in PROCESS_MANAGERS.values() for glob in each.reads)}"\n'
)


def process_manager(app: App) -> ProcessManager:
    """The process manager that the inventory names for the app."""
    return PROCESS_MANAGERS[app.process_manager](app)


def manager_of(path: str) -> str:
    """The name of the process manager that reads the file at a path."""
    return next(name for name, each in PROCESS_MANAGERS.items() if any(fnmatch(path, glob) for glob in each.reads))
