"""POSIX sh as text: quoting, here-documents, and the .sh file that stands beside a module."""

import base64
import shlex
import textwrap
from functools import cache
from pathlib import Path

quote = shlex.quote


def words(*parts: str) -> str:
    """One command line of quoted words."""
    return " ".join(map(quote, parts))


def heredoc(command: str, content: bytes) -> str:
    """`command`, fed with `content` on its standard input; base64 keeps any byte and any line intact."""
    encoded = "\n".join(textwrap.wrap(base64.b64encode(content).decode(), 76))
    return f"base64 -d <<'END_OF_BASE64' | {command}\n{encoded}\nEND_OF_BASE64"


def joined(*libraries: str) -> str:
    """All libraries as one, each text once: what stands within another one is left out."""
    texts = dict.fromkeys(text for text in libraries if text)
    return "".join(text for text in texts if not any(text != other and text in other for other in texts))


@cache
def library(module: str) -> str:
    """The shell functions beside a Python module: provision/resources/file.py has them in file.sh.

    Comment lines stay behind: they are for the reader here, not for the wire.
    """
    lines = Path(module).with_suffix(".sh").read_text().splitlines()
    return "\n".join(line for line in lines if line and not line.lstrip().startswith("#")) + "\n"
