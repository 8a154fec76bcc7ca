"""invoke verify: checks of running servers, by pytest and testinfra."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Exit, task

from provision.tasks.options import Command, help_for

if TYPE_CHECKING:
    from invoke import Context


@task(
    help={
        **help_for("host", "inventory", "json"),
        "only": 'only checks whose names match, as with pytest\'s -k: "certificate and not expire"',
    }
)
def verify(context: Context, host: str = "", inventory: str | None = None, only: str = "", json: bool = False) -> None:
    """Check running servers against the inventory. The last check kills each app's main process, to see it come back."""
    command = Command("verify", host, inventory, json)
    target = command.target()

    from provision.run import verification

    outcome = verification.verify(target.hosts, target.password, only, quiet=json)
    if json:
        from provision.report import document

        print(document.checks(outcome, command.seconds))
    if not outcome.ok:
        raise Exit(code=1)
