"""invoke doctor, check: what would stop a deploy, on the servers and in the inventory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Exit, task

from provision.tasks.options import Command, help_for
from provision.untrusted import visible

if TYPE_CHECKING:
    from invoke import Context


@task(help=help_for("host", "json", "inventory"))
def doctor(context: Context, host: str = "", json: bool = False, inventory: str | None = None) -> None:
    """What on the servers would stop a deploy or mar it, and what to do. Exit status 0: nothing stops one; 1: something does."""
    from provision import roles
    from provision.run.doctor import diagnose
    from provision.run.request import Request

    command = Command("doctor", host, inventory, json)
    target = command.target()
    request = Request("doctor", target.inventory, target.hosts, roles.examined, applies=False, password=target.password)
    found = diagnose(request)
    if json:
        from provision.report import document

        print(document.diagnoses(found, command.seconds))
    else:
        from provision.report import tables

        tables.diagnoses(found)
    if not all(one.ok for one in found):
        raise Exit(code=1)


@task(help=help_for("host", "json", "inventory"))
def check(context: Context, host: str = "", json: bool = False, inventory: str | None = None) -> None:
    """Read an inventory, by default all, and render its templates, without a connection. Exit status 1: something is wrong."""
    import sys
    from pathlib import Path

    from provision.errors import InventoryError
    from provision.inventory import every
    from provision.run.check import check as checked

    command = Command("check", host, inventory, json)
    try:
        files = (Path(inventory) if inventory else None,) if host or inventory else every()
        found = [checked(file, host) for file in files]
        errors = [line for one in found for line in one.errors]
    except InventoryError as error:
        found, errors = [], list(error.errors)
    if json:
        from provision.report import document

        print(document.checked(found, errors, command.seconds))
    else:
        from provision.report import tables

        tables.checked([one for one in found if not one.errors])
        for line in errors:
            print(visible(line), file=sys.stderr)
    if errors:
        raise Exit(code=1)
