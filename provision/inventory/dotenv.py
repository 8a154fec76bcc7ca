"""Dotenv files: NAME=value lines, as python-dotenv reads them, without its expansion of ${NAME}."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LONGEST = 130_000
"""Bytes; with its name, Linux takes 128 KiB of a variable (MAX_ARG_STRLEN)."""
SHELL = {"IFS", "OLDPWD", "OPTIND", "PPID", "PWD"}
"""Names whose values a shell sets itself, whatever it is given."""


def variables(path: Path, content: bytes) -> dict[str, str]:
    """The variables in a file; the last one of a name counts.

    Raises ValueError with the file and the number of the first line that is wrong.
    """
    from dotenv.parser import parse_stream

    try:
        text = io.StringIO(content.decode(), newline=None).read()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
    found = {}
    for binding in parse_stream(io.StringIO(text)):
        original = binding.original.string
        line = binding.original.line + original[: len(original) - len(original.lstrip())].count("\n")
        if binding.error or (binding.key is not None and binding.value is None):
            raise ValueError(f"{path}:{line}: not NAME=value; correct that line, and quote a value of several lines")
        if binding.key is not None:
            try:
                found[variable_name(binding.key)] = variable_value(binding.value or "")
            except ValueError as error:
                raise ValueError(f"{path}:{line}: {error}") from None
    return found


def variable_name(name: str) -> str:
    """The name of an environment variable (POSIX, Base Definitions 8.1).

    Raises ValueError for anything else, and for what the toolkit and the shell set themselves.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError("not the name of an environment variable; use letters, digits and _ only")
    if name in SHELL or name.startswith("PROVISION_"):
        whose = "the toolkit" if name.startswith("PROVISION_") else "the shell"
        raise ValueError(f"{name} is set by {whose} itself; choose another name")
    return name


def variable_value(value: str) -> str:
    """The value of an environment variable.

    Raises ValueError for what does not arrive: control characters, which systemd leaves out, and more than Linux takes.
    """
    if any((character < " " and character not in "\t\n") or character == "\x7f" for character in value):
        raise ValueError(
            "the value has a control character other than tab and newline; encode it, for example as base64"
        )
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ValueError("the value is not UTF-8 text; encode it, for example as base64") from None
    if size > LONGEST:
        raise ValueError(f"the value is longer than {LONGEST // 1000} KB; pass it in a file of the app's shared folder")
    return value
