"""invoke logs, run: an app's log lines, and single commands in its release."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from invoke import Exit, task

from provision.tasks.options import Command, help_for

if TYPE_CHECKING:
    from invoke import Context

    from provision.inventory import Host

NOTHING = "nothing to run: write it after --, for example invoke run --host NAME -- alembic current"
LEFT = "The command goes on on the server: systemctl list-units 'run-*' shows it there."


@task(
    help={
        **help_for("host", "inventory"),
        "follow": "go on until Ctrl-C",
        "lines": "how many of the last lines to show",
        "process": "only this process: web, or a name under processes or schedules",
    }
)
def logs(
    context: Context,
    host: str,
    follow: bool = False,
    lines: int = 50,
    process: str = "",
    inventory: str | None = None,
) -> None:
    """The apps' log lines; those of several hosts are interleaved, each after its host's name."""
    from provision.engine.shell import words
    from provision.report import pipe
    from provision.tasks import asking

    target = Command("logs", host, inventory).target()

    def tell(name: str, line: str) -> None:
        print(f"{name}: {line}" if len(target.hosts) > 1 else line, flush=True)
        if pipe.deserted():
            os._exit(141)

    def call(each: Host) -> str:
        return words("logs", "yes" if follow else "no", str(int(lines)), *_units(each, process))

    asking.follow(target, call, tell)


@task(
    help={
        **help_for("host", "inventory"),
        "app": "which app, where a host has several",
        "command": "what to run; or after --",
    }
)
def run(context: Context, host: str, app: str = "", command: str = "", inventory: str | None = None) -> None:
    """Run a command in the active release, with the app's user and environment: invoke run --host NAME -- alembic current."""
    from provision.engine.shell import words
    from provision.tasks import asking

    if "--" in sys.argv:
        command = words(*sys.argv[sys.argv.index("--") + 1 :])
    if not command and host != "--help":
        raise Exit(NOTHING, code=1)
    target = Command("run", host, inventory).target()
    for each in target.hosts:
        if (app and app not in each.apps) or (not app and len(each.apps) != 1):
            raise Exit(f"{each.name} has the apps {', '.join(each.apps) or 'none'}: choose one with --app", code=1)
    worst = 0

    def tell(name: str, line: str) -> None:
        nonlocal worst
        if line.startswith("exit\t"):
            worst = max(worst, int(line.removeprefix("exit\t")))
        else:
            print(f"{name}: {line}" if len(target.hosts) > 1 else line, flush=True)

    asking.follow(target, lambda each: words("run_in", app or next(iter(each.apps)), command), tell, LEFT)
    if worst:
        raise Exit(code=worst)


def _units(host: Host, process: str) -> list[str]:
    """The units of a host's apps, or the files of Supervisor's; or only those of one process; web is the app itself."""
    found = []
    for app in host.apps.values():
        names = [name for name in (*app.processes, *app.schedules) if process in ("", name)]
        slots = ["blue", "green"] if process in ("", "web") else []
        if app.process_manager == "supervisor":
            found += [f"/var/log/supervisor/{app.name}/{name}.log" for name in (*slots, *names)]
        else:
            found += [f"{app.name}@{slot}.service" for slot in slots]
            found += [f"{app.name}-{name}.service" for name in names]
    if not found:
        raise Exit(f"{host.name} has no process {process}: the inventory's processes and schedules name them", code=1)
    return found
