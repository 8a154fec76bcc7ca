"""The sandbox of everything that runs for an app: its slots, processes, schedules, hooks, migrations and `invoke run`.

systemd.exec(5) and systemd.resource-control(5) describe the directives; `systemd-analyze security` rates what comes of them.
All of them are known to systemd 247 (Debian 11).
"""

from provision.engine.shell import library, quote
from provision.inventory import App
from provision.release.layout import Layout, file
from provision.resources.file import File

# In this order: what SystemCallFilter takes away comes after what it allows.
DIRECTIVES = (
    ("ProtectSystem", "strict"),
    ("ProtectHome", "yes"),
    ("PrivateTmp", "yes"),
    ("TemporaryFileSystem", "/dev/shm:mode=1777"),
    ("PrivateDevices", "yes"),
    ("PrivateUsers", "yes"),
    ("ProtectProc", "invisible"),
    ("ProcSubset", "pid"),
    ("NoNewPrivileges", "yes"),
    ("CapabilityBoundingSet", ""),
    ("AmbientCapabilities", ""),
    ("ProtectKernelTunables", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectClock", "yes"),
    ("ProtectHostname", "yes"),
    ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6"),
    ("RestrictNamespaces", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("LockPersonality", "yes"),
    ("MemoryDenyWriteExecute", "yes"),
    ("RemoveIPC", "yes"),
    ("KeyringMode", "private"),
    ("UMask", "0077"),
    ("SystemCallArchitectures", "native"),
    ("SystemCallFilter", "@system-service"),
    ("SystemCallFilter", "~@privileged @resources"),
    ("SystemCallErrorNumber", "EPERM"),
)
DEFAULT = "".join(f"{name}={value}\n" for name, value in DIRECTIVES)
LIBRARY = f"sandbox_default={quote(DEFAULT)}\n{library(__file__)}"


def sandbox(app: App) -> tuple[str, ...]:
    """The app's sandbox and limits, as lines NAME=VALUE of a unit and as properties of systemd-run, without the folders that it
    may write.
    """
    lines = [f"{name}={value}" for name, value in DIRECTIVES if name not in app.unsandbox]
    return (*lines, f"TasksMax={app.tasks_max}", f"MemoryMax={app.memory_max}")


def sandbox_file(app: App) -> File:
    """What the shell takes the sandbox of single commands from."""
    return file(Layout(app.name), Layout.sandbox, "".join(f"{line}\n" for line in sandbox(app)))
