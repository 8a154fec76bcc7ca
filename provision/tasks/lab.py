"""invoke lab.*: throw-away servers on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.exceptions import Exit
from invoke.tasks import task

from provision import lab

if TYPE_CHECKING:
    from invoke.context import Context


@task(help={"count": "servers: lab1 to labCOUNT", "suite": "Debian of new ones: bullseye, bookworm or trixie"})
def up(_context: Context, count: int = 1, suite: str = "bookworm") -> None:
    """Bring up real Debian servers on this machine; what is there stays."""
    try:
        lab.up(count, suite)
        show(lab.status())
    except lab.LabError as problem:
        raise Exit(str(problem), code=1) from None


@task
def down(_context: Context) -> None:
    """Remove the servers and all that the lab put on this machine."""
    try:
        lab.down()
    except lab.LabError as problem:
        raise Exit(str(problem), code=1) from None


@task
def status(_context: Context) -> None:
    """The lab's servers and services."""
    try:
        show(lab.status())
    except lab.LabError as problem:
        raise Exit(str(problem), code=1) from None


@task(help={"name": "server", "user": "root, admin (sudo) or ops (sudo with the password in .lab/ops-password)"})
def ssh(_context: Context, name: str = "lab1", user: str = "admin") -> None:
    """An SSH session in a server."""
    try:
        code = lab.ssh(name, user)
    except lab.LabError as problem:
        raise Exit(str(problem), code=1) from None
    raise Exit(code=code)


def show(found: lab.Status) -> None:
    for line in (*found.servers, *found.services):
        print(f"{line.name:<8}{line.state:<9}{line.detail}")
    if not found.servers:
        print(f"No lab in {found.folder}: invoke lab.up")
