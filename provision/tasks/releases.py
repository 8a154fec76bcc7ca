"""invoke rollback, restart, releases, status, logs, run, maintenance: what comes after a deploy."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial

from invoke import Context, Exit, task
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from provision import roles
from provision.engine.shell import words
from provision.errors import UsageError
from provision.inventory import GENERATE, Host
from provision.report import pipe
from provision.run import ask as survey
from provision.run.ask import AppStatus, DeployKey, HostOutput, ReleaseInfo
from provision.tasks.deploy import end, help_for, hosts_of, password_for, run_task

STATES = {
    "active": "[green]active[/]",
    "kept": "kept",
    "held": "[yellow]held[/]",
    "failed": "[red]failed[/]",
    "new": "[dim]new[/]",
}


def _ask(host: str, inventory: str | None, call: Callable[[Host], str]) -> tuple[HostOutput, ...]:
    try:
        _, hosts = hosts_of(host, inventory)
        return survey.ask(hosts, call, password_for(hosts))
    except UsageError as error:
        raise Exit(str(error), code=1) from None


def _print(table: Table, answers: Sequence[HostOutput]) -> None:
    terminal = Console(highlight=False)
    if not terminal.is_terminal:
        terminal.width = 200
    terminal.print(table)
    _errors(answers)


def _errors(answers: Sequence[HostOutput]) -> None:
    for answer in answers:
        if answer.error:
            print(f"{answer.host}: {answer.error}", file=sys.stderr)
    if any(answer.error for answer in answers):
        raise Exit(code=1)


def _document(name: str, answers: Sequence[HostOutput], rows: Sequence[ReleaseInfo | AppStatus | DeployKey]) -> None:
    listed: dict[str, list[dict[str, object]]] = {answer.host: [] for answer in answers}
    for row in rows:
        fields = asdict(row)
        listed[fields.pop("host")].append(fields)
    found = {answer.host: {"error": answer.error, name: listed[answer.host]} for answer in answers}
    print(json.dumps({"task": name, "ok": not any(answer.error for answer in answers), "hosts": found}, indent=2))
    if any(answer.error for answer in answers):
        raise Exit(code=1)


@task(
    help={
        **help_for("host", "plan", "json", "inventory"),
        "to": "a release by its id or its commit's seven digits, instead of the good one before",
    }
)
def rollback(
    context: Context,
    host: str,
    to: str | None = None,
    plan: bool = False,
    json: bool = False,
    inventory: str | None = None,
) -> None:
    """The good release before the active one, health-checked, without fetch or build; a release that is held is dropped instead."""
    end(run_task("rollback", partial(roles.rolled_back, to=to), host, inventory, json, not plan, False))


@task(help=help_for("host", "plan", "json", "inventory"))
def promote(context: Context, host: str, plan: bool = False, json: bool = False, inventory: str | None = None) -> None:
    """The release that deploy --hold holds gets all of the traffic."""
    end(run_task("promote", roles.promoted, host, inventory, json, not plan, False))


@task(help=help_for("host", "json", "inventory"))
def restart(context: Context, host: str, json: bool = False, inventory: str | None = None) -> None:
    """The same release anew: rolling, health-checked, with the inventory's present environment."""
    end(run_task("restart", roles.restarted, host, inventory, json, True, False))


@task(help=help_for("host", "json", "inventory"))
def releases(context: Context, host: str, json: bool = False, inventory: str | None = None) -> None:
    """The releases on each host: id, commit, who deployed it and when, and its state."""
    answers = _ask(host, inventory, lambda each: f"releases {survey.apps(each)}")
    rows = [row for answer in answers for row in survey.releases(answer)]
    if json:
        _document("releases", answers, rows)
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("host", "app", "release", "state", "deployed", "by", "author", "subject"):
        table.add_column(column, no_wrap=column != "subject")
    for row in rows:
        cells = (row.host, row.app, row.id, STATES[row.state], row.when, row.who, row.author, row.subject)
        table.add_row(*(cell if index == 3 else escape(cell) for index, cell in enumerate(cells)))
    _print(table, answers)


@task(help=help_for("host", "json", "inventory"))
def status(context: Context, host: str, json: bool = False, inventory: str | None = None) -> None:
    """Each app on each host: release, since when, slot, health, workers, memory, certificate, security updates."""

    def call(each: Host) -> str:
        return words(
            "status", *(word for app in each.apps.values() for word in (app.name, app.domains[0], app.health.path))
        )

    answers = _ask(host, inventory, call)
    rows = [row for answer in answers for row in survey.standings(answer)]
    if json:
        _document("status", answers, rows)
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("host", "app", "release", "since", "slot", "health", "workers", "memory", "certificate", "updates"):
        table.add_column(column, no_wrap=True)
    for row in rows:
        health = "[green]healthy[/]" if row.health == "200" else f"[red]{row.health}[/]"
        table.add_row(
            row.host,
            row.app,
            row.release or "-",
            row.since,
            row.slot,
            health + (" [yellow]maintenance[/]" if row.maintenance else ""),
            str(row.workers),
            f"{row.memory / 1e6:.0f} MB" if row.memory else "-",
            f"{row.days} days" if row.days is not None else "-",
            str(row.updates),
        )
    _print(table, answers)


