"""Packed CPythons on this machine: built once on a server, then sent to every server like it.

The archives are under ~/.cache/provision/python/, a folder for each inventory so that no environment feeds another. Beside the
inventory, a lock file pins each archive by its SHA-256, with the packages that its libraries come from: an archive that it does
not name is not used. An archive's name has the version and options, the distribution's release, the architecture, and the
beginning of its SHA-256, so that none takes the place of another.
"""

import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from provision.controller import files
from provision.controller.ssh import Session
from provision.engine.facts import System
from provision.engine.resource import Transfer
from provision.errors import CacheError
from provision.inventory import Host, Inventory
from provision.resources.python import CachedPython

# What a server may make of an archive, in bytes; a plain build has 40 MB.
ARCHIVE_BYTES, ABOUT_BYTES, PACKAGES = 1 << 30, 1 << 14, 50
KEY = re.compile(r"3\.\d{1,3}\.\d{1,3}(-optimized)?-(debian|ubuntu)[0-9.]{1,8}-[a-z][a-z0-9_]{0,31}")
PACKAGE = re.compile(r"(lib[a-z0-9][a-z0-9+.-]{0,60}[a-z0-9]|zlib1g)")
LINE = re.compile(rf"([0-9a-f]{{64}}) ({KEY.pattern})((?: {PACKAGE.pattern})*)")
HEADER = """\
# Pythons that runs with this inventory built on its servers, and send to others like them: their SHA-256. Written by provision.
# Keep this file in Git. Without its line, an archive is not used, and the next server builds a Python again.
"""


def folder() -> Path:
    """$XDG_CACHE_HOME/provision, by default ~/.cache/provision (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "provision"


def location(inventory: Inventory) -> Path:
    """The folder for an inventory's Pythons, named by the inventory and a hash of its path."""
    path = hashlib.sha256(str(inventory.path.resolve()).encode()).hexdigest()
    return folder() / "python" / f"{inventory.name}-{path[:12]}"


def lock(inventory: Inventory) -> Path:
    """The file that pins the inventory's Pythons."""
    return inventory.path.with_name(f"{inventory.path.stem}.pythons.lock")


def keys(system: System, host: Host) -> dict[str, str]:
    """What identifies the Pythons that the host's apps use on systems like this one, by name; without those that are not to be
    cached. Raises CacheError where the server's words are no distribution or architecture.
    """
    wanted = {app.python.name for app in host.apps.values() if app.python.cache and not app.python.system}
    found = {name: f"{name}-{system.distribution}-{system.architecture}" for name in sorted(wanted)}
    for key in found.values():
        if not KEY.fullmatch(key):
            raise CacheError(
                f"{key!r} is not the name of a Python: the server's uname -m or /etc/os-release is not to be believed"
            )
    return found


def archive(inventory: Inventory, key: str, sha256: str) -> Path:
    """Where an archive is kept."""
    return location(inventory) / f"{key}-{sha256[:16]}.tar.gz"


def read(inventory: Inventory, keys: Mapping[str, str]) -> dict[str, CachedPython]:
    """The Pythons of `keys` that the lock file pins and that are here. Raises CacheError for a lock file with other lines."""
    pinned = _pinned(lock(inventory))
    found = {}
    for name, key in keys.items():
        for sha256, packages in pinned.get(key, {}).items():
            path = archive(inventory, key, sha256)
            if path.is_file() and name not in found:
                found[name] = CachedPython(path, sha256, path.stat().st_size, packages)
    return found


def take(session: Session, inventory: Inventory, built: Transfer) -> None:
    """Fetch an archive that this run has seen a server build, and pin it. `built.local` is its key, in the inventory's folder.

    Another one of that key stays what is used. Raises CacheError for one that is too large, or whose packages have no proper
    names; ConnectionLost; Unreachable.
    """
    key, kept = built.local.name, location(inventory)
    kept.mkdir(parents=True, exist_ok=True)
    arrived, said = (kept / f".{secrets.token_hex(8)}" for _ in range(2))
    try:
        files.get(session, built.remote, arrived, ARCHIVE_BYTES)
        files.get(session, f"{built.remote}.about", said, ABOUT_BYTES)
        packages = _packages(said.read_text(errors="replace"))
        with arrived.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        with _alone(kept):
            if key not in read(inventory, {key: key}):
                _pin(lock(inventory), key, sha256, packages)
                arrived.replace(archive(inventory, key, sha256))
    finally:
        arrived.unlink(missing_ok=True)
        said.unlink(missing_ok=True)


def _packages(text: str) -> tuple[str, ...]:
    names = tuple(text.split())
    wrong = next((name for name in names if not PACKAGE.fullmatch(name)), "")
    if wrong or len(names) > PACKAGES:
        raise CacheError(
            f"the Python that the server built is not kept, as it names {wrong[:60]!r} among its libraries' packages"
            if wrong
            else f"the Python that the server built is not kept, as it names {len(names)} packages"
        )
    return names


def _pinned(path: Path) -> dict[str, dict[str, tuple[str, ...]]]:
    """The pinned archives: packages by SHA-256, by key."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        if not match:
            raise CacheError(
                f"{path}:{number}: not a line that provision writes; take the file from Git, or remove the line"
            )
        sha256, key, *packages = line.split()
        found.setdefault(key, {})[sha256] = tuple(packages)
    return found


def _pin(path: Path, key: str, sha256: str, packages: tuple[str, ...]) -> None:
    before = path.read_text() if path.is_file() else HEADER
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        beside.write_text(before + " ".join((sha256, key, *packages)) + "\n")
        beside.replace(path)
    except OSError as error:
        raise CacheError(
            f"the Python that the server built is not kept: {path} cannot be written ({error.strerror})"
        ) from None
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def _alone(kept: Path) -> Iterator[None]:
    """Within this, no other run or thread writes the lock file."""
    with (kept / ".lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
