"""What a server has: each role is a table of resources, in the order in which they are put there."""

from collections.abc import Collection, Iterable
from typing import Any

from provision.engine.facts import SYSTEM, Fact, Facts
from provision.engine.resource import Ref, Resource
from provision.inventory import Host
from provision.release.activation import Activation
from provision.release.facts import MANAGED, MIGRATIONS, PREVIEWS, PUSHED, RELEASES
from provision.release.migration import staying
from provision.release.present import PRESENT, refuse_taken, unlisted
from provision.release.preview import preview_tokens
from provision.release.removal import RemovedUnit
from provision.resources.nginx import NGINX
from provision.resources.python import BUILT
from provision.roles import app, base, python, tls, web
from provision.roles.wanted import Wanted

FACTS: tuple[Fact[Any], ...] = (SYSTEM, BUILT, RELEASES, PREVIEWS, MANAGED, PUSHED, MIGRATIONS, PRESENT, NGINX)
SERVER = {"base": base.base, "python": python.python, "app": app.app, "web": web.web, "tls": tls.tls}


def server(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """The server without its releases. Raises PlanError if another app there has a name or a domain of the host's."""
    refuse_taken(host, facts[PRESENT])
    chosen = (role for name, role in SERVER.items() if name in host.roles)
    return tuple(resource for role in chosen for resource in role(host, facts, wanted))


def everything(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """The server, and in it the wanted releases."""
    releases = app.releases(host, facts, wanted) if "app" in host.roles else ()
    return (*server(host, facts, wanted), *releases)


def previewed(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """The server, and the wanted releases beside those that have the traffic, which keep all that they run."""
    kept = (resource for resource in server(host, facts, wanted) if not isinstance(resource, RemovedUnit))
    return (*kept, *app.previewed(host, facts, wanted))


def previews(facts: Facts | None, wanted: Wanted, made: Collection[Ref]) -> dict[str, str]:
    """By app, the token of the wanted release where it can be previewed once the changes in `made` are made."""
    if facts is None:
        return {}
    return preview_tokens(facts[PREVIEWS], wanted.releases, made, wanted.token)


def notes(facts: Facts, resources: Iterable[Resource]) -> tuple[str, ...]:
    """What is to be known before these resources are put there: migrations that an older release finds done."""
    active = {(one.app, one.id) for one in facts[RELEASES] if one.active}
    wanted = [(one.slot.app, one.release) for one in resources if isinstance(one, Activation)]
    done = facts[MIGRATIONS]
    found = (staying(app, release, done) for app, release in wanted if (app, release) not in active)
    return tuple(filter(None, found))


def strangers(host: Host, facts: Facts) -> tuple[str, ...]:
    """A line about each app on the server that the inventory does not have."""
    return tuple(map(str, unlisted(host, facts[PRESENT])))


promoted = app.promoted
rolled_back = app.rolled_back
restarted = app.restarted
