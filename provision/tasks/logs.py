"""invoke logs, run: an app's log lines, and single commands in its release."""

from __future__ import annotations

import os
import secrets
import sys
from typing import TYPE_CHECKING

from invoke import Exit, task

from provision.tasks.options import Command, help_for

if TYPE_CHECKING:
    from invoke import Context

    from provision.inventory import Host

NOTHING = "nothing to run: write it after --, for example invoke run --host NAME -- alembic current"
PROCESSES = "the inventory's processes and schedules name them"
LEFT = "The command goes on on the server: systemctl list-units 'run-*' shows it there."


@task(
    help={
        **help_for("host", "app", "inventory"),
        "follow": "go on until Ctrl-C",
        "lines": "how many of the last lines to show",
        "process": "only this process: web, or a name under processes or schedules",
    }
)
def logs(
    context: Context,
    host: str = "",
    app: str = "",
    follow: bool = False,
    lines: str = "50",
    process: str = "",
    inventory: str | None = None,
) -> None:
    """The apps' log lines; those of several hosts are interleaved, each after its host's name."""
    from provision.controller.redact import Mask
    from provision.release import status as query
    from provision.report import pipe
    from provision.tasks import asking

    if not lines.isdecimal():
        raise Exit(f"--lines {lines}: not a number of lines; write digits only, for example --lines 200", code=1)
    target = Command("logs", host, inventory, app=app).target()

    masks = {each.name: Mask(each, for_plans=True) for each in target.hosts}
    shown = {each.name: query.logs(each, process) for each in target.narrowed}

    def tell(name: str, line: str) -> None:
        said = query.log_line(line, shown[name])
        if said is not None:
            said = masks[name](said)
            print(f"{name}: {said}" if len(target.hosts) > 1 else said, flush=True)
        if pipe.deserted():
            os._exit(141)

    def call(each: Host) -> str:
        asked = query.logs_call(each, process, follow, int(lines))
        if not asked:
            raise Exit(f"{each.name} has no process {process}: {PROCESSES}", code=1)
        return asked

    asking.follow(target, call, tell)


@task(
    help={
        **help_for("host", "app", "inventory"),
        "command": "what to run; or after --",
    }
)
def run(context: Context, host: str = "", app: str = "", command: str = "", inventory: str | None = None) -> None:
    """Run a command in the active release, with its user, environment and sandbox: invoke run --host NAME -- alembic current."""
    from provision.controller.redact import Mask
    from provision.engine.shell import words
    from provision.release import status as query
    from provision.tasks import asking

    if "--" in sys.argv:
        command = words(*sys.argv[sys.argv.index("--") + 1 :])
    if not command:
        raise Exit(NOTHING, code=1)
    target = Command("run", host, inventory, app=app).target()
    for each in target.narrowed:
        if len(each.apps) != 1:
            raise Exit(f"{each.name} has the apps {', '.join(each.apps) or 'none'}: choose one with --app", code=1)
    masks = {each.name: Mask(each, for_plans=True) for each in target.hosts}
    mark = secrets.token_hex(16)
    outputs = {each.name: query.CommandOutput(mark) for each in target.hosts}

    def tell(name: str, line: str) -> None:
        for shown in map(masks[name], outputs[name].shown(line)):
            print(f"{name}: {shown}" if len(target.hosts) > 1 else shown, flush=True)

    asking.follow(target, lambda each: query.run_call(next(iter(each.apps)), command, mark), tell, LEFT)
    worst = max(output.status or 0 for output in outputs.values())
    if worst:
        raise Exit(code=worst)
