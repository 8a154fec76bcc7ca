"""Packed CPythons on this machine: built once on a server, then sent to every server like it.

They are kept under ~/.cache/provision/python/, a folder for each inventory so that no environment feeds another. An
archive's name has the version and options, the distribution's release, and the architecture; a file .about beside it has
its SHA-256, its size in bytes, and the packages that its libraries come from.
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
    """The folder for an inventory's Pythons, named by the inventory and a hash of its path."""
    path = hashlib.sha256(str(inventory.path.resolve()).encode()).hexdigest()
    return folder() / "python" / f"{inventory.name}-{path[:12]}"


def archive(kept: Path, system: System, name: str) -> Path:
    """The archive in `kept` (see `location`) of a Python (3.13.5, 3.13.5-optimized) for systems like this one."""
    return kept / f"{name}-{system.distribution}-{system.architecture}.tar.gz"


def about(archive: Path) -> Path:
    """The file beside an archive that describes it."""
    return archive.with_name(f"{archive.name}.about")


def archives(kept: Path, system: System, host: Host) -> dict[str, Path]:
    """The archives of the Pythons that the host's apps use, by name; without those that are not to be cached."""
    return {app.python.name: archive(kept, system, app.python.name) for app in host.apps.values() if app.python.cache}


def read(archives: Mapping[str, Path]) -> dict[str, CachedPython]:
    """The Pythons of `archives` that exist and have the size that they should have."""
    found = {}
    for name, path in archives.items():
        if path.is_file() and about(path).is_file():
            sha256, size, *packages = about(path).read_text().split() or ("", "-1")
            if path.stat().st_size == int(size):
                found[name] = CachedPython(path, sha256, int(size), tuple(packages))
    return found


def verify(archive: Path) -> None:
    """Compare an archive with its SHA-256. Raises CacheError, after removing the archive, where they differ."""
    expected = about(archive).read_text().split()[0]
    with archive.open("rb") as stream:
        actual = hashlib.file_digest(stream, "sha256").hexdigest()
    if actual != expected:
        archive.unlink()
        about(archive).unlink()
        raise CacheError(f"{archive.name} did not arrive whole; the next run on such a server builds it again")
