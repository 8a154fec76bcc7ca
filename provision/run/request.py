"""What is asked of a fleet: one value instead of flags."""

import getpass
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from provision.engine.facts import Facts
from provision.engine.resource import Resource
from provision.inventory import Host, Inventory
from provision.roles.wanted import Wanted

Roles = Callable[[Host, Facts, Wanted], tuple[Resource, ...]]


@dataclass(frozen=True, slots=True)
class Request:
    """One task on some hosts of an inventory.

    `roles` says what a host is to have. Unless it `applies`, the plan is all that is made. With `resolves`, each app's
    commit is found out first: that of `revision`, or of the inventory's. `token` opens the previews that are made.
    `password` is sudo's, where one is needed.
    """

    task: str
    inventory: Inventory
    hosts: tuple[Host, ...]
    roles: Roles
    applies: bool = True
    resolves: bool = False
    revision: str | None = None
    token: str = field(default="", repr=False)
    password: str | None = field(default=None, repr=False)


def who() -> str:
    """Who starts a run, as USER@MACHINE."""
    return f"{os.environ.get('SUDO_USER') or getpass.getuser()}@{socket.gethostname()}"
