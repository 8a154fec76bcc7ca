"""What a host would have, made without asking it: each template is rendered, as for a bare server."""

from datetime import UTC, datetime

from provision import roles
from provision.engine.facts import SYSTEM, Facts, System
from provision.engine.resource import Resource
from provision.inventory import App, Host
from provision.inventory.database import Access
from provision.inventory.remote import Client, connected, login
from provision.release.choice import release_id
from provision.release.layout import LoginLayout
from provision.roles.wanted import Wanted

COMMIT = "0" * 40
GIB = 1024**3


def rehearsed(host: Host, clients: tuple[Client, ...] = ()) -> tuple[Resource, ...]:
    """The resources of a host that runs Debian 12, has nothing yet, and whose PostgreSQL is to serve `clients` on other hosts.

    Raises PlanError for a template that cannot be rendered.
    """
    bare = {fact: fact.parse(()) for fact in roles.FACTS if fact is not SYSTEM}
    system = System("debian", "12", "x86_64", 2, 2 * GIB, host.user, "/root", datetime(2026, 1, 1, tzinfo=UTC))
    facts = Facts({**bare, SYSTEM: system})
    commits = dict.fromkeys(host.apps, COMMIT)
    releases = {name: release_id(app, facts, COMMIT) for name, app in host.apps.items()}
    host_keys = {name: ("rehearsal",) for name, app in host.apps.items() if app.source.ssh}
    apps = {name: _let_in(app, host) for name, app in host.apps.items()}
    wanted = Wanted(commits=commits, releases=releases, host_keys=host_keys, clients=clients)
    return roles.everything(host.model_copy(update={"apps": apps}), facts, wanted)


def _let_in(app: App, host: Host) -> App:
    """The app, as if its database on another host knew it."""
    if not app.remote_database:
        return app
    return connected(app, Access(login(app.name, host.name), LoginLayout(app.name).root, "rehearsal", "rehearsal"))
