"""invoke remove: an app leaves its servers, or this toolkit does with all its apps."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from invoke import Exit, task

from provision.errors import UsageError
from provision.tasks.options import Command, help_for, hosts_of, production

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from invoke import Context

    from provision.run.result import Result

WHOLE = "this toolkit and all its apps"


@task(
    help={
        **help_for("host", "plan", "skip_unreachable", "json", "inventory"),
        "app": "the app to remove; the inventory need not have it any more. Without it: all apps, and all that this toolkit made",
        "with_data": "also what shared folders hold, and their owners: the name of the app (without one, that of --host) once more, or "
        "nothing to be asked for it",
        "yes": "do not ask",
    },
    optional=("with_data",),
)
def remove(
    context: Context,
    host: str = "",
    app: str | None = None,
    with_data: str = "",
    yes: bool = False,
    plan: bool = False,
    skip_unreachable: bool = False,
    json: bool = False,
    inventory: str | None = None,
) -> None:
    """Take an app off its servers, or all apps and this toolkit itself; their data stays unless it is to go too."""
    from functools import partial

    from provision import roles
    from provision.tasks import changing

    command = Command("remove", host, inventory, json)
    data = _checked(command, app, with_data, asks=not (plan or yes))
    app = app or ""
    what = partial(roles.removed, name=app, with_data=data) if app else partial(roles.left, with_data=data)
    agreed: Mapping[str, Sequence[str]] | None = None
    if not (plan or yes):
        planned = changing.run(command, what, applies=False)
        agreed = _agreed(
            command, [one for one in planned if not (skip_unreachable and one.status == "unreachable")], app, data
        )
    results = changing.run(
        command, what, applies=not plan, agreed=agreed, skips_unreachable=skip_unreachable, yes=yes or bool(agreed)
    )
    changing.end(results)
    if not json:
        _say_nothing(results, app)


def _checked(command: Command, app: str | None, with_data: str | bool, asks: bool) -> bool:
    """Whether data is to go. Raises Exit for a command that cannot be carried out, before anything is touched."""
    from provision.inventory.reserved import app_name

    if not command.host:
        command.target()
    try:
        if app == "":
            raise UsageError("--app is empty: name an app, or leave --app out to remove all apps and this toolkit")
        if app:
            try:
                app_name(app)
            except ValueError as error:
                raise UsageError(f"--app: {error}") from None
        named = app or command.host
        if with_data is True:
            with_data = _typed(named, app or "all apps")
        if with_data and with_data != named:
            whose = "the app" if app else "the host"
            raise UsageError(f"--with-data {with_data}: write the name of {whose} whose data is to go, {named}")
        if asks and command.json:
            raise UsageError("remove --json asks nothing: add --yes, or --plan to see what would go")
        if asks and not sys.stdin.isatty():
            raise UsageError("remove asks before it begins, and there is no terminal to ask on: add --yes")
    except UsageError as error:
        if command.json:
            from provision.report import document

            print(document.failure(command.task, error.errors, command.seconds))
        raise Exit(str(error), code=1) from None
    return bool(with_data)


def _typed(name: str, whose: str) -> str:
    """The name that is typed. Raises UsageError where there is no terminal to type it on."""
    if not sys.stdin.isatty():
        raise UsageError(
            f"--with-data removes data for ever, and there is no terminal to ask on: write --with-data {name}"
        )
    what = "its name" if whose == name else name
    return _answer(f"This removes all data of {whose} for ever. Type {what} to go on: ") or "nothing"


def _agreed(command: Command, results: Sequence[Result], app: str, data: bool) -> dict[str, tuple[str, ...]]:
    """By host, what is to be done, when whoever reads it has agreed. Raises Exit if not, and where there is nothing to do."""
    from provision.tasks import changing

    changing.end(results)
    hosts = [result.host for result in results if result.changes]
    if not hosts:
        _say_nothing(results, app)
        raise Exit(code=0)
    what = app or WHOLE
    what += (" and all its data" if app else " and all their data") if data else ""
    if production(hosts_of(command.host, command.inventory)[1]):
        changing.typed(command, f"removes {what} from {', '.join(hosts)}")
    elif _answer(f"\nThis removes {what} from {', '.join(hosts)}. Go on? [y/N] ").lower() not in ("y", "yes"):
        raise Exit("nothing was removed", 1)
    return {result.host: tuple(change.summary for change in result.changes) for result in results}


def _answer(question: str) -> str:
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def _say_nothing(results: Sequence[Result], app: str) -> None:
    for result in results:
        if not (result.changes or result.error):
            print(f"{result.host}: nothing to remove of {app or 'this toolkit'}")
