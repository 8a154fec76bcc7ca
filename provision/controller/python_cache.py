"""Packed CPythons on the controller: built once, placed on every like server.

A Python is kept under ~/.cache/provision/python/ by the inventory that it was built for (so that no environment can
feed another), its version and options, the distribution's release, and the architecture.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from provision.engine.facts import System
from provision.errors import CacheError
from provision.inventory import Host, Inventory
from provision.resources.python import CachedPython


def folder() -> Path:
    """$XDG_CACHE_HOME/provision, by default ~/.cache/provision (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "provision"


def location(inventory: Inventory) -> Path:
    """The inventory's folder: its name, and a hash of where it stands."""
    return (
        folder()
        / "python"
        / f"{inventory.name}-{hashlib.sha256(str(inventory.path.resolve()).encode()).hexdigest()[:12]}"
    )


def archive(kept: Path, system: System, name: str) -> Path:
    """Where below `kept` (see `location`) the Python `name` (3.13.5, 3.13.5-optimized) stands for servers like this one."""
    return kept / f"{name}-{system.distribution}-{system.architecture}.tar.gz"


def about(archive: Path) -> Path:
    """The file that says of an archive: its SHA-256 and size in bytes, and then the packages of its libraries."""
    return archive.with_name(f"{archive.name}.about")


def archives(kept: Path, system: System, host: Host) -> dict[str, Path]:
    """Where each Python of the host's apps is kept, by its name; nothing for those that are not to be."""
    return {app.python.name: archive(kept, system, app.python.name) for app in host.apps.values() if app.python.cache}


def read(archives: Mapping[str, Path]) -> dict[str, CachedPython]:
    """Those Pythons of `archives` that are there, whole."""
    found = {}
    for name, path in archives.items():
        if path.is_file() and about(path).is_file():
            sha256, size, *packages = about(path).read_text().split() or ("", "-1")
            if path.stat().st_size == int(size):
                found[name] = CachedPython(path, sha256, int(size), tuple(packages))
    return found


def verify(archive: Path) -> None:
    """Raises CacheError, and forgets the archive, unless it is what its server packed."""
    expected = about(archive).read_text().split()[0]
    with archive.open("rb") as stream:
        actual = hashlib.file_digest(stream, "sha256").hexdigest()
    if actual != expected:
        archive.unlink()
        about(archive).unlink()
        raise CacheError(f"{archive.name} did not arrive whole; the next run on such a server builds it again")
