"""What is wrong with an inventory, and where."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class Location(NamedTuple):
    """Where something was written: file, line (from 1), and dotted path from the file's top."""

    file: Path
    line: int
    path: str

    def key(self, name: str) -> Location:
        """The same line, one key further down."""
        return self._replace(path=f"{self.path}.{name}" if self.path else name)


class Problem(NamedTuple):
    """One mistake. Problems sort by file and line."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.line else f"{self.file}: {self.text}"


class Problems:
    """All that is wrong so far, each thing once."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, location: Location, message: str) -> None:
        """Add a mistake; control characters in the message become spaces."""
        text = f"{location.path}: {message}" if location.path else message
        self._found[Problem(str(location.file), location.line, re.sub(r"[\x00-\x1f\x7f]+", " ", text))] = None

    def extend(self, others: Problems) -> None:
        """Add other mistakes."""
        self._found |= others._found

    def about(self, key: str) -> bool:
        """Whether there is a problem with a key at a file's top, or below it."""
        return any(problem.text.startswith(key) for problem in self._found)

    def lines(self) -> list[str]:
        """One line for each problem, in the order of files and lines."""
        return [str(problem) for problem in sorted(self._found)]
