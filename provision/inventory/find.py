"""Which inventory, and which of its hosts, a name means."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from provision.errors import InventoryError
from provision.inventory.layers import collect
from provision.inventory.load import load
from provision.inventory.problems import Problems
from provision.inventory.wording import known_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provision.inventory.host import Host
    from provision.inventory.inventory import Inventory

log = logging.getLogger(__name__)


def find(
    name: str,
    folder: Path = Path("inventories"),
    file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> tuple[Inventory, tuple[Host, ...]]:
    """The inventory and hosts that `name` means: an inventory in `folder`, or a group or host in one.

    With `file`, only that file is searched. Raises InventoryError for a name that is unknown or ambiguous, and for an
    inventory that is invalid; one that cannot be read and need not be is only mentioned in the log.
    """
    inventory = load(file or file_of(name, folder), environ)
    return inventory, inventory.select(name)


def every(folder: Path = Path("inventories")) -> tuple[Path, ...]:
    """The inventories in a folder: examples, and files that another one includes, aside. Raises InventoryError if there are none."""
    files = _inventories(folder)
    included = set().union(*(_outline(path, Problems()).includes for path in files))
    return tuple(path for path in files if path not in included)


def file_of(name: str, folder: Path = Path("inventories")) -> Path:
    """The file of the inventory in a folder that `name` means, or that has a group or host of this name. Raises InventoryError."""
    own = folder / f"{name}.yml"
    return own if own.is_file() else _search(name, folder)


def _search(name: str, folder: Path) -> Path:
    """The one inventory in a folder with a group or host of this name, examples and included files aside."""
    files = _inventories(folder, name)
    problems = Problems()
    outlines = {path: _outline(path, problems) for path in files}
    found = {path: each for path, each in outlines.items() if name in each.groups | each.hosts}
    included = set().union(*(each.includes for each in found.values()))
    found = {path: each for path, each in found.items() if path not in included}
    if len(found) > 1:
        paths = " and ".join(map(str, found))
        raise InventoryError([f'"{name}" is ambiguous: in {paths}; choose one with --inventory FILE'])
    if not found:
        known = {
            "inventories": [path.stem for path in files],
            "groups": sorted(set().union(*(each.groups for each in outlines.values()))),
            "hosts": sorted(set().union(*(each.hosts for each in outlines.values()))),
        }
        message = f'"{name}" is not an inventory, group or host{known_names(name, known)}'
        raise InventoryError([message, *problems.lines()])
    for line in problems.lines():
        log.warning("%s", line)
    return next(iter(found))


def _inventories(folder: Path, name: str = "NAME") -> list[Path]:
    """The files in a folder that are no examples. Raises InventoryError if there are none; `name` is that of the one to write."""
    if not folder.is_dir():
        here = f"{folder.parent.absolute()} has no folder {folder.name}"
        raise InventoryError([f"{here}: go to your project's folder, or name a file with --inventory FILE"])
    files = sorted(path for path in folder.glob("*.yml") if not path.name.endswith(".example.yml"))
    if not files:
        own = folder / f"{name}.yml"
        raise InventoryError([f"{folder} has no inventory; copy one of its *.example.yml files to {own}"])
    return files


class Outline(NamedTuple):
    """What a file speaks of, valid or not: its groups, its hosts, and the files that it includes."""

    groups: set[str]
    hosts: set[str]
    includes: set[Path]


def _outline(file: Path, problems: Problems) -> Outline:
    found = Outline(set(), set(), set())
    for root in collect(file, problems).documents:
        found.includes.add(root.location.file)
        if groups := root.get("groups"):
            found.groups.update(name for name, _ in groups.items())
        if hosts := root.get("hosts"):
            for name, host in hosts.items():
                found.hosts.add(name)
                if listed := host.get("groups"):
                    found.groups.update(item.text for item in listed.texts())
    return found._replace(includes=found.includes - {file})
