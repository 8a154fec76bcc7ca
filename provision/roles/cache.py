"""The apps' Redis, or Valkey."""

from collections.abc import Iterable

from provision.engine.facts import SYSTEM, Facts
from provision.engine.resource import Resource
from provision.errors import PlanError
from provision.inventory import App
from provision.release.facts import ServerRelease
from provision.release.settings import had_cache
from provision.resources.package import Packages
from provision.resources.redis import CACHES, Engine, Moved, NoRedis, Redis
from provision.resources.redis_rights import OLD_RULE, RULE, Rights

# The first versions that have Valkey.
VALKEY = {"debian": (13,), "ubuntu": (24, 4)}
# Those that have Redis 6.0.
OLD = ("debian11", "ubuntu22.04")


def program(apps: Iterable[App], facts: Facts) -> tuple[Resource, ...]:
    """What all of them run."""
    engines = {engine(app, facts) for app in apps if app.cache.engine}
    return tuple(Packages(each, (f"{each}-tools",)) for each in sorted(engines))


def cache(app: App, facts: Facts) -> tuple[Resource, ...]:
    """The app's own, if it has one. Its user and group are there."""
    if not app.cache.engine:
        return ()
    redis = Redis(app.name, app.cache.limit, app.cache.policy, app.cache.persistent, engine(app, facts))
    moved = Moved(app.name, redis.engine, app.cache.persistent)
    rights = Rights(app.name, OLD_RULE if facts[SYSTEM].distribution in OLD else RULE, redis.engine)
    return (rights, *redis.files, moved, redis.program, redis, redis.limits)


def engine(app: App, facts: Facts) -> Engine:
    """Which of the two the app has: that of the inventory; where it may be either, the one that it has, or else Valkey where there is that."""
    system = facts[SYSTEM]
    there = tuple(map(int, system.version.split("."))) >= VALKEY.get(system.system, (1000,))
    if app.cache.engine == "redis":
        found = facts[CACHES].get(app.name)
        return found.engine if found else "valkey" if there else "redis"
    if app.cache.engine == "valkey" and not there:
        raise PlanError(
            f"{app.name}: {system.system} {system.version} has no Valkey; Debian has it from 13 on, Ubuntu from 24.04 on",
            "write cache: redis, which is Redis there",
        )
    return "valkey" if app.cache.engine == "valkey" else "redis"


def no_cache(app: App) -> tuple[Resource, ...]:
    """None, if the app has none in the inventory. The release before may need it until the new one serves."""
    return () if app.cache.engine else (NoRedis(app.name),)


def refuse_left_behind(app: App, old: str) -> None:
    """Raises PlanError if the app takes over from another, and would lose what must not be lost."""
    if app.cache.persistent:
        raise PlanError(
            f"{app.name}: takes over from {old}, and what its Redis holds would not come along",
            f"keep the name {old}, or let the queues run empty and deploy once without cache.persistent",
        )


def refuse_without(app: App, release: ServerRelease, facts: Facts) -> None:
    """Raises PlanError if the release ran with a Redis, and the app has none any more."""
    found = facts[CACHES].get(app.name)
    if not had_cache(release.settings) or (app.cache.engine and found and found.there):
        return
    first = "" if app.cache.engine else "write cache: redis again, "
    raise PlanError(
        f"{app.name}: {release.id} ran with a Redis of its own, which is not there any more",
        f"{first}deploy, and roll back then; with --force, it starts without",
    )
