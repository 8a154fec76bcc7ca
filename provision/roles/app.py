"""An app's place on the server, and its releases."""

from collections.abc import Iterable

from provision.engine.facts import SYSTEM, Facts
from provision.engine.resource import Resource
from provision.errors import PlanError
from provision.inventory import App, Host
from provision.release.activation import Promotion
from provision.release.backups import backed_up, backed_up_databases
from provision.release.choice import release_before, release_named
from provision.release.claim import Claim
from provision.release.database_login import DATABASES, login, no_login
from provision.release.database_login import program as client
from provision.release.deployment import Deployment, slot
from provision.release.facts import MANAGED, MIGRATIONS, PREVIEWS, RELEASES, ServerRelease
from provision.release.layout import Layout, directory, file
from provision.release.migration import KnownRevision, only_migrating, staying
from provision.release.present import PRESENT, taken
from provision.release.preview import NoPreview
from provision.release.process_manager import PROCESS_MANAGERS, process_manager
from provision.release.removal import left
from provision.release.repository import deploy_key, mirror
from provision.release.settings import with_settings
from provision.release.shared import shared_backed_up
from provision.release.uninstall import uninstalled
from provision.resources.file import Directory
from provision.resources.postgresql import NoDatabase
from provision.roles.cache import cache, no_cache, program, refuse_left_behind, refuse_without
from provision.roles.database import databases
from provision.roles.wanted import Wanted


