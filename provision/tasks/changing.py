"""Tasks that change servers: a request is run on all hosts, watched, and reported."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from invoke import Exit

from provision.errors import ProvisionError
from provision.tasks.options import production

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from provision.report.console import Console
    from provision.run.host import HostRun
    from provision.run.request import Request, Roles
    from provision.run.result import Result
    from provision.tasks.options import Command

QUESTION = "\nLeave it [r]unning on the servers, [s]top after the current change, or go on [w]atching? "


def run(
    command: Command,
    roles: Roles,
    *,
    applies: bool = True,
    resolves: bool = False,
    revision: str | None = None,
    token: str = "",
    force: bool = False,
    skips_unreachable: bool = False,
    stops_first: bool = False,
    upgrades: bool = False,
    agreed: Mapping[str, Sequence[str]] | None = None,
    yes: bool = False,
    prints: bool = True,
) -> tuple[Result, ...]:
    """Run a task on its hosts and print the recap, or the JSON document if it `prints` that. The options are those of a Request; where
    something would change in production, it asks first, unless the answer is `yes`.
    """
    from provision.run.request import Request

    target = command.target()
    asks = applies and not yes and production(target.hosts)
    if asks:
        check_asking(command)
    request = Request(
        command.task,
        target.inventory,
        target.hosts,
        roles,
        applies=applies,
        resolves=resolves,
        revision=revision,
        skips_unreachable=skips_unreachable,
        token=token,
        force=force,
        stops_first=stops_first,
        upgrades=upgrades,
        password=target.password,
        app=target.app,
        agreed=agreed,
    )
    if not command.json:
        return _watched(command, request, asks)
    results = _silently(command, request)
    if prints:
        from provision.report import document

        print(document.document(command.task, results, command.seconds))
    return results


def check_asking(command: Command) -> None:
    """Raises Exit where a task must ask, and cannot: before any connection is made."""
    if not command.json and sys.stdin.isatty():
        return
    why = f"{command.task} --json asks nothing" if command.json else "there is no terminal to ask on"
    said = f"{command.host} is production, and {why}: add --yes"
    if command.json:
        from provision.report import document

        print(document.failure(command.task, (said,), command.seconds))
    raise Exit(said, 1)


def typed(command: Command, what: str) -> None:
    """Let the name of --host be typed before `what` is done. Raises Exit if anything else is."""
    print(
        f"\n{command.host} is production. This {what}. Type {command.host} to go on: ",
        end="",
        file=sys.stderr,
        flush=True,
    )
    if sys.stdin.readline().strip() != command.host:
        raise Exit("nothing was changed", 1)


def end(results: Sequence[Result]) -> None:
    """Exit with status 1 where a host failed."""
    if any(result.error for result in results):
        raise Exit(code=1)


def _silently(command: Command, request: Request) -> tuple[Result, ...]:
    from provision.report import document
    from provision.run import fleet
    from provision.run.watcher import Silence

    def interrupted(runs: Sequence[HostRun], over: Callable[[], bool]) -> None:
        from provision.report.console import Console

        if not _choose(Console(error=True), runs, over):
            print(document.failure(request.task, [left(runs)], command.seconds), flush=True)
            os._exit(130)

    return fleet.run(request, Silence(), interrupted)


def _watched(command: Command, request: Request, asks: bool) -> tuple[Result, ...]:
    from provision.report.console import Console
    from provision.run import fleet

    with Console(plans=request.agreed is None) as console:

        def interrupted(runs: Sequence[HostRun], over: Callable[[], bool]) -> None:
            if not _choose(console, runs, over):
                print(left(runs), file=sys.stderr, flush=True)
                os._exit(130)
            console.resume()

        def agrees(runs: Sequence[HostRun]) -> None:
            if any(not run.ok and not (run.unreachable and request.skips_unreachable) for run in runs):
                # Nothing is changed anyway, and each host says why.
                return
            console.pause()
            counts = [(len(run.plan.changes), run.host.name) for run in runs if run.plan and run.plan.changes]
            made = ", ".join(f"{count} change{'s' if count > 1 else ''} on {host}" for count, host in counts)
            typed(command, f"makes {made}")
            console.resume()

        results = fleet.run(request, console, interrupted, agrees if asks else None)
        console.recap(results, request.applies)
        good = [result for result in results if not result.error]
        if request.token and request.applies:
            name = f"{command.host} --app {command.app}" if command.app else command.host
            tokens = {result.host: result.previews for result in good}
            apps = [
                (host.name, app)
                for host in request.hosts
                for app in host.apps.values()
                if request.app in ("", app.name)
            ]
            console.previews(name, [(host, app, tokens.get(host, {}).get(app.name, "")) for host, app in apps])
        elif request.applies and request.resolves:
            console.sites(request.hosts, {result.host: result.releases for result in good})
    return results


def left(runs: Sequence[HostRun]) -> str:
    """What becomes of servers that are left to themselves."""
    if any(run.hold for run in runs):
        return (
            "The servers finish what they are doing; a release that not all of them have goes back by itself. Run again to"
            " see how it ended."
        )
    return "The servers go on by themselves; run again to see how it ended."


def _choose(console: Console, runs: Sequence[HostRun], over: Callable[[], bool]) -> bool:
    """Ask what Ctrl-C is to do; the servers go on meanwhile. Return whether to go on watching."""
    from provision.report import question

    going = [run for run in runs if run.run_id]
    console.pause()
    answer = question.ask(QUESTION, "rsw", over)
    if answer == "s":
        for run in going:
            with suppress(ProvisionError):
                run.stop()
    return answer != "r"
