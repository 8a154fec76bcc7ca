"""What an inventory's file holds, beside the keys of a host."""

from __future__ import annotations

from pydantic import Field

from provision.inventory.app import App
from provision.inventory.backups import Backups
from provision.inventory.build import Build
from provision.inventory.cache import Cache
from provision.inventory.database import Database
from provision.inventory.dns_challenge import DnsChallenge
from provision.inventory.egress import Egress
from provision.inventory.hardening import Hardening
from provision.inventory.headers import Headers
from provision.inventory.health import Health
from provision.inventory.hooks import Hooks
from provision.inventory.host import Host
from provision.inventory.limits import Limits
from provision.inventory.mirrors import Mirrors
from provision.inventory.model import Model
from provision.inventory.postgresql import PostgreSQL
from provision.inventory.python import Python
from provision.inventory.requirements import Requirements
from provision.inventory.rollout import Rollout
from provision.inventory.schedule import Schedule
from provision.inventory.source import Source
from provision.inventory.tls import TLS

MODELS: tuple[type[Model], ...] = (
    Host,
    App,
    Source,
    Python,
    Requirements,
    Health,
    Build,
    Schedule,
    Hooks,
    Database,
    Cache,
    Limits,
    Egress,
    Headers,
    Hardening,
    PostgreSQL,
    TLS,
    DnsChallenge,
    Backups,
    Rollout,
    Mirrors,
)
"""All models whose keys a file may have, in the order of the manual."""


class InventoryFile(Model):
    """The top level of a file. It may also have all keys of Host, as defaults for all of its hosts."""

    hosts: dict[str, Host] = Field(
        description="The servers, by name: an address, or a mapping with the keys of Host.",
        examples=[{"web1": "203.0.113.10"}],
    )
    groups: dict[str, Host] = Field(
        default_factory=dict,
        description="Values for the hosts of a group: the keys of Host except address and groups, and also hosts, a list of"
        " the hosts that are in it. A host may also be in groups that are not declared here.",
        examples=[{"web": {"hosts": ["web1"]}}],
    )
    include: list[str] | str = Field(
        default_factory=list,
        description="Other inventory files, relative to this one. This file's values override theirs.",
        examples=["common.yml"],
    )
