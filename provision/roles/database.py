"""The apps' databases, and the PostgreSQL that they are in."""

from collections.abc import Iterable

from provision.engine.facts import SYSTEM, Facts
from provision.engine.resource import Resource
from provision.inventory import Host
from provision.release.database_login import DATABASES, DatabasePlaces
from provision.release.environment import workers_of
from provision.release.layout import directory, file
from provision.release.present import PRESENT, taken
from provision.resources.dropin import DropIn
from provision.resources.package import Packages
from provision.resources.postgresql import RESTARTING, RESTARTS, PostgresConnections, PostgresDatabase
from provision.resources.postgresql_clients import PostgresDoor, PostgresLeft, PostgresLogin, RemoteLogin, ServerKey
from provision.resources.postgresql_settings import PostgresSettings
from provision.resources.service import Service
from provision.roles.wanted import Wanted

PLACES = DatabasePlaces()
LISTENING = {
    "listen_addresses": "*",
    "ssl": "on",
    "ssl_cert_file": PLACES.certificate,
    "ssl_key_file": PLACES.key,
}

MIB = 1024**2
RESERVED = 10
"""Connections that are left for people, timers and PostgreSQL's superuser."""
MANY = 16
"""Processors that a server has of which nothing is known."""
MOST = 500
"""Connections that are set up without being asked for: each has a process, and a share of the memory for what it sorts."""


def databases(host: Host, facts: Facts, wanted: Wanted) -> Iterable[Resource]:
    """Before releases are prepared, which may ask for their data. Those of apps on other hosts are among them."""
    found, kept = _wanted(host, facts, wanted)
    if not found:
        yield from no_clients(facts)
        return
    # Apps need the other half.
    share = 1 if host.apps and "app" in host.roles else 2
    cpus, memory = facts[SYSTEM].cpus, host.postgresql.bytes(share * facts[SYSTEM].memory)
    yield Packages("postgresql", ("postgresql",))
    yield DropIn(RESTARTS, RESTARTING, "systemctl daemon-reload")
    yield Service("postgresql")
    yield from _certificate(wanted)
    yield PostgresSettings(
        tuple({**host.postgresql.parameters, **(LISTENING if wanted.clients else {})}.items()),
        tuple(suiting(memory, cpus, connections(sum(kept.values()))).items()),
    )
    # An app that takes over gets the other's database, with all that is in it, in that moment.
    named = {name: old.app for name, old in taken(host, facts[PRESENT]).items()}
    yield from (PostgresDatabase(named.get(name, name), extensions) for name, extensions in found.items())
    yield from _clients(host, facts, wanted)
    yield PostgresConnections(tuple(kept.items()))


def _wanted(host: Host, facts: Facts, wanted: Wanted) -> tuple[dict[str, tuple[str, ...]], dict[str, int]]:
    """By app, the extensions of each database on the host, and how many connections its servers keep.

    Of another server, the processors are not known: it counts as one that has many, so that the number is always the same.
    """
    own = host.apps.values() if "app" in host.roles else ()
    here = [(app, facts[SYSTEM].cpus) for app in own if app.own_database]
    found: dict[str, tuple[str, ...]] = {}
    kept: dict[str, int] = {}
    for app, cpus in (*here, *((client.app, MANY) for client in wanted.clients)):
        assert app.database
        found[app.name] = tuple(dict.fromkeys((*found.get(app.name, ()), *app.database.extensions)))
        processes = 2 * workers_of(app, cpus) + len(app.processes)
        kept[app.name] = kept.get(app.name, 0) + app.database.pool * processes
    return found, kept


def _certificate(wanted: Wanted) -> Iterable[Resource]:
    """What PostgreSQL shows to apps on other hosts."""
    shown = wanted.certificate
    if not shown:
        return
    yield directory(PLACES, DatabasePlaces.configuration)
    if shown.key:
        yield file(PLACES, DatabasePlaces.key, shown.key, secret=True)
    else:
        yield ServerKey(PLACES.key)
    yield file(PLACES, DatabasePlaces.certificate, shown.certificate)
    yield file(PLACES, DatabasePlaces.root, shown.root)


def _clients(host: Host, facts: Facts, wanted: Wanted) -> Iterable[Resource]:
    """The logins of apps on other hosts, and what lets them in."""
    logins = tuple(
        RemoteLogin(one.app.name, one.login, one.address, wanted.verifiers.get(one.login, "")) for one in wanted.clients
    )
    if not logins:
        yield from no_clients(facts)
        return
    yield from map(PostgresLogin, logins)
    shown = wanted.certificate.certificate if wanted.certificate else ""
    allowed = host.postgresql.parameters.get("listen_addresses") == LISTENING["listen_addresses"]
    yield PostgresDoor(PLACES.configuration, logins, shown, allowed)
    yield PostgresLeft(tuple(login.name for login in logins))


def no_clients(facts: Facts) -> Iterable[Resource]:
    """No app on another host is let in any more, if one was."""
    if facts[DATABASES].serves:
        yield PostgresDoor(PLACES.configuration)
        yield PostgresLeft()


def connections(kept: int) -> int:
    """How many connections PostgreSQL should allow where apps keep so many: a multiple of 50, and at least its own default."""
    return min(max(100, -(-(kept + RESERVED) // 50) * 50), MOST)


def suiting(memory: int, cpus: int, connections: int) -> dict[str, str]:
    """PostgreSQL's settings for so many bytes of memory, processors, and connections, on a solid-state disk.

    A quarter of the memory for its own cache, and what a query may use so that a third of all connections can do that at once, as
    https://www.postgresql.org/docs/current/runtime-config-resource.html and https://wiki.postgresql.org/wiki/Tuning_Your_PostgreSQL_Server
    advise.
    """
    shared = max(128, memory // 4 // MIB)
    return {
        "shared_buffers": f"{shared}MB",
        "effective_cache_size": f"{max(256, memory * 3 // 4 // MIB)}MB",
        "maintenance_work_mem": f"{min(max(64, memory // 16 // MIB), 2048)}MB",
        "work_mem": f"{min(max(4, (memory // MIB - shared) // (connections * 3)), 256)}MB",
        "max_connections": str(connections),
        "max_parallel_workers_per_gather": str(min(cpus // 2, 4)),
        "min_wal_size": "160MB",
        "max_wal_size": "2GB",
        "wal_compression": "on",
        "checkpoint_completion_target": "0.9",
        "random_page_cost": "1.1",
        "effective_io_concurrency": "200",
        "shared_preload_libraries": "pg_stat_statements",
    }
