"""The apps' Redis."""

from collections.abc import Iterable

from provision.engine.resource import Resource
from provision.errors import PlanError
from provision.inventory import App
from provision.resources.package import Packages
from provision.resources.redis import NoRedis, Redis


def program(apps: Iterable[App]) -> tuple[Resource, ...]:
    """What all of them run."""
    return (Packages("redis", ("redis-tools",)),) if any(app.cache.engine for app in apps) else ()


def cache(app: App) -> tuple[Resource, ...]:
    """The app's own, if it has one. Its user and group are there."""
    if not app.cache.engine:
        return ()
    redis = Redis(app.name, app.cache.limit, app.cache.policy, app.cache.persistent)
    return (*redis.files, redis, redis.limits)


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
