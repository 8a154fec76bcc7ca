"""Inventories, read and rendered without a connection."""

from dataclasses import dataclass, field
from pathlib import Path

from provision.errors import InventoryError, PlanError
from provision.inventory import Host, find, load
from provision.inventory.remote import clients
from provision.roles.rehearsal import rehearsed


@dataclass(frozen=True, slots=True)
class Checked:
    """An inventory: the hosts that it declares, how many resources each has, and everything that is wrong, in lines."""

    path: str
    hosts: tuple[Host, ...] = ()
    resources: dict[str, int] = field(default_factory=dict)
    errors: tuple[str, ...] = ()


def check(path: Path | None, name: str = "") -> Checked:
    """An inventory, or those of its hosts that `name` means; without a path, it is searched for by the name."""
    try:
        if name:
            inventory, hosts = find(name, file=path)
        else:
            assert path is not None
            inventory = load(path)
            hosts = tuple(inventory.hosts.values())
    except InventoryError as error:
        return Checked(str(path or name), errors=error.errors)
    resources: dict[str, int] = {}
    errors: dict[str, None] = {}
    for host in hosts:
        try:
            resources[host.name] = len(rehearsed(host, clients(inventory.hosts.values(), host.name)))
        except PlanError as error:
            errors[str(error)] = None
    return Checked(str(inventory.path), hosts, resources, tuple(errors))
