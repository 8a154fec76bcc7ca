"""Restores of the apps' databases and shared folders."""

from collections.abc import Iterator
from typing import Literal

from provision.engine.facts import SYSTEM, Facts
from provision.engine.resource import Resource
from provision.errors import PlanError
from provision.inventory import App, Host
from provision.release.backups import backed_up_databases
from provision.release.recovery import DiscardedDatabases, Moment, RestoredDatabase, Settled
from provision.release.shared import shared_apps
from provision.release.shared_recovery import DiscardedShared, RestoredShared, SettledShared, SwitchedShared
from provision.roles.app import meant
from provision.roles.wanted import Wanted

Only = Literal["", "database", "shared"]


def restored(
    host: Host,
    facts: Facts,
    wanted: Wanted,
    moment: Moment,
    into: str = "",
    whence: str = "",
    only: Only = "",
    new: bool = False,
) -> Iterator[Resource]:
    """What the apps that are meant have in the backups: in place of what there is, or beside it. The folders come beside before a database
    is switched, as what cannot be restored should be known by then. A server that is `new` has no backups of its own. Raises PlanError.
    """
    databases, folders = _meant(host, wanted, moment, only)
    if into and len({app.name for app in (*databases, *folders)}) != 1:
        raise PlanError(
            f"{host.name}: --into is for one app of {', '.join(app.name for app in meant(host, wanted))}",
            "choose it with --app",
        )
    now = f"{facts[SYSTEM].now:%Y%m%dT%H%M%SZ}"
    for app in folders:
        yield RestoredShared(host, app.name, moment, whence or host.name, into, new)
    for app in databases:
        kept = f"{app.name}_before_{now}".lower()
        yield RestoredDatabase(app.name, moment, whence or host.name, host.name, kept, into, new)
    if into:
        return
    for app in folders:
        yield SwitchedShared(host, app.name, f"shared.before-{now}")
    if databases and {app.name for app in databases} == {*backed_up_databases(host)}:
        yield Settled()
    if folders and folders == shared_apps(host):
        yield SettledShared()


def _meant(host: Host, wanted: Wanted, moment: Moment, only: Only) -> tuple[list[App], list[App]]:
    """The apps whose databases are meant, and those whose shared folders are. Only databases have a point before each migration, and an id of a backup
    is of one of both. Raises PlanError if there is nothing.
    """
    if not host.backups:
        raise PlanError(f"{host.name}: the inventory has no backups here")
    apps = meant(host, wanted)
    remote = next((app.remote_database for app in apps if app.remote_database), None)
    if wanted.app and remote and only != "shared":
        raise PlanError(
            f"{host.name}: the database of {wanted.app} is on {remote.host}, which has no backups of it",
            "add --only shared",
        )
    databases = [app for app in apps if app.own_database and only != "shared" and not moment.snapshot]
    folders = [
        app
        for app in shared_apps(host)
        if app in apps and only != "database" and not moment.before and (moment.snapshot or not moment.backup)
    ]
    if not databases and not folders:
        what = "a database" if only == "database" or moment.before or moment.backup else "anything that is backed up"
        raise PlanError(f"{host.name}: no app that is meant has {what}", "choose another with --app")
    return databases, folders


def discarded(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """Nothing of what restores have left beside the apps' databases and shared folders."""
    apps = meant(host, wanted)
    return (
        *(DiscardedDatabases(app.name) for app in apps if app.own_database),
        *(DiscardedShared(app.name) for app in apps),
    )
