"""All that one inventory file declares."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from provision.errors import InventoryError
from provision.inventory.host import Host
from provision.inventory.model import Model
from provision.inventory.wording import known_names


class Inventory(Model):
    """All that one inventory file declares, checked."""

    path: Path = Field(description="The file.")
    name: str = Field(description="The file's name without its ending.")
    hosts: dict[str, Host] = Field(description="The hosts, by name, in the order in which they are written.")
    groups: dict[str, tuple[str, ...]] = Field(description="The names of each group's hosts.")

    def select(self, name: str) -> tuple[Host, ...]:
        """The hosts that a name means: all for the inventory's own, those of a group, or one.

        Raises InventoryError if it means nothing, a group without hosts, or more than one thing.
        """
        meanings = self._meanings(name)
        if len(meanings) > 1:
            raise InventoryError(
                [f'{self.path}: "{name}" is ambiguous: {" or ".join(meanings.values())}; rename one of them']
            )
        if not meanings:
            known = {"inventory": [self.name], "groups": list(self.groups), "hosts": list(self.hosts)}
            raise InventoryError([f'{self.path}: "{name}" is not a group or host here{known_names(name, known)}'])
        hosts = next(iter(meanings))
        if not hosts:
            raise InventoryError([f"{self.path}: the group {name} has no hosts; name it in a host's groups"])
        return tuple(self.hosts[host] for host in hosts)

    def _meanings(self, name: str) -> dict[tuple[str, ...], str]:
        """The names of hosts that a name may stand for, and how to say it."""
        meanings: dict[tuple[str, ...], str] = {}
        if name in self.hosts:
            meanings.setdefault((name,), f"the host {name}")
        if name in self.groups:
            meanings.setdefault(self.groups[name], f"the group {name}")
        if name == self.name:
            meanings.setdefault(tuple(self.hosts), f"all hosts of {self.path}")
        return meanings
