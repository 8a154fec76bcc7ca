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
    names = {*databases, *(app.name for app in folders)}
    if into and len(names) > 1:
        raise PlanError(f"{host.name}: --into is for one app of {', '.join(sorted(names))}", "choose it with --app")
    now = f"{facts[SYSTEM].now:%Y%m%dT%H%M%SZ}"
    for app in folders:
        yield RestoredShared(host, app.name, moment, whence or host.name, into, new)
    for name in databases:
        kept, served = f"{name}_before_{now}".lower(), name in host.serves
        away = tuple(one.host for one in wanted.clients if one.app.name == name and one.host not in wanted.others)
        yield RestoredDatabase(name, moment, whence or host.name, host.name, kept, into, new, served, away)
    if into:
        return
    for app in folders:
        yield SwitchedShared(host, app.name, f"shared.before-{now}")
    if databases and {*databases} == {*backed_up_databases(host)}:
        yield Settled()
    if folders and folders == shared_apps(host):
        yield SettledShared()


def _meant(host: Host, wanted: Wanted, moment: Moment, only: Only) -> tuple[list[str], list[App]]:
    """The apps whose databases on the host are meant, and those whose shared folders are. Only databases have a point before each migration, and an id
    of a backup is of one of both. Raises PlanError if there is nothing, unless another host of the run has the rest of the apps.
    """
    if not host.backups:
        raise PlanError(f"{host.name}: the inventory has no backups here")
    apps = meant(host, wanted)
    restores = only != "shared" and not moment.snapshot
    servers = {app.remote_database.host or "" for app in apps if app.remote_database}
    if wanted.app and restores and servers - wanted.others:
        (server,) = servers
        raise PlanError(
            f"{host.name}: the database of {wanted.app} is on {server}",
            f"name {server} with --host, or a group of both, or add --only shared",
        )
    databases = [name for name in backed_up_databases(host) if restores and wanted.app in ("", name)]
    folders = [
        app
        for app in shared_apps(host)
        if app in apps and only != "database" and not moment.before and (moment.snapshot or not moment.backup)
    ]
    partners = servers | {one.host for one in wanted.clients if wanted.app in ("", one.app.name)}
    if not databases and not folders and not partners & wanted.others:
        what = "a database" if only == "database" or moment.before or moment.backup else "anything that is backed up"
        raise PlanError(f"{host.name}: no app that is meant has {what}", "choose another with --app")
    return databases, folders


def discarded(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """Nothing of what restores have left beside the apps' databases and shared folders."""
    apps = meant(host, wanted)
    served = (name for name in host.serves if wanted.app in ("", name))
    return (
        *(DiscardedDatabases(name) for name in (*(app.name for app in apps if app.own_database), *served)),
        *(DiscardedShared(app.name) for app in apps),
    )
