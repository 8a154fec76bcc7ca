"""Large files, to a server and from it, as the login's user.

They go over a channel of a program's: sshd may have no SFTP, and what a login's shell prints would break it.
"""

import secrets
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from provision.controller import listen
from provision.controller.ssh import Session
from provision.errors import CacheError, RunError
from provision.untrusted import line as shown


def put(session: Session, local: Path, remote: str, progress: Callable[[int, int], object] | None = None) -> None:
    """Send a file, readable by its owner alone; `remote` is relative to the login's home.

    `progress` is called with the bytes sent and the bytes in all. Raises ConnectionLost; RunError where the server does
    not take all of it; what it took of it is removed.
    """
    channel = session.program('cat >"$1" || { rm -f "$1"; exit 1; }', remote, f"{local.name} was sent")
    sent, size, errors = 0, local.stat().st_size, bytearray()
    with closing(channel), session.during(f"{local.name} was sent"):
        with local.open("rb") as stream, suppress(OSError):
            # Where it stops reading, it has said why.
            while chunk := stream.read(listen.CHUNK):
                channel.sendall(chunk)
                sent += len(chunk)
                if progress:
                    progress(sent, size)
            channel.shutdown_write()
        listen.read_errors(channel, errors)
        status = session.status(channel, f"while {local.name} was sent")
    if status:
        raise RunError(
            f"{local.name} could not be written to the home folder of {session.host.user} ({_said(errors)}): is the"
            " disk full, or out of inodes, or over a quota? See df -h ~ and df -i ~ there"
        )


def get(session: Session, remote: str, local: Path, limit: int) -> None:
    """Fetch a file and remove it from the server. `local` appears whole or not at all.

    Raises CacheError where it has more than `limit` bytes, or cannot be read; ConnectionLost.
    """
    local.parent.mkdir(parents=True, exist_ok=True)
    partial = local.with_name(f".{local.name}.{secrets.token_hex(4)}")
    channel = session.program('cat "$1" && rm -f "$1"', remote, f"{local.name} was fetched")
    got, errors = 0, bytearray()
    try:
        with closing(channel), session.during(f"{local.name} was fetched"), partial.open("wb") as stream:
            while chunk := channel.recv(listen.CHUNK):
                got += len(chunk)
                if got > limit:
                    raise CacheError(f"{remote} is not fetched, as it has more than {limit / 1e6:.1f} MB")
                stream.write(chunk)
            listen.read_errors(channel, errors)
            status = session.status(channel, f"while {local.name} was fetched")
        if status:
            raise CacheError(f"{remote} cannot be fetched: {_said(errors)}")
        partial.replace(local)
    finally:
        partial.unlink(missing_ok=True)


def _said(errors: bytearray) -> str:
    """The last line of what a program said on standard error."""
    return shown(errors.decode(errors="replace").strip().rpartition("\n")[2], 200) or "it did not say why"
