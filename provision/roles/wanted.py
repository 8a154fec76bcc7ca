"""What the controller wants on a server and brings along: what roles need in addition to facts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from provision.inventory.remote import Client
from provision.resources.postgresql_clients import ServerCertificate
from provision.resources.python import CachedPython


def _none() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the controller wants on one host and brings along.

    By app: the `commits` and `releases` (ids) to deploy, the `packs` of commits to send, where what the controller builds is `built`,
    and `host_keys`, the lines of a known_hosts file for repositories that are read over SSH. By name: `pythons`, the packed Pythons that the
    controller has for this server, and `archives`, where it keeps those that the server builds; others are not
    kept. `token` opens the new previews. With `force`, issuers are asked however short ago they were asked before. With `stops_first`, old releases end before new ones start.
    With `upgrades`, releases are new ones, for which what no lock pins is resolved anew.
    Releases are those of one `app`, if it is not empty. `notes` are lines to show before the plan. `now` is the
    controller's time, in seconds since 1970; 0 if that does not matter. `inventory` is the inventory's name. `clients` are the apps on other hosts whose databases are to be here,
    `verifiers` those of their passwords that are known, by login, and `certificate` what PostgreSQL shows them. `others` are the hosts that take part in the same run.

    It has many fields because every role takes from it what it needs, and no role knows of another's.
    """

    commits: Mapping[str, str] = field(default_factory=_none)
    releases: Mapping[str, str] = field(default_factory=_none)
    packs: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))
    built: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))
    host_keys: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    pythons: Mapping[str, CachedPython] = field(default_factory=lambda: MappingProxyType({}))
    archives: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))
    token: str = ""
    force: bool = False
    stops_first: bool = False
    upgrades: bool = False
    app: str = ""
    notes: tuple[str, ...] = ()
    now: int = 0
    inventory: str = ""
    clients: tuple[Client, ...] = ()
    verifiers: Mapping[str, str] = field(default_factory=_none, repr=False)
    certificate: ServerCertificate | None = None
    others: frozenset[str] = frozenset()
