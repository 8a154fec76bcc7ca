"""Each path of an app's layout, times each way in which a hand can damage it."""

from collections.abc import Iterator
from dataclasses import dataclass

from provision.engine.layout import Place, Places
from provision.release.layout import Layout

# Paths that are not there while an app simply serves, and the sockets, which come and go with their slot.
ABSENT = {
    "preview",
    "static_preview",
    "standing_by",
    "maintenance",
    "unfinished",
    "deploy_key",
    "known_hosts",
    "takes_over",
    "adopted",
    "answers",
    "builds",
    "npm_cache",
    "built",
    "upgraded",
}
SOCKETS = {"socket", "sockets", "current_socket", "previous_socket"} | {
    f"preview_{name}" for name in ("socket", "tokens", "slot")
}
# What is in them is the app's own, or may be missing: only who may read and write them is the tables' affair.
CONTENT = {"uv_cache", "migrations", "build", "packages"}
BY_KIND = {
    "directory": ("deleted", "emptied", "mode", "owner"),
    "file": ("deleted", "emptied", "mode", "owner", "target"),
    "link": ("deleted", "target"),
}
# The app's own data: nobody else knows what has to be in it.
EMPTY = ("app-shared", "emptied")
COMMANDS = {
    "deleted": "rm -rf PATH",
    "mode": "chmod a+rw PATH",
    "owner": "chown daemon:daemon PATH",
}
EMPTIED = {"directory": "find PATH -mindepth 1 -delete", "file": ": >PATH"}
TARGET = {"file": "mv PATH /root/moved && ln -s /root/moved PATH", "link": "ln -sfn /etc/motd PATH"}


@dataclass(frozen=True)
class Damage:
    """A place of a table, and what is done to it. `path` has shell variables for the active slot and release."""

    name: str
    place: Place
    path: str
    how: str

    @property
    def hand(self) -> str:
        """The command that does it."""
        commands = COMMANDS | {"emptied": EMPTIED.get(self.place.kind, ""), "target": TARGET.get(self.place.kind, "")}
        # A damage before this one may have taken along what may be missing.
        there = (
            "test -e PATH || : >PATH; " if self.place.kind == "file" and self.name.rpartition("-")[2] in CONTENT else ""
        )
        return f"{there}{commands[self.how]}".replace("PATH", self.path)

    def __str__(self) -> str:
        return f"{self.name}-{self.how}"


def damages(app: str) -> Iterator[Damage]:
    """All of them, in the order of the tables."""
    layout = Layout(app)
    for prefix, places in (
        ("app", layout),
        ("active-slot", layout.slot("$active")),
        ("idle-slot", layout.slot("$idle")),
        ("release", layout.release("$release")),
    ):
        for name, place in places.table():
            if name not in ABSENT | SOCKETS:
                yield from _damages(f"{prefix}-{name}", places, place)


def _damages(name: str, places: Places, place: Place) -> Iterator[Damage]:
    for how in BY_KIND[place.kind]:
        attributes = how in ("mode", "owner")
        # An idle slot needs nothing; what is there must only not be open to others.
        if attributes or not (name.startswith("idle") or name.rpartition("-")[2] in CONTENT or (name, how) == EMPTY):
            yield Damage(name, place, place.path.format(**places.names), how)