def app(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """Each app's folders, and what its process manager reads."""
    apps = tuple(host.apps.values())
    return (
        *_process_managers(apps),
        *databases(host, facts, wanted),
        *program(apps, facts),
        *client(apps),
        *database_backups(host, facts),
        *(resource for one in apps for resource in _place(host, facts, wanted, one)),
        *shared_backed_up(host),
    )


def database_backups(host: Host, facts: Facts) -> tuple[Resource, ...]:
    """The backups of databases, in a folder that those of shared folders have, too. A host without apps may have the databases of others."""
    if "app" not in host.roles and not (backed_up_databases(host) or facts[DATABASES].serves):
        return ()
    theirs = "tls" in host.roles and (host.tls.authorities or host.tls.dns)
    above = () if not host.backups or theirs else (Directory("/etc/provision"),)
    return (*above, *backed_up(host, facts[SYSTEM].distribution))


def _place(host: Host, facts: Facts, wanted: Wanted, app: App) -> tuple[Resource, ...]:
    layout = Layout(app.name)
    return (
        directory(layout, Layout.home),
        directory(layout, Layout.releases),
        directory(layout, Layout.venvs),
        directory(layout, Layout.build),
        directory(layout, Layout.shared),
        directory(layout, Layout.configuration),
        file(layout, Layout.tmpfiles, f"d {layout.sockets} 0750 root www-data -\n"),
        *cache(app, facts),
        *login(app, wanted.others),
        *_managed(app),
        *deploy_key(host, app),
    )


def _process_managers(apps: tuple[App, ...]) -> Iterable[Resource]:
    for name, manager in PROCESS_MANAGERS.items():
        managed = tuple(app for app in apps if app.process_manager == name)
        if managed:
            yield from manager.needs(managed)


def _managed(app: App) -> tuple[Resource, ...]:
    """What the app's process manager reads from the next activation on, or must have read before it."""
    manager = process_manager(app)
    return (directory(Layout(app.name), Layout.units), *manager.prepared(), *manager.files(), *manager.loaded())


def releases(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """Each app's wanted release, with all traffic."""
    return tuple(
        resource
        for new in _deployments(host, facts, wanted)
        for resource in (*_fetched(new, wanted), *new.built(), *_served(new, wanted))
    )


def _served(new: Deployment, wanted: Wanted) -> tuple[Resource, ...]:
    old = taken(new.host, new.facts[PRESENT]).get(new.app.name)
    if old:
        refuse_left_behind(new.app, old.app)
        return new.taken_over(old.app)
    return (
        *new.migrated(),
        *new.activated(stops_first=wanted.stops_first),
        *no_cache(new.app),
        *no_login(new.app, new.facts[DATABASES]),
    )


def previewed(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """Each app's wanted release in the idle slot, for those who have the token. Raises PlanError for one that takes over first."""
    old = taken(host, facts[PRESENT])
    for app in meant(host, wanted):
        if app.name in old:
            raise PlanError(
                f"{app.name}: takes over from {old[app.name].app}, which cannot be held: deploy without --hold first"
            )
    return tuple(
        resource
        for new in _deployments(host, facts, wanted)
        for resource in (*_fetched(new, wanted), *new.built(), *new.migrated(), *new.previewed(wanted.token))
    )


def promoted(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """The releases that are held, with all traffic. Raises PlanError if there are none."""
    apps = [app for app in meant(host, wanted) if app.name in facts[PREVIEWS]]
    if not apps:
        raise PlanError(f"{host.name}: no release is held here: invoke deploy --hold holds one")
    return tuple(resource for app in apps for resource in _promoted(host, facts, app))


def _promoted(host: Host, facts: Facts, app: App) -> tuple[Resource, ...]:
    release = facts[PREVIEWS][app.name].release
    found = next((one for one in facts[RELEASES] if (one.app, one.id) == (app.name, release)), None)
    ran = _as_it_ran(app, found) if found else app
    return (Promotion(slot(host, ran), release, ran.source.folder), *left(ran, facts[MANAGED]))


def rolled_back(host: Host, facts: Facts, wanted: Wanted, to: str | None = None) -> tuple[Resource, ...]:
    """Each app at the good release before the active one, or at the release `to`, without a migration.

    If a release is held and `to` names none, it is dropped instead. Raises PlanError if there is no such release.
    """
    apps = meant(host, wanted)
    dropped = [app for app in apps if app.name in facts[PREVIEWS]]
    if dropped and not to:
        return tuple(NoPreview(slot(host, app), facts[PREVIEWS][app.name].release) for app in dropped)
    kept = [release_named(app.name, facts, to) if to else release_before(app.name, facts) for app in apps]
    for one in () if wanted.force else kept:
        refuse_without(host.apps[one.app], one, facts)
    checked = (
        () if wanted.force else tuple(_revision_known(host, facts, one) for one in kept if _is_migrated(one, facts))
    )
    return (*checked, *_kept(host, facts, wanted, kept))


def _is_migrated(one: ServerRelease, facts: Facts) -> bool:
    """Whether later releases have migrated the database."""
    done = facts[MIGRATIONS]
    return bool(staying(one.app, one.id, done))


def _revision_known(host: Host, facts: Facts, one: ServerRelease) -> Resource:
    ran = _as_it_ran(host.apps[one.app], one)
    return KnownRevision(one.app, one.id, one.folder, "alembic" in (ran.hooks.before or ""), only_migrating(ran))


def restarted(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """Each app's active release, restarted in the other slot."""
    names = {app.name for app in meant(host, wanted)}
    active = [release for release in facts[RELEASES] if release.active and release.app in names]
    return _kept(host, facts, wanted, active, again=True)


def removed(host: Host, facts: Facts, wanted: Wanted, name: str, with_data: bool = False) -> tuple[Resource, ...]:
    """Nothing of the app of this name, whether or not the inventory has it. Its data stays unless it is to go, too: also where the server has
    nothing but its database.
    """
    gone = uninstalled(name, with_data)
    data = next(one.ref for one in gone if one.part == "data")
    return (Claim(name, leaves=True), *gone, *((NoDatabase(name, data),) if with_data else ()))


def _kept(
    host: Host, facts: Facts, wanted: Wanted, kept: Iterable[ServerRelease], again: bool = False
) -> tuple[Resource, ...]:
    """Releases that the server has, with all traffic, run as they ran, with the environment and the limits of now."""
    found = [Deployment(host, _as_it_ran(host.apps[one.app], one), facts, one.commit, one.id) for one in kept]
    return (
        *_process_managers(tuple(one.app for one in found)),
        *(
            resource
            for one in found
            for resource in (
                *_managed(one.app),
                *_fetched(one, wanted),
                *one.built(),
                *one.activated(again, wanted.stops_first),
            )
        ),
    )


def _fetched(one: Deployment, wanted: Wanted) -> tuple[Resource, ...]:
    name, home = one.app.name, one.facts[SYSTEM].home
    return mirror(one.host, one.app, one.commit, home, wanted.packs.get(name), wanted.host_keys.get(name, ()))


def _deployments(host: Host, facts: Facts, wanted: Wanted) -> tuple[Deployment, ...]:
    return tuple(
        Deployment(
            host,
            app,
            facts,
            wanted.commits[app.name],
            wanted.releases[app.name],
            wanted.built.get(app.name),
            wanted.upgrades,
        )
        for app in meant(host, wanted)
    )


def _as_it_ran(app: App, one: ServerRelease) -> App:
    """The app, in the folder of its repository where a release has it, and with what the release ran with."""
    source = app.source.model_copy(update={"folder": one.folder})
    return with_settings(app.model_copy(update={"source": source}), one.settings)


def meant(host: Host, wanted: Wanted) -> tuple[App, ...]:
    """The apps whose releases are meant."""
    if "app" not in host.roles:
        return ()
    return tuple(app for app in host.apps.values() if wanted.app in ("", app.name))
