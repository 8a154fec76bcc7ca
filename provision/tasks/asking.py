"""Tasks that ask servers and change nothing in a release: one question to all hosts, and the answers or errors."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TypeVar

from invoke import Exit

from provision.untrusted import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rich.table import Table

    from provision.inventory import Host
    from provision.release.backup_status import BackupState
    from provision.release.database_status import DatabaseState
    from provision.release.status import Waiting
    from provision.report.document import Others, Row
    from provision.run.ask import HostOutput
    from provision.tasks.options import Command, Target

T = TypeVar("T")


def ask(command: Command, call: Callable[[Host], str]) -> tuple[HostOutput, ...]:
    """What each host answers to its call."""
    from provision.run import ask

    target = command.target()
    return ask.ask(target.narrowed, call, target.password)


def read(
    answers: Sequence[HostOutput], parse: Callable[[HostOutput], Iterable[T]]
) -> tuple[tuple[HostOutput, ...], list[T]]:
    """The rows in the answers, and the answers; one that is not what was asked for is its host's error."""
    from provision.run import ask

    return ask.read(answers, parse)


def follow(target: Target, call: Callable[[Host], str], tell: Callable[[str, str], None], left: str = "") -> None:
    """Pass each line of each host to `tell` as it comes; exit with status 1 where a host could not be asked.

    Ctrl-C ends the process with status 130, whatever its threads are waiting for, and prints `left`.
    """
    from provision.run import ask

    try:
        fail(tuple(ask.follow(target.narrowed, call, tell, target.password)))
    except KeyboardInterrupt:
        if left:
            print(f"\n{left}", file=sys.stderr, flush=True)
        os._exit(130)


def print_document(
    name: str,
    answers: Sequence[HostOutput],
    rows: Sequence[Row],
    others: Others | None = None,
    waiting: Mapping[str, Waiting] | None = None,
    backups: Mapping[str, BackupState] | None = None,
    databases: Mapping[str, DatabaseState] | None = None,
    **more: object,
) -> None:
    """Print the JSON document of a list, with `more` in it; exit with status 1 where a host could not be asked.

    `others` are the apps of each host that the inventory does not have, `waiting` is what waits for a restart on it,
    and `backups` and `databases` how its backups and its PostgreSQL do.
    """
    from provision.report import document

    print(document.listing(name, answers, rows, others, waiting, backups, databases, **more))
    if any(answer.error for answer in answers):
        raise Exit(code=1)


def print_table(
    table: Table, answers: Sequence[HostOutput], others: Others | None = None, lines: Sequence[str] = ()
) -> None:
    """Print a table and the lines below it, then the apps that the inventory does not have, then the errors; exit with status 1 where
    there are any.
    """
    from provision.release.present import removal
    from provision.report import tables

    tables.show(table)
    for line in lines:
        print(visible(line))
    for host, apps in (others or {}).items():
        for app in apps:
            print(visible(f"{host}: {app}: {removal(host, app)}"))
    fail(answers)


def fail(answers: Sequence[HostOutput]) -> None:
    """Print the errors; exit with status 1 where there are any."""
    for answer in answers:
        if answer.error:
            print(visible(f"{answer.host}: {answer.error}"), file=sys.stderr)
    if any(answer.error for answer in answers):
        raise Exit(code=1)
