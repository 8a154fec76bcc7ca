"""Restores of the apps' databases."""

from collections.abc import Callable

from provision.engine.facts import SYSTEM, Facts
from provision.engine.resource import Resource
from provision.errors import PlanError
from provision.inventory import App, Host
from provision.release.recovery import DiscardedDatabases, Moment, RestoredDatabase
from provision.roles.app import meant, restarted
from provision.roles.wanted import Wanted


def restored(moment: Moment, into: str = "", whence: str = "") -> Callable[[Host, Facts, Wanted], tuple[Resource, ...]]:
    """The database of the app that is meant, from the backups, in place of the present one or beside it; then the app starts anew."""

    def role(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
        app = _one(host, wanted)
        kept = f"{app.name}_before_{facts[SYSTEM].now:%Y%m%dT%H%M%SZ}".lower()
        database = RestoredDatabase(app.name, moment, whence or host.name, host.name, kept, into)
        return (database,) if into else (database, *restarted(host, facts, wanted))

    return role


def discarded(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """Nothing of what restores have left beside the apps' databases."""
    return tuple(DiscardedDatabases(app.name) for app in meant(host, wanted) if app.database)


def _one(host: Host, wanted: Wanted) -> App:
    """The one app that is meant. Raises PlanError if there is not one, or it has no backups."""
    apps = [app for app in meant(host, wanted) if app.database]
    if not host.backups:
        raise PlanError(f"{host.name}: the inventory has no backups here")
    if len(apps) != 1:
        names = ", ".join(app.name for app in apps) or "none"
        raise PlanError(f"{host.name}: the apps with a database are: {names}", "choose one with --app")
    return apps[0]
