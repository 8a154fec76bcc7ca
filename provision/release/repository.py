"""How a server gets the commits of an app."""

from collections.abc import Sequence
from pathlib import Path

from provision.engine.resource import Resource
from provision.inventory import GENERATE, App, Host
from provision.release.layout import Layout, file
from provision.resources.git import PUSHED, Access, DeployKey, Mirror


def deploy_key(host: Host, app: App) -> tuple[Resource, ...]:
    """The key that is made on the server, with `deploy_key: generate`."""
    if app.source.deploy_key != GENERATE:
        return ()
    return (DeployKey(app.name, Layout(app.name).deploy_key, f"{app.name}@{host.name}", app.source.location),)


def mirror(
    host: Host, app: App, commit: str, home: str, pack: Path | None, host_keys: Sequence[str]
) -> tuple[Resource, ...]:
    """The app's repository with the wanted commit.

    `pack` has the commit if the controller sends it, by way of the login's `home`. `host_keys` are lines of a known_hosts
    file, for a repository or for requirements that are read over SSH.
    """
    layout, access = Layout(app.name), _access(host, app)
    known = "".join(f"{line}\n" for line in host_keys)
    location = PUSHED if app.source.push else app.source.location
    return (
        *((file(layout, Layout.known_hosts, known),) if host_keys else ()),
        Mirror(layout.repository, location, commit, pack, home, access),
    )


def _access(host: Host, app: App) -> Access | None:
    """How the server reads the app's repository, where that is over SSH."""
    source, layout, who = app.source, Layout(app.name), f"{app.name}@{host.name}"
    if source.ssh is None:
        return None
    if source.private_key:
        return Access(app.name, who, layout.known_hosts, "sent", private=source.private_key)
    if source.deploy_key:
        return Access(app.name, who, layout.known_hosts, "own", layout.deploy_key)
    return Access(app.name, who, layout.known_hosts, "agent" if source.forward_agent else "root")
