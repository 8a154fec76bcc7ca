"""invoke deploy, provision, plan: a server and the apps' releases on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Exit, task

from provision.tasks.options import Command, help_for

if TYPE_CHECKING:
    from invoke import Context

    from provision.run.result import Result


@task(
    help=help_for(
        "host",
        "app",
        "revision",
        "upgrade",
        "hold",
        "force",
        "stop_first",
        "plan",
        "yes",
        "skip_unreachable",
        "json",
        "inventory",
    )
)
def deploy(
    context: Context,
    host: str = "",
    app: str = "",
    revision: str | None = None,
    upgrade: bool = False,
    hold: bool = False,
    force: bool = False,
    stop_first: bool = False,
    plan: bool = False,
    yes: bool = False,
    skip_unreachable: bool = False,
    json: bool = False,
    inventory: str | None = None,
) -> None:
    """Everything: the server, and the apps' releases on it; with --app, the server and that app's release."""
    from secrets import token_hex

    from provision import roles
    from provision.tasks import changing, first_contact

    command = Command("deploy", host, inventory, json, app)
    what, token = (roles.previewed, token_hex(16)) if hold else (roles.everything, "")

    def run() -> tuple[Result, ...]:
        return changing.run(
            command,
            what,
            applies=not plan,
            resolves=True,
            revision=revision,
            token=token,
            force=force,
            skips_unreachable=skip_unreachable,
            stops_first=stop_first,
            upgrades=upgrade,
            yes=yes,
        )

    changing.end(run() if plan else first_contact.before(command, run))


@task(help=help_for("host", "force", "plan", "yes", "skip_unreachable", "json", "inventory"))
def provision(
    context: Context,
    host: str = "",
    force: bool = False,
    plan: bool = False,
    yes: bool = False,
    skip_unreachable: bool = False,
    json: bool = False,
    inventory: str | None = None,
) -> None:
    """The server, without the app's release."""
    from provision import roles
    from provision.tasks import changing, first_contact

    command = Command("provision", host, inventory, json)

    def run() -> tuple[Result, ...]:
        return changing.run(
            command, roles.server, applies=not plan, force=force, skips_unreachable=skip_unreachable, yes=yes
        )

    changing.end(run() if plan else first_contact.before(command, run))


@task(help=help_for("host", "app", "revision", "force", "json", "inventory"))
def plan(
    context: Context,
    host: str = "",
    app: str = "",
    revision: str | None = None,
    force: bool = False,
    json: bool = False,
    inventory: str | None = None,
) -> None:
    """What deploy would change. Exit status 0: nothing; 2: something; 1: an error."""
    from provision import roles
    from provision.tasks import changing

    command = Command("plan", host, inventory, json, app)
    results = changing.run(command, roles.everything, applies=False, resolves=True, revision=revision, force=force)
    changing.end(results)
    if any(result.changes for result in results):
        raise Exit(code=2)
