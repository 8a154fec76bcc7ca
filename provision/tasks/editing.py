"""A text in the user's editor: decrypted in memory (tmpfs) where there is such a place, and gone afterwards."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import InventoryError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

MEMORY = Path("/dev/shm")


def edited(text: str, file: Path, check: Callable[[str], object]) -> str:
    """The text as the user leaves it. `check` raises InventoryError for one that cannot stay so; on a terminal, the editor
    opens again.

    Raises UsageError if the editor fails; then nothing is to change.
    """
    with _folder() as folder:
        copy = folder / file.name.removesuffix(".age")
        with open(copy, "x", opener=lambda path, flags: os.open(path, flags, 0o600), encoding="utf-8") as opened:
            opened.write(text)
        while True:
            _open(copy)
            try:
                new = copy.read_text(encoding="utf-8")
                check(new)
                return new
            except (OSError, UnicodeDecodeError):
                raise UsageError(f"the editor left no UTF-8 text; {file} is as it was") from None
            except InventoryError as error:
                if not sys.stdin.isatty():
                    raise UsageError(f"{error}; {file} is as it was") from None
                print(error, file=sys.stderr)
                input("Enter: edit again; Ctrl-C: drop the changes ")


def _open(copy: Path) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        status = subprocess.run([*shlex.split(editor), str(copy)], check=False).returncode
    except (OSError, ValueError):
        raise UsageError(f"the editor {editor} cannot be run; set EDITOR") from None
    if status:
        raise UsageError(f"the editor {editor} failed (exit status {status}); nothing was changed")


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for this user alone. Its files are overwritten and removed afterwards, also after Ctrl-C, SIGTERM and SIGHUP."""
    memory = MEMORY if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else None

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    folder = Path(tempfile.mkdtemp(prefix="provision-", dir=memory))
    try:
        yield folder
    finally:
        _wipe(folder)
        for number, handler in before.items():
            signal.signal(number, handler)


def _wipe(folder: Path) -> None:
    """Overwrite and remove what the editor left, its backups too."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
            continue
        if path.is_file() and not path.is_symlink():
            with path.open("r+b") as opened:
                opened.write(bytes(path.stat().st_size))
                opened.flush()
                os.fsync(opened.fileno())
        path.unlink()
    folder.rmdir()
