"""YAML values that know where they were written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.inventory.problems import Location


@dataclass(frozen=True, slots=True)
class Node:
    """A YAML value and its location. `data` is a dict or list of nodes, or a plain value, and `text` how that is written.

    `origin` is the reference that led to a value that is secret; empty for others.
    """

    location: Location
    data: Any
    text: str = ""
    origin: str = ""

    def plain(self) -> Any:
        """The value itself; keys whose value is null are left out, so that the default holds."""
        if isinstance(self.data, dict):
            return {key: node.plain() for key, node in self.data.items() if node.data is not None}
        if isinstance(self.data, list):
            return [node.plain() for node in self.data]
        return self.data

    def get(self, key: str) -> Node | None:
        """The value under a key; None for a value that is not a mapping, too."""
        return self.data.get(key) if isinstance(self.data, dict) else None

    def items(self) -> Iterator[tuple[str, Node]]:
        """The keys and values of a mapping; nothing for other values."""
        return iter(self.data.items() if isinstance(self.data, dict) else ())

    def texts(self) -> list[Node]:
        """The items of a list that are text; nothing for other values."""
        return [item for item in self.data if isinstance(item.data, str)] if isinstance(self.data, list) else []


def merge(base: Node, over: Node) -> Node:
    """One value over another: mappings are merged key by key, anything else is replaced."""
    if not isinstance(base.data, dict) or not isinstance(over.data, dict):
        return over
    data = dict(base.data)
    for key, node in over.data.items():
        data[key] = merge(data[key], node) if key in data else node
    return Node(base.location, data)
