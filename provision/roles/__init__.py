"""What a server has: each role is a table of resources, in the order in which they are put there."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

from provision.engine.facts import SYSTEM, Fact, Facts
from provision.engine.resource import Finding, Ref, Resource
from provision.inventory import Host
from provision.release.activation import Activation
from provision.release.database_login import DATABASES
from provision.release.facts import HARDENED, KNOWN, MANAGED, MIGRATIONS, PREVIEWS, PUSHED, RELEASES
from provision.release.migration import staying
from provision.release.present import PRESENT, refuse_taken, removal, taken, unlisted
from provision.release.preview import preview_tokens
from provision.release.recovery import Moment
from provision.release.removal import RemovedUnit
from provision.resources.nginx import NGINX
from provision.resources.python import BUILT
from provision.resources.redis import CACHES
from provision.roles import app, backups, base, hardening, leaving, outside, preflight, python, renaming, tls, web
from provision.roles.database import databases
from provision.roles.wanted import Wanted

Roles = Callable[[Host, Facts, Wanted], tuple[Resource, ...]]
FACTS: tuple[Fact[Any], ...] = (
    SYSTEM,
    BUILT,
    RELEASES,
    PREVIEWS,
    MANAGED,
    PUSHED,
    MIGRATIONS,
    PRESENT,
    KNOWN,
    HARDENED,
    NGINX,
    DATABASES,
    CACHES,
)
# What is true where these guards have nothing to say.
FINE = {
    "claim": "{}: the name is free, or this toolkit's, or to be adopted",
    "ports": "nobody but {} listens on its ports",
}
SERVER = {"base": base.base, "python": python.python, "app": app.app, "web": web.web, "tls": tls.tls}


def server(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """The server without its releases. Raises PlanError if another app there has a name or a domain of the host's."""
    refuse_taken(host, facts[PRESENT])
    found: list[Resource] = []
    for name, role in SERVER.items():
        if name == "web":
            # A certificate's issuer asks on port 80, which a firewall of before may keep closed.
            found.extend(hardening.firewall(host, wanted))
        if name in host.roles:
            found.extend(role(host, facts, wanted))
    if "app" not in host.roles:
        found.extend(databases(host, facts, wanted))
        found.extend(app.database_backups(host, facts))
    safe = hardening.hardening(host, facts, wanted)
    return (*found, *safe, *preflight.preflight(host, (*found, *safe), wanted))


def everything(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """The server, and in it the wanted releases."""
    releases = app.releases(host, facts, wanted) if "app" in host.roles else ()
    return _with_memory((*server(host, facts, wanted), *releases, *renaming.renamed(host, facts, wanted)))


def previewed(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """The server, and the wanted releases beside those that have the traffic, which keep all that they run."""
    kept = (resource for resource in server(host, facts, wanted) if not isinstance(resource, RemovedUnit))
    return _with_memory((*kept, *app.previewed(host, facts, wanted)))


def rolled_back(host: Host, facts: Facts, wanted: Wanted, to: str | None = None) -> tuple[Resource, ...]:
    """Each app at an earlier release. Raises PlanError if there is none."""
    return _with_memory(app.rolled_back(host, facts, wanted, to))


def restarted(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """Each app's active release, restarted in the other slot."""
    return _with_memory(app.restarted(host, facts, wanted))


def _with_memory(resources: tuple[Resource, ...]) -> tuple[Resource, ...]:
    return (*resources, *preflight.memory(resources))


def restored(moment: Moment, into: str = "", whence: str = "", deploys: bool = False, only: backups.Only = "") -> Roles:
    """Databases and shared folders from the backups, and then the apps, which start anew; or, if it `deploys`, the whole server with its
    releases on them.
    """

    def role(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
        found = tuple(backups.restored(host, facts, wanted, moment, into, whence, only, deploys))
        if into:
            return found
        if not deploys:
            return _with_memory((*found, *app.restarted(host, facts, wanted)))
        releases = app.releases(host, facts, wanted) if "app" in host.roles else ()
        return _with_memory((*server(host, facts, wanted), *found, *releases))

    return role


def examined(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """All that `doctor` looks at: the server without its releases, the memory for two of each, its domains, and apt's sources."""
    return (*server(host, facts, wanted), *preflight.examined(host))


def fine(resources: Iterable[Resource], refused: Collection[str]) -> tuple[Finding, ...]:
    """What is well with the guards that say so of nothing, but those of the kinds in `refused`."""
    return tuple(
        Finding(one.ref.kind, "ok", FINE[one.ref.kind].format(one.ref.name))
        for one in resources
        if one.ref.kind in FINE.keys() - {*refused}
    )


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
    """A line about each app on the server that the inventory does not have, under no other name either."""
    kept = {*taken(host, facts[PRESENT]).values()}
    return tuple(f"{one}: {removal(host.name, one)}" for one in unlisted(host, facts[PRESENT]) if one not in kept)


discarded = backups.discarded
promoted = app.promoted
removed = app.removed
renewed = tls.renewed
left = leaving.left
public = outside.public
serving = outside.serving
