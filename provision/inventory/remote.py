"""Databases on other hosts: who reaches which, and what the inventory cannot mean."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from provision.inventory.addresses import is_ip
from provision.inventory.app import App, filled
from provision.inventory.collisions import Collision
from provision.inventory.wording import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from provision.inventory.database import Access
    from provision.inventory.host import Host

# Characters in a name of PostgreSQL's.
LONGEST = 63


class Client(NamedTuple):
    """An app on one host whose database is on another. It comes from `address`, and logs in as `login`."""

    app: App
    host: str
    address: str
    login: str


def login(app: str, host: str) -> str:
    """The role of PostgreSQL's as which an app on a host logs in. No app has a name with an underscore."""
    name = f"{app}_{host}"
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def reached_at(host: Host) -> str:
    """Where other hosts reach a host."""
    return host.private_address or host.address


def _apps(host: Host) -> tuple[App, ...]:
    """The apps that are put on a host."""
    return tuple(host.apps.values()) if "app" in host.roles else ()


def clients(hosts: Iterable[Host], server: str) -> tuple[Client, ...]:
    """The apps whose databases are on the host `server`, with each of their hosts."""
    return tuple(
        Client(app, host.name, reached_at(host), login(app.name, host.name))
        for host in hosts
        for app in _apps(host)
        if app.remote_database and app.remote_database.host == server
    )


def acquainted(hosts: Mapping[str, Host]) -> dict[str, Host]:
    """The hosts, each with whom it serves and with where its apps' databases are reached."""
    found = {}
    for name, host in hosts.items():
        serves: dict[str, str] = {}
        for one in clients(hosts.values(), name):
            assert one.app.database
            serves[one.app.name] = serves.get(one.app.name) or one.app.database.check or ""
        moved = {app.name: _found(app, hosts) for app in _apps(host) if app.remote_database}
        changes = {"serves": serves, "apps": {**host.apps, **moved}}
        found[name] = host.model_copy(update=changes) if serves or moved else host
    return found


def _found(app: App, hosts: Mapping[str, Host]) -> App:
    database = app.remote_database
    assert database
    assert database.host
    address = reached_at(hosts[database.host])
    return app.model_copy(update={"database": database.model_copy(update={"address": address})})


def connected(app: App, access: Access) -> App:
    """The app, with how it reaches its database and what of that is in its environment."""
    assert app.database
    database = app.database.model_copy(update={"access": access})
    parts = {f"{{database.{part}}}": value for part, value in database.parts(app.name).items()}
    own = {name: filled(value, parts) if name in app.environment else value for name, value in app.env.items()}
    return app.model_copy(update={"database": database, "env": {**database.variables(app.name), **own}})


def problems(hosts: Mapping[str, Host]) -> Iterator[Collision]:
    """What is wrong with databases on other hosts."""
    for host in hosts.values():
        for app in _apps(host):
            server = app.remote_database.host if app.remote_database else None
            if server:
                message = _refusal(hosts, host, app, server)
                if message:
                    yield Collision(host.name, ("apps", app.name, "database", "host"), message)
                elif app.renamed_from:
                    path = ("apps", app.name, "renamed_from")
                    yield Collision(
                        host.name,
                        path,
                        "an app whose database is on another host cannot take over; remove one of the two",
                    )
                elif not is_ip(reached_at(host)):
                    where = host.address or "connect: vagrant"
                    message = f"{server} lets in IP addresses only, and {where} is none; set private_address"
                    yield Collision(host.name, ("address",), message)


def _refusal(hosts: Mapping[str, Host], host: Host, app: App, name: str) -> str:
    """Why an app cannot have its database on the host of this name; empty if it can."""
    server = hosts.get(name)
    if not server:
        return f'there is no host "{name}"{suggestion(name, hosts) or "; add it under hosts"}'
    if name == host.name:
        return f"{name} is the app's own host, too; give {name} roles: [base] if it has databases only, or write database: postgresql"
    if not reached_at(server):
        return f"other hosts do not reach {name} at an address of Vagrant's; set its private_address"
    if any(one.remote_database for one in _apps(server)):
        return (
            f"{name} has an app whose own database is on another host; of two hosts, one can have the other's databases"
        )
    if any(one.name == app.name and one.own_database for one in _apps(server)):
        return f"{name} has an app {app.name} with a database of its own; rename one of the two"
    return ""
