"""invoke maintenance.on, maintenance.off: 503 in place of the apps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import task

from provision.tasks.options import Command, help_for

if TYPE_CHECKING:
    from invoke import Context


@task(help=help_for("host", "app", "inventory"))
def on(context: Context, host: str = "", app: str = "", inventory: str | None = None) -> None:
    """Answer 503 with Retry-After in place of the apps; deploys do not end it."""
    _switch("on", Command("maintenance.on", host, inventory, app=app))


@task(help=help_for("host", "app", "inventory"))
def off(context: Context, host: str = "", app: str = "", inventory: str | None = None) -> None:
    """Let the apps answer again."""
    _switch("off", Command("maintenance.off", host, inventory, app=app))


def _switch(state: str, command: Command) -> None:
    from provision.release import status as query
    from provision.tasks import asking

    asked = asking.ask(command, lambda each: query.maintenance_call(each, state))
    answers, rows = asking.read(
        asked, lambda answer: [(answer.host, *each) for each in query.maintenance(answer.lines).items()]
    )
    for host, app, now in rows:
        print(f"{host}: {app}: maintenance is {now}")
    asking.fail(answers)
