"""invoke deploy, provision, plan: what a run would change, and the run."""

import getpass
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex

from invoke import Context, Exit, task

from provision import roles
from provision.controller import become, vagrant
from provision.errors import InventoryError, UsageError, VagrantError
from provision.inventory import Host, Inventory, find
from provision.report import document
from provision.report.console import Console
from provision.run import fleet
from provision.run.host import HostRun
from provision.run.request import Request, Roles
from provision.run.result import Result
from provision.run.watcher import Silence, Watcher

HELP = {
    "host": "an inventory (all its hosts), a group, or one host",
    "inventory": "an inventory file elsewhere",
    "plan": "show what would change, and change nothing",
    "json": "print one JSON document",
    "revision": "a branch, tag or commit, instead of the inventory's",
    "hold": "bring the release up beside the active one, without traffic; promote or rollback then",
}


def help_for(*names: str) -> dict[str, str]:
    return {name: HELP[name] for name in names}


def hosts_of(host: str, inventory: str | None) -> tuple[Inventory, tuple[Host, ...]]:
    """The inventory and the hosts that are meant. Raises UsageError."""
    # Invoke takes what follows a task for its first required argument, even this.
    if host == "--help":
        raise UsageError("Invoke takes --help before the task: invoke --help TASK")
    try:
        found, hosts = find(host, file=Path(inventory) if inventory else None)
        return found, vagrant.located(hosts, found.path)
    except InventoryError as error:
        raise UsageError(*error.errors) from None
    except VagrantError as error:
        raise UsageError(str(error)) from None


def password_for(hosts: Sequence[Host]) -> str | None:
    """sudo's password, asked once for all hosts that want one; PROVISION_SUDO_PASSWORD answers without a terminal."""
    if not any(map(become.needs_password, hosts)):
        return None
    known = os.environ.get("PROVISION_SUDO_PASSWORD")
    if known is not None:
        return known
    if not sys.stdin.isatty():
        raise UsageError("sudo wants a password and there is no terminal to ask: set PROVISION_SUDO_PASSWORD")
    return getpass.getpass("sudo password: ")


def run_task(
    name: str,
    what: Roles,
    host: str,
    inventory: str | None,
    as_json: bool,
    applies: bool,
    resolves: bool,
    revision: str | None = None,
    token: str = "",
) -> tuple[Result, ...]:
    begun = time.monotonic()
    try:
        found, hosts = hosts_of(host, inventory)
        password = password_for(hosts)
    except UsageError as error:
        if as_json:
            print(document.failure(name, error.errors, time.monotonic() - begun))
        raise Exit(str(error), code=1) from None
    with Console(error=as_json, diffs=True) as console:
        watcher: Watcher = Silence() if as_json else console
        request = Request(name, found, hosts, what, applies, resolves, revision, token, password)
        results = fleet.run(request, watcher, lambda runs: _interrupted(console, runs))
        if as_json:
            print(document.document(name, results, time.monotonic() - begun))
        else:
            console.recap(results, applies)
            serving = {result.host for result in results if result.releases and not result.error}
            if token and applies:
                console.previews(host, hosts, {result.host: result.previews for result in results if not result.error})
            elif applies and resolves:
                console.sites([each for each in hosts if each.name in serving])
    return results


def _interrupted(console: Console, runs: Sequence[HostRun]) -> None:
    going = [run for run in runs if run.run_id]
    answer = console.ask(
        "\nLeave it [r]unning on the servers, [s]top after the current change, or go on [w]atching? ", "rsw"
    )
    if answer == "r":
        print("The servers go on by themselves; run again to see how it ended.", file=sys.stderr)
        os._exit(130)
    if answer == "s":
        for run in going:
            run.stop()
    console.resume()


def end(results: Sequence[Result]) -> None:
    if any(result.error for result in results):
        raise Exit(code=1)


@task(help=help_for("host", "revision", "hold", "plan", "json", "inventory"))
def deploy(
    context: Context,
    host: str,
    revision: str | None = None,
    hold: bool = False,
    plan: bool = False,
    json: bool = False,
    inventory: str | None = None,
) -> None:
    """Everything: the server, and the app's release on it."""
    what, token = (roles.previewed, token_hex(16)) if hold else (roles.everything, "")
    end(run_task("deploy", what, host, inventory, json, not plan, True, revision, token))


@task(help=help_for("host", "plan", "json", "inventory"))
def provision(
    context: Context, host: str, plan: bool = False, json: bool = False, inventory: str | None = None
) -> None:
    """The server, without the app's release."""
    end(run_task("provision", roles.server, host, inventory, json, not plan, False))


@task(help=help_for("host", "revision", "json", "inventory"))
def plan(
    context: Context, host: str, revision: str | None = None, json: bool = False, inventory: str | None = None
) -> None:
    """What deploy would change. Exit status 0: nothing; 2: something; 1: an error."""
    results = run_task("plan", roles.everything, host, inventory, json, False, True, revision)
    end(results)
    if any(result.changes for result in results):
        raise Exit(code=2)
