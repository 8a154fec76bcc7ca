"""Packed CPythons on the controller: built once, placed on every like server.

A Python is kept under ~/.cache/provision/python/ by the inventory that it was built for (so that no environment can
feed another), its version and options, the distribution's release, and the architecture.
"""

import hashlib
import os
from pathlib import Path

from provision.engine.facts import CachedPython, Facts
from provision.inventory import Host, Inventory


class CacheError(Exception):
    """What a server packed did not arrive whole."""


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


def read(facts: Facts, host: Host) -> dict[str, CachedPython]:
    """The Pythons of the host's apps that `facts.cache` has for servers like this one, whole."""
    found: dict[str, CachedPython] = {}
    for app in host.apps.values() if facts.cache else ():
        name = app.python.name
        path = (facts.cache or folder()) / f"{name}-{facts.distribution}-{facts.architecture}.tar.gz"
        about = path.with_name(path.name + ".about")
        if app.python.cache and about.is_file() and path.is_file():
            first, *packages = about.read_text().splitlines()
            sha256, size = first.split()
            if path.stat().st_size == int(size):
                found[name] = CachedPython(path, sha256, int(size), tuple(packages))
    return found


def verify(path: Path) -> None:
    """Raises CacheError, and forgets the file, unless it is what its server packed."""
    about = path.with_name(path.name + ".about")
    expected = about.read_text().split()[0]
    with path.open("rb") as stream:
        actual = hashlib.file_digest(stream, "sha256").hexdigest()
    if actual != expected:
        path.unlink()
        about.unlink()
        raise CacheError(f"{path.name} did not arrive whole; the next run on such a server builds it again")
