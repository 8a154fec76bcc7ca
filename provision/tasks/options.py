"""What tasks share: options and their help, and the hosts and the password that options lead to."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from invoke import Exit

from provision.errors import InventoryError, UsageError, VagrantError
from provision.untrusted import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provision.inventory import Host, Inventory

HELP = {
    "app": "only this app, where a host has several",
    "host": "an inventory (all its hosts), a group, or one host",
    "inventory": "an inventory file elsewhere",
    "plan": "show what would change, and change nothing",
    "json": "print one JSON document",
    "revision": "a branch, tag or commit, instead of the inventory's",
    "force": "ask for a certificate again, though the issuer was asked less than an hour ago",
    "skip_unreachable": "of several hosts, leave out those that cannot be reached; otherwise one of them stops all",
    "stop_first": "stop the old release before the new one starts, so that it cannot interfere; the site is down meanwhile",
    "upgrade": "a new release, with the newest versions of what no lock pins, instead of those of the release before",
    "packages": "also which packages each release has, and their versions",
    "yes": "do not ask, also where the servers are production",
    "hold": "start the release beside the active one, without traffic; then promote it or roll back",
}


def help_for(*names: str) -> dict[str, str]:
    """The help texts of these options."""
    return {name: HELP[name] for name in names}


@dataclass(frozen=True, slots=True)
class Target:
    """The hosts that a task is for, and sudo's password where one of them needs it. With `app`, each host has that app."""

    inventory: Inventory
    hosts: tuple[Host, ...]
    password: str | None = field(repr=False)
    app: str = ""

    @property
    def narrowed(self) -> tuple[Host, ...]:
        """The hosts, each as if it had no app but the one that is meant."""
        if not self.app:
            return self.hosts
        return tuple(host.model_copy(update={"apps": {self.app: host.apps[self.app]}}) for host in self.hosts)


@dataclass(frozen=True, slots=True)
class Command:
    """A task as it was typed; `begun` is its start on the monotonic clock, in seconds. With `serving`, hosts are meant, too, that have the app's
    database only.
    """

    task: str
    host: str
    inventory: str | None
    json: bool = False
    app: str = ""
    begun: float = field(default_factory=time.monotonic)
    serving: bool = False

    @property
    def seconds(self) -> float:
        """How long the task has been running."""
        return time.monotonic() - self.begun

    def target(self) -> Target:
        """The hosts that are meant. Raises Exit with every error; with `json`, prints them as a document too."""
        try:
            found, hosts = hosts_of(self.host, self.inventory)
            hosts = having(self.app, self.host, hosts, self.serving)
            return Target(found, hosts, password_for(hosts), self.app)
        except UsageError as error:
            if self.json:
                from provision.report import document

                print(document.failure(self.task, error.errors, self.seconds))
            raise Exit(visible(str(error)), code=1) from None


def hosts_of(host: str, inventory: str | None) -> tuple[Inventory, tuple[Host, ...]]:
    """The inventory, and its hosts that `host` names. Raises UsageError."""
    from pathlib import Path

    from provision.controller import vagrant
    from provision.inventory import find

    if not host:
        names = sorted(
            path.stem for path in Path("inventories").glob("*.yml") if not path.name.endswith(".example.yml")
        )
        known = f"; inventories here: {', '.join(names)}" if names else ""
        raise UsageError(f"which host? add --host NAME: {HELP['host']}{known}")
    try:
        found, hosts = find(host, file=Path(inventory) if inventory else None)
        return found, vagrant.located(hosts, found.path)
    except InventoryError as error:
        raise UsageError(*error.errors) from None
    except VagrantError as error:
        raise UsageError(str(error)) from None


def production(hosts: Sequence[Host]) -> bool:
    """Whether one of the hosts is production, so that a task asks before it changes anything."""
    return any(host.environment == "production" for host in hosts)


def having(app: str, name: str, hosts: tuple[Host, ...], serving: bool = False) -> tuple[Host, ...]:
    """The hosts that have the app, or, where those count that are `serving` it, its database; all if it is empty. `name` is what --host
    said. Raises UsageError if none has it.
    """
    from provision.inventory.wording import known_names

    if not app:
        return hosts
    names = {host.name: {*host.apps, *(host.serves if serving else ())} for host in hosts}
    found = tuple(host for host in hosts if app in names[host.name])
    if not found:
        known = {"apps": sorted({each for host in hosts for each in names[host.name]})}
        raise UsageError(f'{name} has no app "{app}"{known_names(app, known)}')
    return found


def password_for(hosts: Sequence[Host]) -> str | None:
    """sudo's password, asked for once; None where no host needs it. PROVISION_SUDO_PASSWORD replaces the question.

    Raises UsageError where there is no terminal to ask on.
    """
    from getpass import getpass

    from provision.controller import become

    if not any(map(become.needs_password, hosts)):
        return None
    known = os.environ.get("PROVISION_SUDO_PASSWORD")
    if known is not None:
        return known
    if not sys.stdin.isatty():
        raise UsageError("sudo wants a password and there is no terminal to ask: set PROVISION_SUDO_PASSWORD")
    return getpass("sudo password: ")
