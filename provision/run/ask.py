"""Questions to many hosts, side by side: releases, status, logs, and single commands. One exec a host."""

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
            output = session.run(status.script(call(host)))
            return HostOutput(host.name, tuple(output.stdout.removesuffix("\n").split("\n")))
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
            for line in session.lines(status.script(call(host))):
                with lock:
                    tell(host.name, line)
            return HostOutput(host.name)
        except (ProvisionError, OSError, EOFError, SSHException) as problem:
            return HostOutput(host.name, error=_reason(host, problem))
        finally:
            session.close()

    workers = ThreadPoolExecutor(max_workers=max(1, len(hosts)))
    try:
        return tuple(workers.map(one, hosts))
    finally:
        workers.shutdown(wait=False, cancel_futures=True)
