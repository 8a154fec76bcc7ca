"""Standard output and error whose reader may go away: `invoke plan --host prod | head -1`."""

import io
import os
import sys
from typing import Any


class Pipe(io.FileIO):
    """What is written after the reader has gone goes nowhere: a task goes on, and its exit status says how it ended."""

    deserted = False

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            self.deserted = True
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return memoryview(data).nbytes


def outlive_readers() -> None:
    """Let no task fail because nobody reads on what it prints."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        own = stream is getattr(sys, f"__{name}__")
        if own and isinstance(stream, io.TextIOWrapper) and not stream.isatty():
            buffer = io.BufferedWriter(Pipe(stream.fileno(), "w", closefd=False))
            lines = stream.line_buffering or stream.write_through
            setattr(sys, name, io.TextIOWrapper(buffer, stream.encoding, stream.errors, line_buffering=lines))


def deserted() -> bool:
    """Whether the reader of standard output has gone."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return isinstance(raw, Pipe) and raw.deserted
