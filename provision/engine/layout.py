"""Where things are on a server: tables of places, for Python and for the shell.

Each path is written down once, with its owner, its mode, and who may write it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, overload

Kind = Literal["directory", "file", "link", "socket"]
# $PROVISION_ROOT stands before every path of a script; it is for tests, and empty on a server. Its bin/ comes first in PATH.
ROOT = "root=${PROVISION_ROOT-}\nPATH=${root:+$root/bin:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"


@dataclass(frozen=True, slots=True)
class Place:
    """A path on a server. `{app}` and the like in `path`, `owner` and `group` stand for names.

    `mode` is None where it does not matter (a link) or is not ours to say. `writers` says who may change it.
    """

    path: str
    kind: Kind
    purpose: str
    owner: str = "root"
    group: str = "root"
    mode: int | None = None
    writers: str = "root"

    @overload
    def __get__(self, places: None, owner: type) -> "Place": ...
    @overload
    def __get__(self, places: "Places", owner: type) -> str: ...
    def __get__(self, places: "Places | None", owner: type) -> "Place | str":
        """The place itself, asked of a table; its path, asked of a table with names."""
        return self if places is None else self.path.format(**places.names)


class Places:
    """A table of places: each attribute of a subclass is a `Place`.

    A subclass has a `prefix` for its names in the shell, and the `keys` that its paths are made with.
    """

    prefix: ClassVar[str]
    keys: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *names: str) -> None:
        self.names = dict(zip(self.keys, names, strict=True))

    @classmethod
    def table(cls) -> Iterator[tuple[str, Place]]:
        """All places by name, in the order of their definition."""
        return ((name, value) for name, value in vars(cls).items() if isinstance(value, Place))

    @classmethod
    def shell(cls) -> str:
        """The table for the shell: PREFIX_NAME is a path, and layout_PREFIX KEY... sets those that have keys."""
        words = {key: f"${number}" for number, key in enumerate(cls.keys, 1)}
        fixed = [(name, place) for name, place in cls.table() if "{" not in place.path]
        keyed = [(name, place) for name, place in cls.table() if "{" in place.path]
        lines = [f"{cls.prefix}_{name}=$root{place.path}" for name, place in fixed]
        if keyed:
            inside = [f"{cls.prefix}_{name}=$root{place.path.format(**words)}" for name, place in keyed]
            lines += [f"layout_{cls.prefix}() {{", *inside, "}"]
        return "\n".join(lines) + "\n"


class Toolkit(Places):
    """The toolkit's own places on a server."""

    prefix = "provision"

    state = Place("/var/lib/provision", "directory", "what the toolkit knows; it outlives a boot", mode=0o711)
    history = Place("/var/lib/provision/history.jsonl", "file", "who ran what, when, and with which result", mode=0o600)
    generation = Place("/var/lib/provision/generation", "file", "the last run that began on the server", mode=0o600)
    stamps = Place(
        "/var/lib/provision/stamps", "directory", "the configuration that each service has loaded", mode=0o700
    )
    before = Place(
        "/var/lib/provision/before",
        "directory",
        "the files that a set had before, while a new one is written and checked",
        mode=0o700,
    )
    certificates = Place(
        "/var/lib/provision/certificates",
        "directory",
        "a file for each app: for which domains its issuer was last asked; its time says when",
        mode=0o700,
    )
    found = Place(
        "/var/lib/provision/found",
        "directory",
        "what the server had before: which packages came with the toolkit, and the settings that it replaced",
        mode=0o700,
    )
    kernel = Place(
        "/var/lib/provision/kernel", "file", "what the kernel's settings were before they were changed", mode=0o600
    )
    notice = Place(
        "/var/lib/provision/notice",
        "directory",
        "with `hardening.notice`: what /etc/issue and /etc/issue.net were before",
        mode=0o700,
    )
    postgresql = Place(
        "/var/lib/provision/postgresql", "file", "PostgreSQL's settings that the toolkit set", mode=0o600
    )
    timers = Place("/var/lib/provision/timers", "file", "what timers were before they were enabled", mode=0o600)
    unread = Place(
        "/var/lib/provision/unread", "directory", "a file for each drop-in that is yet to be read", mode=0o755
    )
    unconfirmed = Place(
        "/var/lib/provision/unconfirmed", "directory", "what a fleet activated and has not confirmed yet", mode=0o700
    )
    undo = Place("/var/lib/provision/unconfirmed/undo", "file", "undoes it; gone when it is confirmed", mode=0o600)
    undo_unit = Place(
        "/etc/systemd/system/provision-undo.service", "file", "runs that when the controller is lost", mode=0o644
    )
    undo_at_boot = Place(
        "/etc/systemd/system/multi-user.target.wants/provision-undo.service", "link", "starts that unit at a boot"
    )
    access = Place(
        "/var/lib/provision/access",
        "directory",
        "what there was before a change to how the server is reached, until a new login confirms that",
        mode=0o700,
    )
    access_undo = Place(
        "/var/lib/provision/access/undo", "file", "puts it back; gone when the change is confirmed", mode=0o600
    )
    access_unit = Place(
        "/etc/systemd/system/provision-access.service", "file", "runs that where no login confirms it", mode=0o644
    )
    access_at_boot = Place(
        "/etc/systemd/system/multi-user.target.wants/provision-access.service", "link", "starts that unit at a boot"
    )
    reserve = Place("/var/lib/provision/reserve", "file", "a megabyte, given up when the disk is full", mode=0o600)
    outbox = Place("/var/lib/provision/outbox", "directory", "packed Pythons that wait for the controller", mode=0o755)
    cache = Place("/var/cache/provision", "directory", "the package installer's caches, one for each app", mode=0o755)
    runtime = Place("/run/provision", "directory", "the run that is going on", mode=0o700)
    lock = Place("/run/provision/lock", "file", "held by the run that changes the server", mode=0o600)
    holder = Place("/run/provision/holder", "file", "who holds the lock, and since when", mode=0o600)
    lease = Place("/run/provision/lease", "file", "which fleet's run holds the server, and until when", mode=0o600)
    runs = Place("/run/provision/runs", "directory", "the events of the last runs", mode=0o700)


TOOLKIT = Toolkit()
PRELUDE = f"{ROOT}{Toolkit.shell()}"
