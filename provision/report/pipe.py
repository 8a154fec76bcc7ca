"""Standard output and error: their reader may go away (`invoke plan --host prod | head -1`), and lack letters."""

import codecs
import io
import os
import sys
from typing import Any


class Pipe(io.FileIO):
    """A file that drops what is written after its reader has gone, so that the task goes on to its own exit status.

    `deserted` says whether the reader has gone.
    """

    deserted = False

    def write(self, data: Any, /) -> int:
        """Write bytes and return their number, as if they had been written where nobody reads."""
        try:
            return super().write(data)
        except BrokenPipeError:
            self.deserted = True
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return memoryview(data).nbytes


PLAIN = {"✓": "+", "●": "*", "✗": "x", "➜": ">", "…": "..."}


def _plain(error: UnicodeError) -> tuple[str, int]:
    """What stands for letters that an output's encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(PLAIN.get(letter, "?") for letter in letters), error.end


def outlive_readers() -> None:
    """Let standard output and error lose their readers, and letters of other encodings, without an error.

    Replaced streams stay as they are.
    """
    codecs.register_error("plain", _plain)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not getattr(sys, f"__{name}__") or not isinstance(stream, io.TextIOWrapper):
            continue
        stream.reconfigure(errors="plain")
        if not stream.isatty():
            buffer = io.BufferedWriter(Pipe(stream.fileno(), "w", closefd=False))
            lines = stream.line_buffering or stream.write_through
            setattr(sys, name, io.TextIOWrapper(buffer, stream.encoding, "plain", line_buffering=lines))


def deserted() -> bool:
    """Whether the reader of standard output has gone."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return isinstance(raw, Pipe) and raw.deserted
