"""Words for error messages: how a value is shown, and what may have been meant."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def display(value: object) -> str:
    """A value as an error message shows it: text in quotes, collections by their kind only."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def suggestion(word: str, words: Iterable[str]) -> str:
    """The end of a message about an unknown word: the most similar known one; empty if none is similar."""
    near = difflib.get_close_matches(word, sorted(words), 1, 0.6)
    return f'; did you mean "{near[0]}"?' if near else ""


def known_names(name: str, known: Mapping[str, Sequence[str]]) -> str:
    """The end of a message about an unknown name: the most similar one, and all that are known, by kind."""
    listed = "; ".join(f"{kind} {', '.join(names)}" for kind, names in known.items() if names)
    near = suggestion(name, [item for names in known.values() for item in names])
    return f"{near}; there are: {listed}"
