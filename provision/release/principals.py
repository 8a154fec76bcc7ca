"""Who may do what with each place on a server, worked out from the tables' owners and modes: for docs/security.md and the tests."""

from collections.abc import Iterator

from provision.engine.layout import Place, Toolkit
from provision.release.layout import (
    APP,
    BUILDER,
    NGINX,
    REDIS,
    CacheLayout,
    Layout,
    LoginLayout,
    ReleaseLayout,
    SlotLayout,
)

# Each with the user that it runs as; ANOTHER is any other app, or its builder.
ANOTHER = "another"
PRINCIPALS = {"the app": APP, "the builder": BUILDER, "nginx": NGINX, "its Redis": REDIS, "another app": ANOTHER}


def places() -> Iterator[Place]:
    """All places of the toolkit and of an app that have a mode: links have none, and what they lead to has its own."""
    for table in (Toolkit, Layout, CacheLayout, LoginLayout, ReleaseLayout, SlotLayout):
        yield from (place for _, place in table.table() if place.mode is not None)


def access(place: Place, user: str) -> str:
    """What a user who is not root may do with a place: rw, r, w, or nothing; nothing in a folder that the user cannot enter."""
    if not all(_bits(above, user) & 1 for above in places() if place.path.startswith(f"{above.path}/")):
        return ""
    bits = _bits(place, user)
    return ("r" if bits & 4 else "") + ("w" if bits & 2 else "")


def table() -> str:
    """The places that somebody besides root may read or write, as Markdown."""
    head = f"| Where | {' | '.join(PRINCIPALS)} |\n|{' --- |' * (len(PRINCIPALS) + 1)}\n"
    rows = ((place, [access(place, user) for user in PRINCIPALS.values()]) for place in places())
    return head + "".join(
        f"| `{_shown(place)}` | {' | '.join(found)} |\n" for place, found in sorted(rows, key=_path) if any(found)
    )


def _path(row: tuple[Place, list[str]]) -> str:
    return row[0].path


def _shown(place: Place) -> str:
    return place.path.format(app="APP", slot="SLOT", release="ID") + ("/" if place.kind == "directory" else "")


def _bits(place: Place, user: str) -> int:
    mode = place.mode or 0
    if place.owner == user:
        return mode >> 6 & 7
    return (mode >> 3 & 7) if place.group == user else mode & 7
