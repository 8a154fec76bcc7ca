"""Names and addresses that two hosts, or two apps of a host, cannot both have."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from provision.inventory.host import Host


class Collision(NamedTuple):
    """What collides: the host, the path to the value in it, and what to say."""

    host: str
    path: tuple[int | str, ...]
    message: str


def collisions(hosts: Iterable[Host]) -> Iterator[Collision]:
    """All collisions between hosts, and on each of them."""
    addresses: dict[tuple[str, int, str | None], str] = {}
    for host in hosts:
        first = addresses.setdefault((host.address.lower(), host.port, host.proxy_jump), host.name)
        if host.address and first != host.name:
            message = f"hosts {first} and {host.name} have the same address; correct one, or remove it"
            yield Collision(host.name, ("address",), message)
        yield from list(_programs(host)) or _units(host)
        yield from _domains(host)
        yield from _renamed(host)


def _programs(host: Host) -> Iterator[Collision]:
    """Supervisor has one namespace: the app shop with a process api would share a name with an app shop-api."""
    seen: dict[str, str] = {}
    for name, app in host.apps.items():
        if app.process_manager == "supervisor":
            for program in (name, *(f"{name}-{one}" for one in ("blue", "green", *app.processes, *app.schedules))):
                other = seen.setdefault(program, name)
                if other != name:
                    message = f"the apps {other} and {name} would both have a program {program}; rename one"
                    yield Collision(host.name, (), message)


def _units(host: Host) -> Iterator[Collision]:
    """The app shop with a process a-b would share a unit with an app shop-a with a process b."""
    seen: dict[str, str] = {}
    for name, app in host.apps.items():
        for kind, processes in (("processes", app.processes), ("schedules", app.schedules)):
            for process in processes:
                other = seen.setdefault(f"{name}-{process}", name)
                if other != name:
                    message = f"the apps {other} and {name} would both have a unit {name}-{process}"
                    yield Collision(host.name, ("apps", name, kind, process), message)


def _domains(host: Host) -> Iterator[Collision]:
    seen: dict[str, str] = {}
    for name, app in host.apps.items():
        for index, domain in enumerate(app.domains):
            other = seen.setdefault(domain, name)
            if other != name:
                message = f"the apps {other} and {name} of host {host.name} have the same domain {domain}"
                yield Collision(host.name, ("apps", name, "domains", index), message)


def _renamed(host: Host) -> Iterator[Collision]:
    """An app takes over from one that is no more."""
    heirs: dict[str, str] = {}
    for name, app in host.apps.items():
        old = app.renamed_from
        if not old:
            continue
        path = ("apps", name, "renamed_from")
        if old == name:
            yield Collision(
                host.name,
                path,
                f"{name} is the app's own name; write the one that it had before, or remove renamed_from",
            )
        elif old in host.apps:
            message = (
                f"the app {old} is still in the inventory, so {name} cannot take over from it; remove one of the two"
            )
            yield Collision(host.name, path, message)
        elif heirs.setdefault(old, name) != name:
            yield Collision(
                host.name,
                path,
                f"the apps {heirs[old]} and {name} cannot both take over from {old}; remove one renamed_from",
            )
