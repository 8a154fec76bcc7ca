"""What a server has: each role is a table of resources, in the order in which they are put there."""

from provision.engine.facts import Facts
from provision.engine.resource import Resource
from provision.inventory import Host
from provision.release.manager import RemovedUnit
from provision.roles import app, base, python, tls, web

SERVER = {"base": base.base, "python": python.python, "app": app.app, "web": web.web, "tls": tls.tls}


def server(host: Host, facts: Facts) -> tuple[Resource, ...]:
    """The server without its releases."""
    return tuple(resource for name, role in SERVER.items() if name in host.roles for resource in role(host, facts))


def everything(host: Host, facts: Facts) -> tuple[Resource, ...]:
    """The server, and in it the releases. `facts.commits` has a commit for each app."""
    releases = app.releases(host, facts) if "app" in host.roles else ()
    return (*server(host, facts), *releases)


def held(host: Host, facts: Facts, token: str) -> tuple[Resource, ...]:
    """The server, and the releases beside those that have the traffic, which keep all that they run."""
    kept = (resource for resource in server(host, facts) if not isinstance(resource, RemovedUnit))
    return (*kept, *app.held(host, facts, token))


promoted = app.promoted
rolled_back = app.rolled_back
restarted = app.restarted
