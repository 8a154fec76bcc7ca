"""Commands that a person watches."""

import os
import pty
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress

from tests.lab.conftest import ROOT


def on_a_terminal(command: list[str]) -> "tuple[subprocess.Popen[bytes], Callable[[], str]]":
    """A command with a terminal for its input and output; and a function that returns what it has printed so far."""
    terminal, inside = pty.openpty()
    environ = {**os.environ, "TERM": "xterm"}
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdin=inside, stdout=inside, stderr=inside)
    os.close(inside)
    printed = bytearray()

    def read() -> None:
        with suppress(OSError):
            while data := os.read(terminal, 1 << 16):
                printed.extend(data)

    threading.Thread(target=read, daemon=True).start()
    return process, lambda: printed.decode(errors="replace")
