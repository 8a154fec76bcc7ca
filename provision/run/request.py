"""What is asked of a fleet, as one value."""

import getpass
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from provision.engine.facts import Facts
from provision.engine.resource import Resource
from provision.inventory import Host, Inventory
from provision.roles.wanted import Wanted

Roles = Callable[[Host, Facts, Wanted], tuple[Resource, ...]]


@dataclass(frozen=True, slots=True)
class Request:
    """One task on some hosts of an inventory. It has a field for each option, because it stands for the whole command line.

    `roles` returns what a host should have. If it does not `apply`, only the plan is made. If it `resolves`, each
    app's commit is looked up first: that of `revision`, or of the inventory's revision. Of several hosts, one that
    cannot be reached stops all, unless the request `skips_unreachable`. `token` opens the new previews. `force` asks
    for certificates again within the hour. If it `stops_first`, the old releases end before new ones start; if it `upgrades`, what no lock pins
    is resolved anew for new ones. `password` is sudo's, if one is needed. If `app` is not empty, only that
    app's releases are meant. If changes were `agreed` (their summaries, by host), no others are made.
    """

    task: str
    inventory: Inventory
    hosts: tuple[Host, ...]
    roles: Roles
    applies: bool = True
    resolves: bool = False
    revision: str | None = None
    skips_unreachable: bool = False
    token: str = field(default="", repr=False)
    force: bool = False
    stops_first: bool = False
    upgrades: bool = False
    password: str | None = field(default=None, repr=False)
    app: str = ""
    agreed: Mapping[str, Sequence[str]] | None = None


def who() -> str:
    """Who starts a run, as USER@MACHINE."""
    return f"{os.environ.get('SUDO_USER') or getpass.getuser()}@{socket.gethostname()}"
