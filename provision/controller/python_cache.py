"""Packed CPythons on the controller: built once, placed on every like server.

A Python is kept under ~/.cache/provision/python/ by the inventory that it was built for (so that no environment can
feed another), its version and options, the distribution's release, and the architecture.
"""

import hashlib
import os
from pathlib import Path

from provision.engine.facts import CachedPython, Facts
from provision.errors import CacheError
from provision.inventory import Host, Inventory


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


def archive(facts: Facts, name: str) -> Path | None:
    """Where the Python `name` (3.13.5, 3.13.5-optimized) is kept for servers like this one."""
    return facts.cache / f"{name}-{facts.distribution}-{facts.architecture}.tar.gz" if facts.cache else None


def about(archive: Path) -> Path:
    """The file that says of an archive: its SHA-256 and size in bytes, and then the packages of its libraries."""
    return archive.with_name(f"{archive.name}.about")


def read(facts: Facts, host: Host) -> dict[str, CachedPython]:
    """The Pythons of the host's apps that `facts.cache` has for servers like this one, whole."""
    found = {}
    for app in host.apps.values():
        path = archive(facts, app.python.name)
        if app.python.cache and path and path.is_file() and about(path).is_file():
            sha256, size, *packages = about(path).read_text().split() or ("", "-1")
            if path.stat().st_size == int(size):
                found[app.python.name] = CachedPython(path, sha256, int(size), tuple(packages))
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
