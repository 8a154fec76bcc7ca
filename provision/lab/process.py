"""Detached processes, each with a record that identifies it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from provision.lab import cgroup
from provision.lab.machine import ENVIRONMENT, until

if TYPE_CHECKING:
    from provision.lab.folder import Folder

GROUP = "processes"

# The process writes its own record before it executes the command, so it never runs unrecorded.
DETACH = """\
set -eu
record=$1 group=$2
shift 2
echo 0 >"$group/cgroup.procs"
started=$(cut -d ' ' -f 22 "/proc/$$/stat")
printf '{"pid": %s, "started": %s}\\n' "$$" "$started" >"$record.partial"
mv "$record.partial" "$record"
exec "$@"
"""


def spawn(folder: Folder, name: str, *command: str | Path, env: dict[str, str] | None = None) -> None:
    """Start a command in a session of its own, with its output in the log folder. Its words must name the lab's folder."""
    group = cgroup.create(GROUP)[0]
    (folder.run / f"{name}.json").unlink(missing_ok=True)
    with (folder.log / f"{name}.log").open("ab") as log:
        subprocess.run(
            ["setsid", "--fork", "sh", "-c", DETACH, "sh", folder.run / f"{name}.json", group, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder.path,
            env=ENVIRONMENT | (env or {}),
            timeout=10,
            check=True,
        )
    until((folder.run / f"{name}.json").exists, timeout=5)


def alive(folder: Folder, name: str) -> int | None:
    """The id of the recorded process, if it still runs."""
    try:
        record = json.loads((folder.run / f"{name}.json").read_text())
        pid, started = int(record["pid"]), int(record["started"])
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError, KeyError):
        return None
    # The command line is empty for a moment during exec.
    same = int(rest[18]) == started and (not command or os.fsencode(folder.path) in command)
    return pid if same and state != "Z" else None


def end(
    folder: Folder,
    name: str,
    signals: tuple[signal.Signals, ...] = (signal.SIGTERM, signal.SIGKILL),
    timeout: float = 5,
) -> None:
    """Send the signals in turn until the process has ended, waiting `timeout` seconds after each."""
    for number in signals:
        pid = alive(folder, name)
        if pid is None:
            break
        os.killpg(pid, number)
        until(lambda: alive(folder, name) is None, timeout)
    (folder.run / f"{name}.json").unlink(missing_ok=True)


def said(folder: Folder, name: str, lines: int = 3) -> str:
    """The last lines of the process's log."""
    try:
        text = (folder.log / f"{name}.log").read_text(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.strip().splitlines()[-lines:])
