"""Pydantic's errors in the words of whoever writes an inventory."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provision.inventory.shapes import example
from provision.inventory.wording import display, suggestion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

    from provision.inventory.nodes import Node
    from provision.inventory.problems import Location

SECRET = frozenset({"environment", "secrets", "index", "repository", "pyenv"})
"""Keys below which a value may be secret, and is not repeated."""
MAPPING = ("is not a mapping", "write keys and values below it")
BOOLEAN = ("is not true or false", "write true or false")
KINDS = {
    "string_type": ("is not text", "put it in quotes if it is meant as text"),
    "list_type": ("is not a list", "write [ONE, TWO]"),
    "dict_type": MAPPING,
    "model_type": MAPPING,
    "bool_type": BOOLEAN,
    "bool_parsing": BOOLEAN,
    "path_type": ("is not a path", "write the path of a file"),
}


def explain(error: ErrorDetails) -> str:
    """What is wrong with a host's field, and what to do."""
    kind, context = error["type"], error.get("ctx", {})
    secret = bool(SECRET.intersection(map(str, error["loc"])))
    value = "the value" if secret else display(error["input"])
    if kind == "value_error":
        return str(context["error"])
    if kind == "missing":
        return f"missing{example(error['loc'])}"
    if kind == "literal_error":
        choices = [choice.strip("' ") for choice in re.split(r", | or ", context["expected"])]
        near = suggestion(str(error["input"]), choices)
        return f"{value} is not known; write {' or '.join(choices)}" if not near else f"{value} is not known{near}"
    if kind == "greater_than_equal":
        return f"{value} is too small; at least {context['ge']}"
    if kind == "less_than_equal":
        return f"{value} is too large; at most {context['le']}"
    if kind == "too_short":
        return "the list is empty; name at least one"
    if kind in KINDS:
        return _wrong_kind(error, value, secret)
    return f"{value} is not valid: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _wrong_kind(error: ErrorDetails, value: str, secret: bool) -> str:
    if error["input"] is None:
        return "the value is empty; write one, or remove the line"
    what, fix = KINDS[error["type"]]
    if error["type"] == "list_type" and isinstance(error["input"], str) and not secret:
        fix = f"write [{error['input']}]"
    return f"{value} {what}; {fix}"


def locate(root: Node, loc: Sequence[int | str]) -> Location:
    """Where the value at `loc` was written; for a missing one, where its mapping is."""
    return _find(root, loc)[1]


def discreet(message: str, root: Node, loc: Sequence[int | str], hidden: frozenset[str]) -> str:
    """A message about the value at `loc`, with nothing in it of the values that references led to."""
    node = _find(root, loc)[0]
    if node.origin and _shares(message, str(node.data)):
        return f"the value of {node.origin} cannot stand here; docs/inventory.md says what can"
    for value in sorted(hidden, key=len, reverse=True):
        message = message.replace(value, "********")
    return message


def _shares(message: str, value: str) -> bool:
    """Whether four characters of a value stand in a message."""
    message, value = message.lower(), value.lower()
    return any(value[start : start + 4] in message for start in range(len(value) - 3))


def _find(root: Node, loc: Sequence[int | str]) -> tuple[Node, Location]:
    """The node at `loc`, or the nearest one above it, and where it was written."""
    node = root
    for part in loc:
        if part == "[key]":
            break
        below = dict(enumerate(node.data)) if isinstance(node.data, list) else node.data
        if isinstance(below, dict) and part in below:
            node = below[part]
        elif isinstance(node.data, dict) and isinstance(part, str):
            return node, node.location.key(part)
        else:
            break
    return node, node.location
