"""What servers say of themselves: releases, status, logs; and single commands on them. One exec a host."""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from provision.controller.ssh import Session
from provision.engine.shell import library, words
from provision.errors import AccessDenied, ConnectionLost, Unreachable
from provision.inventory import Host
from provision.release import manager


@dataclass(frozen=True, slots=True)
class HostOutput:
    """A host's lines, or the one line that says why there are none."""

    host: str
    lines: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ReleaseInfo:
    """A release on a host. `state` is active, kept, held, failed or new; `when` is UTC."""

    host: str
    app: str
    id: str
    commit: str
    state: str
    when: str
    who: str
    author: str
    subject: str


@dataclass(frozen=True, slots=True)
class AppStatus:
    """How an app stands on a host. `health` is an HTTP status, `memory` in bytes, `days` the certificate's."""

    host: str
    app: str
    release: str
    since: str
    slot: str
    health: str
    workers: int
    memory: int | None
    days: int | None
    maintenance: bool
    updates: int


@dataclass(frozen=True, slots=True)
class DeployKey:
    """The public half of the key with which a host reads an app's repository; empty where there is none yet."""

    host: str
    app: str
    repository: str
    public: str


def ask(hosts: Sequence[Host], call: Callable[[Host], str], password: str | None = None) -> tuple[HostOutput, ...]:
    """The answers of all hosts to a call of one of the functions in survey.sh, side by side."""

    def one(host: Host) -> HostOutput:
        session = Session(host, password)
        try:
            output = session.run(f"{manager.LIBRARY}{library(__file__)}main() {{ {call(host)}; }}\nmain </dev/null\n")
            return HostOutput(host.name, tuple(output.stdout.removesuffix("\n").split("\n")))
        except (Unreachable, AccessDenied, ConnectionLost) as problem:
            return HostOutput(host.name, error=str(problem))
        finally:
            session.close()

    with ThreadPoolExecutor(max_workers=20) as workers:
        return tuple(workers.map(one, hosts))


def releases(answer: HostOutput) -> list[ReleaseInfo]:
    """The releases in an answer to `releases APP...`, oldest first."""
    rows = [_printable(line).split("\t", 7) for line in answer.lines if line]
    return [ReleaseInfo(answer.host, *(*row, "", "")[:8]) for row in rows]


def _printable(line: str) -> str:
    """A line without what would steer a terminal: a commit's subject is anybody's text."""
    return "".join(character for character in line if character == "\t" or character.isprintable())


def standings(answer: HostOutput) -> list[AppStatus]:
    """The apps in an answer to `status APP DOMAIN HEALTH...`."""
    rows = [line.split("\t") for line in answer.lines if line]
    updates = next((int(row[1]) for row in rows if row[0] == "updates"), 0)
    return [_standing(answer.host, row, updates) for row in rows if row[0] != "updates"]


def deploy_keys(answer: HostOutput, host: Host) -> list[DeployKey]:
    """The keys in an answer to `deploy_keys APP...`."""
    rows = [line.partition("\t")[::2] for line in answer.lines if line]
    return [
        DeployKey(answer.host, app, host.apps[app].source.location, f"{public} {app}@{answer.host}" if public else "")
        for app, public in rows
    ]


def _standing(host: str, row: Sequence[str], updates: int) -> AppStatus:
    app, release, since, slot, health, workers, memory, days, maintenance = row
    return AppStatus(
        host=host,
        app=app,
        release=release,
        since=since,
        slot=slot,
        health=health,
        workers=int(workers),
        memory=int(memory) if memory.isdigit() else None,
        days=int(days) if days.lstrip("-").isdigit() else None,
        maintenance=maintenance == "yes",
        updates=updates,
    )


def follow(
    hosts: Sequence[Host], call: Callable[[Host], str], tell: Callable[[str, str], None], password: str | None = None
) -> Iterable[HostOutput]:
    """Tell each line of all hosts as it comes, until their scripts end; then what went wrong.

    On Ctrl-C it raises KeyboardInterrupt at once, while its threads may still read.
    """
    lock = threading.Lock()

    def one(host: Host) -> HostOutput:
        session = Session(host, password)
        try:
            for line in session.lines(
                f"{manager.LIBRARY}{library(__file__)}main() {{ {call(host)}; }}\nmain </dev/null\n"
            ):
                with lock:
                    tell(host.name, line)
            return HostOutput(host.name)
        except (Unreachable, AccessDenied, ConnectionLost) as problem:
            return HostOutput(host.name, error=str(problem))
        finally:
            session.close()

    workers = ThreadPoolExecutor(max_workers=max(1, len(hosts)))
    try:
        return tuple(workers.map(one, hosts))
    finally:
        workers.shutdown(wait=False, cancel_futures=True)


def apps(host: Host) -> str:
    """The host's apps as words."""
    return words(*host.apps)
