"""The apps' databases, and the PostgreSQL that they are in."""

from collections.abc import Iterable

from provision.engine.facts import SYSTEM, Facts
from provision.engine.resource import Resource
from provision.inventory import Host
from provision.release.environment import workers_of
from provision.release.present import PRESENT, taken
from provision.resources.dropin import DropIn
from provision.resources.package import Packages
from provision.resources.postgresql import RESTARTING, RESTARTS, PostgresConnections, PostgresDatabase
from provision.resources.postgresql_settings import PostgresSettings
from provision.resources.service import Service

MIB = 1024**2
RESERVED = 10
"""Connections that are left for people, timers and PostgreSQL's superuser."""
MOST = 500
"""Connections that are set up without being asked for: each has a process, and a share of the memory for what it sorts."""


def databases(host: Host, facts: Facts) -> Iterable[Resource]:
    """Before releases are prepared, which may ask for their data."""
    found = [(app.name, app.database) for app in host.apps.values() if app.database]
    if not found:
        return
    cpus = facts[SYSTEM].cpus
    processes = {app.name: 2 * workers_of(app, cpus) + len(app.processes) for app in host.apps.values()}
    wanted = tuple((name, database.pool * processes[name]) for name, database in found)
    memory = host.postgresql.bytes(facts[SYSTEM].memory)
    yield Packages("postgresql", ("postgresql",))
    yield DropIn(RESTARTS, RESTARTING, "systemctl daemon-reload")
    yield Service("postgresql")
    yield PostgresSettings(
        tuple(host.postgresql.parameters.items()),
        tuple(suiting(memory, cpus, connections(sum(count for _, count in wanted))).items()),
    )
    # An app that takes over gets the other's database, with all that is in it, in that moment.
    named = {name: old.app for name, old in taken(host, facts[PRESENT]).items()}
    yield from (PostgresDatabase(named.get(name, name), tuple(database.extensions)) for name, database in found)
    yield PostgresConnections(wanted)


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
