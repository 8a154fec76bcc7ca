"""invoke lab.*: throw-away servers on this machine."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from invoke.exceptions import Exit
from invoke.tasks import task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from invoke.context import Context


@contextmanager
def one_line() -> Iterator[None]:
    """Let a LabError end the task with its message."""
    from provision.lab import LabError

    try:
        yield
    except LabError as problem:
        raise Exit(str(problem), code=1) from None


@task(help={"count": "servers: lab1 to labCOUNT", "suite": "Debian of new ones: bullseye, bookworm or trixie"})
def up(_context: Context, count: str = "1", suite: str = "bookworm") -> None:
    """Start real Debian servers on this machine; those that run already stay as they are."""
    from provision import lab

    if not count.isdecimal():
        raise Exit(f"--count {count}: not a number of servers; write for example --count 3", code=1)
    with one_line():
        lab.up(int(count), suite)
        _show()


@task
def down(_context: Context) -> None:
    """Remove the servers, and all that the lab put on this machine."""
    from provision import lab

    with one_line():
        lab.down()


@task
def status(_context: Context) -> None:
    """The lab's servers and services."""
    with one_line():
        _show()


@task(help={"name": "server", "user": "root, admin (sudo) or ops (sudo with the password in .lab/ops-password)"})
def ssh(_context: Context, name: str = "lab1", user: str = "admin") -> None:
    """An SSH session in a server."""
    from provision import lab

    with one_line():
        code = lab.ssh(name, user)
    raise Exit(code=code)


def _show() -> None:
    from provision import lab

    found = lab.status()
    for line in (*found.servers, *found.services):
        print(f"{line.name:<8}{line.state:<9}{line.detail}")
    if not found.servers:
        print(f"No lab in {found.folder}: invoke lab.up")
