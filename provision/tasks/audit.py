"""invoke audit: what is on servers that nobody has explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Exit, task

from provision.tasks.options import Command, help_for

if TYPE_CHECKING:
    from invoke import Context


@task(help=help_for("host", "json", "inventory"))
def audit(context: Context, host: str = "", json: bool = False, inventory: str | None = None) -> None:
    """What listens, logs in, is root or runs on the servers, and neither inventory nor distribution explains. Exit status 1: something."""
    from provision.run import audit as look

    command = Command("audit", host, inventory, json)
    target = command.target()
    found = look.audit(target.hosts, target.password)
    if json:
        from provision.report import document

        print(document.audits(found, command.seconds))
    else:
        from provision.report import tables

        tables.audits(found)
    if not all(one.ok for one in found):
        raise Exit(code=1)
