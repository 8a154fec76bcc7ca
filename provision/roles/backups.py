"""Restores of the apps' databases."""

from collections.abc import Iterator

from provision.engine.facts import SYSTEM, Facts
from provision.engine.resource import Resource
from provision.errors import PlanError
from provision.inventory import App, Host
from provision.release.recovery import DiscardedDatabases, Moment, RestoredDatabase, Settled
from provision.roles.app import meant
from provision.roles.wanted import Wanted


def databases(
    host: Host, facts: Facts, wanted: Wanted, moment: Moment, into: str = "", whence: str = ""
) -> Iterator[Resource]:
    """The databases of the apps that are meant, from the backups: in place of the present ones, or one beside. Raises PlanError."""
    apps = with_database(host, wanted)
    if into and len(apps) != 1:
        raise PlanError(
            f"{host.name}: --into is for one app of {', '.join(app.name for app in apps)}", "choose it with --app"
        )
    for app in apps:
        kept = f"{app.name}_before_{facts[SYSTEM].now:%Y%m%dT%H%M%SZ}".lower()
        yield RestoredDatabase(app.name, moment, whence or host.name, host.name, kept, into)
    if not into and all(app in apps for app in host.apps.values() if app.own_database):
        yield Settled()


def discarded(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """Nothing of what restores have left beside the apps' databases."""
    return tuple(DiscardedDatabases(app.name) for app in meant(host, wanted) if app.own_database)


def with_database(host: Host, wanted: Wanted) -> list[App]:
    """The apps that are meant and have a database. Raises PlanError if there is none, or no backups of it."""
    remote = next((app.remote_database for app in meant(host, wanted) if app.remote_database), None)
    if wanted.app and remote:
        raise PlanError(f"{host.name}: the database of {wanted.app} is on {remote.host}, which has no backups of it")
    if not host.backups:
        raise PlanError(f"{host.name}: the inventory has no backups here")
    apps = [app for app in meant(host, wanted) if app.own_database]
    if not apps:
        raise PlanError(f"{host.name}: no app that is meant has a database", "choose another with --app")
    return apps
