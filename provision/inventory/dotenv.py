"""Dotenv files: NAME=value lines, as python-dotenv reads them, without its expansion of ${NAME}."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def variables(path: Path, content: bytes) -> dict[str, str]:
    """The variables in a file. Raises ValueError with the number of the first line that is wrong."""
    from dotenv import dotenv_values
    from dotenv.parser import parse_stream

    try:
        text = io.StringIO(content.decode(), newline=None).read()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
    values = dotenv_values(stream=io.StringIO(text), interpolate=False)
    for binding in parse_stream(io.StringIO(text)):
        line = binding.original.line
        if binding.error or (binding.key is not None and binding.value is None):
            raise ValueError(f"line {line} of {path} is not NAME=value; correct that line")
        if binding.key is not None:
            try:
                variable_name(binding.key)
                single_line(values[binding.key] or "")
            except ValueError as error:
                raise ValueError(f"line {line} of {path}: {error}") from None
    return {name: value or "" for name, value in values.items()}


def variable_name(name: str) -> str:
    """The name of an environment variable (POSIX, Base Definitions 8.1). Raises ValueError for anything else."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError("not the name of an environment variable; use letters, digits and _ only")
    return name


def single_line(value: str) -> str:
    """The value of an environment variable. Raises ValueError for one that a unit or env file cannot hold."""
    if "\0" in value or "\n" in value or "\r" in value:
        raise ValueError("the value has a line break or a NUL; put it in one line, for example as base64")
    return value
