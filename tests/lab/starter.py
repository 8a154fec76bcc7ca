"""Starts tasks for tests in processes of their own, each forked from one that has imported the toolkit: importing it takes a second
of a processor for each task, as long as many tasks take themselves.

`python -m tests.lab.starter SOCKET` is that process; it ends when its standard input does.
"""

import atexit
import importlib
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
IMPORTED = (
    *(
        f"provision.tasks.{name}"
        for name in ("deploy", "release", "status", "logs", "maintenance", "verify", "changing")
    ),
    *(f"provision.{name}" for name in ("run.fleet", "run.ask", "report.console", "report.document", "report.tables")),
    *("rich.table", "rich.syntax", "paramiko", "invoke.main"),
)
# Python reads these at its start.
EARLY = ("PYTHON", "LC_", "LANG")
MESSAGE = 1 << 17


def serve(path: str) -> None:
    """Fork a process for each message."""
    for name in IMPORTED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen(16)
        print("ready", flush=True)
        while listener in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                become(connection)
                return
            connection.close()


def become(connection: socket.socket) -> None:
    """In a child: run what the message says, and answer with its process id and then its exit status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, files, _, _ = socket.recv_fds(connection, MESSAGE, 2)
    child = os.fork()
    if child:
        for file in files:
            os.close(file)
        connection.send(str(child).encode())
        connection.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
        return
    connection.close()
    for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), *files)):
        os.dup2(file, number)
        os.close(file)
    # The objects of before may have asked what kind of file theirs is.
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False, errors=sys.stdout.errors)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False, errors="backslashreplace")
    wanted = json.loads(message)
    os.environ.clear()
    os.environ.update(wanted["environ"])
    random.seed()
    from invoke.main import program

    sys.argv = ["invoke", *wanted["words"]]
    program.run()


@cache
def started() -> Path:
    """The socket of the process that forks; it is started at first use, and ends with the tests."""
    path = Path(tempfile.mkdtemp(prefix="provision-starter-"), "socket")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.lab.starter", path],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == "ready\n"

    def end() -> None:
        process.communicate()
        path.unlink()
        path.parent.rmdir()

    atexit.register(end)
    return path


def run(words: Sequence[str], environ: Mapping[str, str], seconds: float) -> tuple[int, str, str]:
    """The exit status of `invoke WORDS`, run at the project's top, and what it printed. Raises TimeoutError after so many seconds."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(seconds)
        connection.connect(str(started()))
        pipes = [os.pipe(), os.pipe()]
        message = json.dumps({"words": words, "environ": dict(environ)}).encode()
        socket.send_fds(connection, [message], [inside for _, inside in pipes])
        printed = ["", ""]

        def read(number: int, file: IO[str]) -> None:
            with file:
                printed[number] = file.read()

        readers = []
        for number, (outside, inside) in enumerate(pipes):
            os.close(inside)
            readers.append(threading.Thread(target=read, args=(number, os.fdopen(outside)), daemon=True))
            readers[-1].start()
        child = int(connection.recv(MESSAGE))
        try:
            status = int(connection.recv(MESSAGE))
        except TimeoutError:
            os.kill(child, signal.SIGKILL)
            raise
        for reader in readers:
            reader.join()
    return status, printed[0], printed[1]


if __name__ == "__main__":
    serve(sys.argv[1])
