"""POSIX sh as text: quoting, here-documents, and the .sh file beside a module."""

import base64
import shlex
import textwrap
from functools import cache
from pathlib import Path

quote = shlex.quote


def words(*parts: str) -> str:
    """A command line of quoted words."""
    return " ".join(map(quote, parts))


def heredoc(command: str, content: bytes) -> str:
    """`command` with `content` on its standard input, in base64, which keeps every byte intact."""
    encoded = "\n".join(textwrap.wrap(base64.b64encode(content).decode(), 76))
    return f"base64 -d <<'END_OF_BASE64' | {command}\n{encoded}\nEND_OF_BASE64"


def joined(*libraries: str) -> str:
    """All libraries as one text, without those that are part of another."""
    texts = dict.fromkeys(text for text in libraries if text)
    return "".join(text for text in texts if not any(text != other and text in other for other in texts))


@cache
def library(module: str) -> str:
    """The shell functions beside a Python module: those of provision/resources/file.py are in file.sh.

    Comments are left out.
    """
    lines = Path(module).with_suffix(".sh").read_text().splitlines()
    return "\n".join(line for line in lines if line and not line.lstrip().startswith("#")) + "\n"
