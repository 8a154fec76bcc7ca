"""The tables of docs/server.md and docs/security.md, made from the layouts: `python -m provision.release.manual` writes them there."""

from collections.abc import Iterable
from pathlib import Path

from provision.engine.layout import Place, Places, Toolkit
from provision.release import principals
from provision.release.backup_layout import BackupPlaces, SharedBackupPlaces
from provision.release.database_login import DatabasePlaces
from provision.release.layout import CacheLayout, Hardened, Layout, LoginLayout, ReleaseLayout, SlotLayout
from provision.release.process_manager import PROCESS_MANAGERS

PAGE = Path(__file__).parents[2] / "docs" / "server.md"
SECURITY = PAGE.with_name("security.md")
BEGIN, END = "<!-- tables: python -m provision.release.manual -->", "<!-- end of tables -->"
TABLES: tuple[tuple[str, tuple[type[Places], ...]], ...] = (
    ("An app", (Layout,)),
    ("Its Redis, or Valkey, with `cache: redis`, `valkey` or `redis-server`", (CacheLayout,)),
    ("Its login to another host's PostgreSQL, with `database.host`", (LoginLayout,)),
    ("One of its releases", (ReleaseLayout,)),
    ("One of its two slots, blue and green", (SlotLayout,)),
    ("Process managers", tuple(each.places for each in PROCESS_MANAGERS.values())),
    ("The toolkit", (Toolkit,)),
    ("With `hardening`: the system and its updates", (Hardened,)),
    ("With `backups`: databases", (BackupPlaces,)),
    ("With `backups`: the folders `shared/`", (SharedBackupPlaces,)),
    ("With databases of apps on other hosts", (DatabasePlaces,)),
)
HEAD = "| Where | What | Owner | Mode | Who may write |\n| --- | --- | --- | --- | --- |\n"


def tables() -> str:
    """All tables, each with its heading, as Markdown."""
    return "\n".join(
        f"## {title}\n\n{HEAD}{_rows(place for each in layouts for _, place in each.table())}"
        for title, layouts in TABLES
    )


def written(page: str, text: str) -> str:
    """The page with its tables as they are now."""
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"


def _rows(places: Iterable[Place]) -> str:
    return "".join(
        f"| `{_path(place)}` | {place.purpose} | {_owner(place)} | {_mode(place)} | {place.writers} |\n"
        for place in places
    )


def _path(place: Place) -> str:
    return _words(place.path) + ("/" if place.kind == "directory" else "")


def _owner(place: Place) -> str:
    return "" if place.kind == "link" else _words(f"{place.owner}:{place.group}")


def _mode(place: Place) -> str:
    if place.kind == "link":
        return "link"
    return "" if place.mode is None else f"{place.mode:04o}"


def _words(text: str) -> str:
    return text.format(app="APP", slot="SLOT", release="ID")


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(), tables()))
    SECURITY.write_text(written(SECURITY.read_text(), principals.table()))
