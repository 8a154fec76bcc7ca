"""invoke promote, rollback, restart: the releases that are on the servers already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import task

from provision.tasks.options import Command, help_for

if TYPE_CHECKING:
    from invoke import Context


@task(
    help={
        **help_for("host", "app", "stop_first", "plan", "yes", "skip_unreachable", "json", "inventory"),
        "force": "go back although the release does not know the database's revision",
        "to": "a release, by its id or its commit's first seven digits, instead of the previous good one",
    }
)
def rollback(
    context: Context,
    host: str = "",
    app: str = "",
    to: str | None = None,
    stop_first: bool = False,
    force: bool = False,
    plan: bool = False,
    yes: bool = False,
    skip_unreachable: bool = False,
    json: bool = False,
    inventory: str | None = None,
) -> None:
    """Go back to the previous good release, health-checked, without fetch or build; or drop the release that is held."""
    from functools import partial

    from provision import roles
    from provision.tasks import changing

    command = Command("rollback", host, inventory, json, app)
    what = partial(roles.rolled_back, to=to)
    changing.end(
        changing.run(
            command,
            what,
            applies=not plan,
            skips_unreachable=skip_unreachable,
            stops_first=stop_first,
            force=force,
            yes=yes,
        )
    )


@task(help=help_for("host", "app", "plan", "yes", "skip_unreachable", "json", "inventory"))
def promote(
    context: Context,
    host: str = "",
    app: str = "",
    plan: bool = False,
    yes: bool = False,
    skip_unreachable: bool = False,
    json: bool = False,
    inventory: str | None = None,
) -> None:
    """Give all traffic to the release that deploy --hold started."""
    from provision import roles
    from provision.tasks import changing

    command = Command("promote", host, inventory, json, app)
    changing.end(changing.run(command, roles.promoted, applies=not plan, skips_unreachable=skip_unreachable, yes=yes))


@task(help=help_for("host", "app", "stop_first", "yes", "skip_unreachable", "json", "inventory"))
def restart(
    context: Context,
    host: str = "",
    app: str = "",
    stop_first: bool = False,
    yes: bool = False,
    skip_unreachable: bool = False,
    json: bool = False,
    inventory: str | None = None,
) -> None:
    """Restart the active release: rolling, health-checked, with the inventory's present environment."""
    from provision import roles
    from provision.tasks import changing

    command = Command("restart", host, inventory, json, app)
    changing.end(
        changing.run(command, roles.restarted, skips_unreachable=skip_unreachable, stops_first=stop_first, yes=yes)
    )
