"""What a server says over a channel, with limits on its size and on time."""

import threading
import time
from collections.abc import Iterator

import paramiko

from provision.errors import ConnectionLost, RunError
from provision.untrusted import visible

CHUNK = 1 << 16
ANSWER_BYTES = 4 << 20
ANSWER_LINES = 50_000
ERROR_BYTES = 64 << 10
LINE_BYTES = 64 << 10
STREAM_BYTES = 64 << 20


def answer(channel: paramiko.Channel, address: str, seconds: float) -> tuple[str, str]:
    """All of what a script prints, without control characters: standard output, and the first 64 KB of standard error.

    Raises ConnectionLost where it is not complete after so many seconds; RunError where it is more than 4 MB or 50,000
    lines.
    """
    errors = bytearray()
    listener = threading.Thread(target=read_errors, args=(channel, errors), name="stderr", daemon=True)
    channel.settimeout(seconds)
    listener.start()
    deadline, said, lines = time.monotonic() + seconds, bytearray(), 0
    try:
        while chunk := channel.recv(CHUNK):
            said += chunk
            lines += chunk.count(b"\n")
            if len(said) > ANSWER_BYTES or lines > ANSWER_LINES:
                raise RunError(
                    f"{address} says more than an answer has ({ANSWER_BYTES >> 20} MB): is its shell what it should be?"
                )
            channel.settimeout(max(0.01, deadline - time.monotonic()))
        listener.join(max(0.01, deadline - time.monotonic()))
        if listener.is_alive() or not channel.status_event.wait(max(0.01, deadline - time.monotonic())):
            raise TimeoutError
    except TimeoutError:
        channel.close()
        raise ConnectionLost(f"{address} did not answer within {seconds:.0f} seconds") from None
    except RunError:
        channel.close()
        raise
    return _text(said), _text(errors)


def stream(channel: paramiko.Channel, address: str, errors: bytearray, limit: int = 0) -> Iterator[str]:
    """Each line as it comes, without control characters and cut at 64 KB; `errors` gets the first of standard error.

    Raises RunError after more than `limit` bytes, if there is a limit.
    """
    said, rest, dropping = 0, bytearray(), False
    threading.Thread(target=read_errors, args=(channel, errors), name="stderr", daemon=True).start()
    while chunk := channel.recv(CHUNK):
        said += len(chunk)
        if limit and said > limit:
            raise RunError(f"{address} says more than a run has ({limit >> 20} MB): the run goes on on the server")
        *whole, end = chunk.split(b"\n")
        for each in whole:
            if not dropping:
                yield _text(rest + each[:LINE_BYTES])
            rest, dropping = bytearray(), False
        if not dropping:
            rest += end
        if len(rest) > LINE_BYTES:
            yield _text(rest[:LINE_BYTES])
            rest, dropping = bytearray(), True
    if rest:
        yield _text(rest)


def until(channel: paramiko.Channel, mark: str) -> tuple[str, bool]:
    """What a script says up to a mark, the last 4 KB of it, and whether the mark came before the end of all that it says."""
    said, end = bytearray(), mark.encode()
    while not said.endswith(end):
        byte = channel.recv(1)
        if not byte:
            return _text(said), False
        said += byte
        del said[: max(0, len(said) - 4096)]
    return _text(said[: -len(end)]), True


def read_errors(channel: paramiko.Channel, kept: bytearray) -> None:
    """Read standard error to its end, so that nothing waits for it, and keep the first of it."""
    try:
        while chunk := channel.recv_stderr(CHUNK):
            kept += chunk[: max(0, ERROR_BYTES - len(kept))]
    except (OSError, EOFError):
        pass


def _text(said: bytes | bytearray) -> str:
    return visible(said.decode(errors="replace"))
