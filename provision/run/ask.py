"""Questions to many hosts, side by side: releases, status, logs, and single commands. One exec a host."""

import secrets
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from paramiko.ssh_exception import SSHException

from provision.controller.connection import reason
from provision.controller.redact import Mask
from provision.controller.ssh import Session
from provision.errors import ProvisionError
from provision.inventory import Host
from provision.release import status
from provision.untrusted import line as shown
from provision.untrusted import understood

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class HostOutput:
    """The lines that a host printed, or in one line why there are none."""

    host: str
    lines: tuple[str, ...] = ()
    error: str | None = None


def ask(hosts: Sequence[Host], call: Callable[[Host], str], password: str | None = None) -> tuple[HostOutput, ...]:
    """What all hosts answer to a call of release/status.py."""

    def one(host: Host) -> HostOutput:
        session = Session(host, password)
        try:
            end = secrets.token_hex(16)
            output = session.run(status.script(call(host), end))
            answer, ended, _ = output.stdout.rpartition(f"{end}\n")
            lines = answer.removesuffix("\n").split("\n")
            return HostOutput(host.name, tuple(lines)) if ended else HostOutput(host.name, error=_cut(output.stdout))
        except (ProvisionError, OSError, EOFError, SSHException) as problem:
            return HostOutput(host.name, error=_reason(host, problem))
        finally:
            session.close()

    with ThreadPoolExecutor(max_workers=20) as workers:
        return tuple(workers.map(one, hosts))


def read(
    answers: Sequence[HostOutput], parse: Callable[[HostOutput], Iterable[Row]]
) -> tuple[tuple[HostOutput, ...], list[Row]]:
    """The rows in the answers; an answer that has none, because it is not what was asked for, becomes its host's error."""
    heard: list[HostOutput] = []
    rows: list[Row] = []
    for answer in answers:
        try:
            with understood("what it was asked"):
                rows.extend([] if answer.error else list(parse(answer)))
            heard.append(answer)
        except ProvisionError as problem:
            heard.append(replace(answer, lines=(), error=str(problem)))
    return tuple(heard), rows


def _reason(host: Host, problem: Exception) -> str:
    known = isinstance(problem, ProvisionError)
    return Mask(host)(str(problem) if known else f"the connection failed: {reason(problem)}")


def _cut(said: str) -> str:
    last = next((line for line in reversed(said.split("\n")) if line.strip()), "")
    return f"the answer has no end: the script on the server was ended, or the connection was ({shown(last, 200) or 'it said nothing'})"


def follow(
    hosts: Sequence[Host], call: Callable[[Host], str], tell: Callable[[str, str], None], password: str | None = None
) -> Iterable[HostOutput]:
    """Call `tell` with each line of each host as it comes, until all scripts have ended; then return what went wrong.

    Raises KeyboardInterrupt at once on Ctrl-C, while its threads may still be reading.
    """
    lock = threading.Lock()

    def one(host: Host) -> HostOutput:
        session = Session(host, password)
        try:
            end, last = secrets.token_hex(16), ""
            for line in session.lines(status.script(call(host), end)):
                if line == end:
                    return HostOutput(host.name)
                last = line
                with lock:
                    tell(host.name, line)
            return HostOutput(host.name, error=_cut(last))
        except (ProvisionError, OSError, EOFError, SSHException) as problem:
            return HostOutput(host.name, error=_reason(host, problem))
        finally:
            session.close()

    workers = ThreadPoolExecutor(max_workers=max(1, len(hosts)))
    try:
        return tuple(workers.map(one, hosts))
    finally:
        workers.shutdown(wait=False, cancel_futures=True)