@task(help=help_for("host", "json", "inventory"))
def deploy_key(context: Context, host: str, json: bool = False, inventory: str | None = None) -> None:
    """The public half of each host's deploy keys, to add at the repositories; `provision` or `deploy` makes the keys."""
    hosts: dict[str, Host] = {}

    def call(each: Host) -> str:
        hosts[each.name] = each
        return words("deploy_keys", *(app.name for app in each.apps.values() if app.source.deploy_key == GENERATE))

    answers = _ask(host, inventory, call)
    rows = [row for answer in answers for row in survey.deploy_keys(answer, hosts[answer.host])]
    if json:
        _document("deploy-key", answers, rows)
        return
    for row in rows:
        print(
            f"{row.host}: {row.app}: {row.repository}: {row.public or f'none yet: invoke provision --host {row.host}'}"
        )
    if not rows and not any(answer.error for answer in answers):
        print("no app here has deploy_key: generate")
    _errors(answers)


@task(
    help={
        **help_for("host", "inventory"),
        "follow": "go on until Ctrl-C",
        "lines": "how many of the last lines",
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
    """The apps' log lines, of several hosts interleaved with their names."""
    try:
        _, hosts = hosts_of(host, inventory)
        password = password_for(hosts)
    except UsageError as error:
        raise Exit(str(error), code=1) from None

    def tell(name: str, line: str) -> None:
        print(f"{name}: {line}" if len(hosts) > 1 else line, flush=True)
        if pipe.deserted():
            os._exit(141)

    def call(each: Host) -> str:
        return words("logs", "yes" if follow else "no", str(int(lines)), *_units(each, process))

    _follow(hosts, call, tell, password)


@task(
    help={
        **help_for("host", "inventory"),
        "app": "which app, where a host has several",
        "command": "what to run; or after --",
    }
)
def run(context: Context, host: str, app: str = "", command: str = "", inventory: str | None = None) -> None:
    """A command in the active release, with the app's user and environment: invoke run --host NAME -- alembic current."""
    if "--" in sys.argv:
        command = words(*sys.argv[sys.argv.index("--") + 1 :])
    try:
        _, hosts = hosts_of(host, inventory)
        if not command:
            raise UsageError("nothing to run: write it after --, for example invoke run --host NAME -- alembic current")
        password = password_for(hosts)
    except UsageError as error:
        raise Exit(str(error), code=1) from None
    for each in hosts:
        if (app and app not in each.apps) or (not app and len(each.apps) != 1):
            raise Exit(f"{each.name} has the apps {', '.join(each.apps) or 'none'}: choose one with --app", code=1)
    worst = 0

    def tell(name: str, line: str) -> None:
        nonlocal worst
        if line.startswith("exit\t"):
            worst = max(worst, int(line.removeprefix("exit\t")))
        else:
            print(f"{name}: {line}" if len(hosts) > 1 else line, flush=True)

    left = "The command goes on on the server: systemctl list-units 'run-*' shows it there."
    _follow(hosts, lambda each: words("run_in", app or next(iter(each.apps)), command), tell, password, left)
    if worst:
        raise Exit(code=worst)


def _follow(
    hosts: Sequence[Host],
    call: Callable[[Host], str],
    tell: Callable[[str, str], None],
    password: str | None,
    left: str = "",
) -> None:
    """Ctrl-C ends the process, and with it the connections, whatever its threads wait for; `left` is then told."""
    try:
        _errors(tuple(survey.follow(hosts, call, tell, password)))
    except KeyboardInterrupt:
        if left:
            print(f"\n{left}", file=sys.stderr, flush=True)
        os._exit(130)


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


def _maintenance(how: str, host: str, inventory: str | None) -> None:
    answers = _ask(host, inventory, lambda each: f"maintenance {how} {survey.apps(each)}")
    for answer in answers:
        for line in answer.lines:
            app, _, state = line.partition("\t")
            print(f"{answer.host}: {app}: maintenance is {state}")
    _errors(answers)


@task(name="on", help=help_for("host", "inventory"))
def maintenance_on(context: Context, host: str, inventory: str | None = None) -> None:
    """Answer 503 with Retry-After in place of the apps; it lasts over deploys."""
    _maintenance("on", host, inventory)


@task(name="off", help=help_for("host", "inventory"))
def maintenance_off(context: Context, host: str, inventory: str | None = None) -> None:
    """Let the apps answer again."""
    _maintenance("off", host, inventory)
