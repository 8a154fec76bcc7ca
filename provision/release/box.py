"""The box in which an app's environments and files are built: the app's sandbox with another user, and without a view of any app."""

from provision.inventory import App
from provision.release.layout import Layout
from provision.release.sandbox import DIRECTIVES

# Of what an app does without, this holds for its builds as well; the rest keeps a build away from others.
LOOSENED = ("MemoryDenyWriteExecute", "ProcSubset", "SystemCallErrorNumber", "SystemCallFilter")
# Where name servers may be written down; all else below /run is sockets.
RESOLVERS = "-/run/systemd/resolve -/run/resolvconf -/run/NetworkManager"


# What no compiler of JavaScript can do without: memory that is written and executed, and the number of processors.
COMPILING = ("MemoryDenyWriteExecute", "ProcSubset")


def box(app: App) -> tuple[str, ...]:
    """Lines NAME=VALUE for systemd-run, without the folders of a single build of the environment (venv.sh).

    Without Unix sockets, a build can ask no service of the server for anything, and hand nobody a file that it has open. All of its
    processes are killed when it ends.
    """
    return _box(app, Layout(app.name).uv_cache)


def builds_box(app: App) -> tuple[str, ...]:
    """The same for the app's own builds (artifacts.sh). Whatever packages they use, none can put anything in the way of the environment."""
    layout = Layout(app.name)
    return (*_box(app, layout.npm_cache, COMPILING), f"InaccessiblePaths=-{layout.uv_cache}")


def _box(app: App, cache: str, without: tuple[str, ...] = ()) -> tuple[str, ...]:
    layout = Layout(app.name)
    dropped = {"RestrictAddressFamilies", "UMask", *without, *(name for name in app.unsandbox if name in LOOSENED)}
    return (
        *(f"{name}={value}" for name, value in DIRECTIVES if name not in dropped),
        "RestrictAddressFamilies=AF_INET AF_INET6",
        "UMask=0022",
        "TemporaryFileSystem=/srv:ro /run:ro",
        f"BindReadOnlyPaths={RESOLVERS}",
        "InaccessiblePaths=-/var/lib/provision",
        f"ReadWritePaths={cache}",
        f"User={layout.builder}",
        f"Group={layout.builder}",
        "KillSignal=SIGKILL",
        "RuntimeMaxSec=2h",
        "TasksMax=1024",
        "MemoryMax=75%",
    )
