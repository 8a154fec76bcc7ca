"""Folders of an app in a release that are links into its shared folder (links.sh)."""

from collections.abc import Set
from pathlib import PurePosixPath

from provision.errors import PlanError
from provision.inventory import App

# What only keeps an empty folder in Git; it gives way to the link.
KEEPERS = (".gitkeep", ".gitignore")


def check(app: App, names: Set[str]) -> None:
    """Raises PlanError if a commit, by the paths of all its files, has something where a link is to be."""
    for folder in app.shared:
        link = app.in_repository(folder)
        above = {str(path) for path in (PurePosixPath(link), *PurePosixPath(link).parents)} & names
        if above:
            raise PlanError(f"{app.name}: the commit's {min(above)} is no folder, so there is no {link} (shared)")
        found = sorted(name for name in names if name.startswith(f"{link}/"))
        tracked = [name for name in found if name.removeprefix(f"{link}/") not in KEEPERS]
        if tracked:
            more = f" (and {len(tracked) - 1} more)" if tracked[1:] else ""
            raise PlanError(
                f"{app.name}: the commit has {tracked[0]}{more} in {link}, which is a link into shared/ (shared): remove it from the repository"
                f" (git rm -r --cached {link}), and what the app needs from the start goes into another folder"
            )
