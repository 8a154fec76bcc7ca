"""invoke verify: checks of running servers, by pytest and testinfra."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from invoke import Exit, task

from provision.tasks.options import Command, help_for, production

if TYPE_CHECKING:
    from collections.abc import Sequence

    from invoke import Context

    from provision.inventory import Host


@task(
    help={
        **help_for("host", "inventory", "json"),
        "disruptive": "also kill each app's main process, and see it come back; asks first",
        "yes": "do not ask",
        "only": 'only checks whose names match, as with pytest\'s -k: "certificate and not expire"',
    }
)
def verify(
    context: Context,
    host: str = "",
    inventory: str | None = None,
    only: str = "",
    disruptive: bool = False,
    yes: bool = False,
    json: bool = False,
) -> None:
    """Check running servers against the inventory. Nothing on them is changed, unless the checks may be disruptive."""
    command = Command("verify", host, inventory, json)
    target = command.target()
    if disruptive and not yes:
        _confirm(command, target.hosts)

    from provision.run import verification

    outcome = verification.verify(target.hosts, target.password, only, disruptive=disruptive, quiet=json)
    if json:
        from provision.report import document

        print(document.checks(outcome, command.seconds))
    if not outcome.ok:
        raise Exit(code=1)


def _confirm(command: Command, hosts: Sequence[Host]) -> None:
    """Ask before anything is killed. Raises Exit if the answer is not yes, or there is no terminal to ask on."""
    apps = ", ".join(f"{app} on {host.name}" for host in hosts for app in host.apps)
    if not sys.stdin.isatty():
        raise Exit(
            "verify --disruptive kills each app's main process, and there is no terminal to ask on: add --yes", 1
        )
    if production(hosts):
        from provision.tasks import changing

        changing.typed(command, f"kills the main process of {apps or 'no app'}")
        return
    print(f"This kills the main process of {apps or 'no app'}. Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Exit("nothing was checked", 1)
