"""Inventories, and the tables of resources that roles make of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from provision.release.activation import Activation
from provision.release.facts import ServerRelease
from provision.resources.file import File
from provision.resources.file_set import FileSet

if TYPE_CHECKING:
    from provision.engine.resource import Resource

from collections.abc import Callable

from provision.inventory import Host
from tests.unit.conftest import Known

MakeHost = Callable[..., Host]
MakeFacts = Callable[..., Known]

HOST = "hosts: {web1: 203.0.113.10}\n"
SHOP = "  shop: {source: https://git.example.com/shop.git, module: shop.main:app, domains: [shop.example.com]}\n"
BLOG = "  blog: {source: https://git.example.com/blog.git, module: blog.main:app, domains: [blog.example.com]}\n"
TWO = f"{HOST}apps:\n{SHOP}{BLOG}"
CA = Path(__file__).with_name("ca.pem")
PRIVATE = f"mirrors: {{ca_bundle: {CA}}}\n"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def ids(resources: tuple[Resource, ...]) -> list[str]:
    """What resources are called, in their order."""
    return [str(resource.ref) for resource in resources]


def file(resources: tuple[Resource, ...], path: str) -> File:
    """The file at a path, be it one of a set."""
    members = (member for one in resources for member in (one.members if isinstance(one, FileSet) else (one,)))
    return next(one for one in members if isinstance(one, File) and one.path == path)


def activation(resources: tuple[Resource, ...]) -> Activation:
    """The one activation."""
    return next(one for one in resources if isinstance(one, Activation))


RELEASE = [
    "mirror:/srv/shop/repository.git",
    "release:shop",
    "venv:shop",
    "file:/etc/shop/env",
    "file:/etc/shop/gunicorn.conf.py",
    "check:shop",
    "migration:shop",
    "activation:shop",
]
SERVER = [
    "packages:base",
    "directory:/var/lib/provision",
    "claim:shop",
    "directory:/var/lib/provision/apps/shop",
    "owner:shop",
    "group:shop",
    "user:shop",
    "packages:build",
    "pyenv:v2.6.30",
    "python:3.13.5",
    "directory:/srv/shop/shared",
    "directory:/etc/shop",
    "directory:/etc/shop/units",
    "file:/etc/shop/units/shop@.service",
    "file:/etc/shop/units/shop@.socket",
    "ports:nginx",
    "packages:nginx",
    "placeholder:/etc/ssl/provision/default",
    "placeholder:/etc/ssl/provision/shop",
    "files:nginx",
    "service:nginx",
    "packages:certbot",
    "service:certbot.timer",
    "certificate:/etc/ssl/provision/shop",
    "service:nginx-certificates",
]


# Kinds that refuse what stands in the way, and never change anything.
GUARDS = ("claim", "ports", "firewall", "room", "memory", "apt", "clock", "backups")
OLDEST, OLDER, ACTIVE, NEWER = (
    f"2026110{day}T120000-{digits}" for day, digits in ((1, "1111111"), (2, "2222222"), (3, "3333333"), (4, "4444444"))
)


def keep(*states: str, app: str = "shop") -> tuple[ServerRelease, ...]:
    """Up to four releases, oldest first, in these states; "-" is none."""
    ids_ = (OLDEST, OLDER, ACTIVE, NEWER)
    return tuple(
        ServerRelease(app, id_, id_[-1] * 40, ".", state)  # type: ignore[arg-type]
        for id_, state in zip(ids_, states, strict=False)
        if state != "-"
    )


def released(resources: tuple[Resource, ...]) -> dict[str, str]:
    """Which release each app is to have."""
    return {one.slot.app: one.release for one in resources if isinstance(one, Activation)}


HOLD = ["hold:shop" if name == "activation:shop" else name for name in RELEASE]
TOKEN = "0123456789abcdef0123456789abcdef"
BUSY = f"{HOST}apps:\n{SHOP[:-2]}, processes: {{worker: run}}, schedules: {{tidy: {{at: '03:00', run: tidy}}}}}}\n"
