"""Which public names clients ask for, and which of them say from which release they answer."""

from collections.abc import Sequence

from provision.engine.facts import Facts
from provision.engine.resource import Resource
from provision.inventory import Host
from provision.release import outside
from provision.release.facts import RELEASES
from provision.release.outside import PublicName
from provision.resources.file import File
from provision.resources.file_set import FileSet
from provision.resources.nginx import FOLDER, NGINX


def public(host: Host, facts: Facts, resources: Sequence[Resource]) -> tuple[PublicName, ...]:
    """The names of what the resources activate."""
    return outside.activated(resources, _telling(host, facts) | _will_tell(resources))


def serving(host: Host, facts: Facts) -> tuple[PublicName, ...]:
    """The names of the releases that serve."""
    if not {"app", "web"} <= {*host.roles}:
        return ()
    telling = _telling(host, facts)
    active = [one for one in facts[RELEASES] if one.active and one.app in host.apps]
    return tuple(
        name for one in active for name in outside.active(host.apps[one.app], one.id, tells=one.app in telling)
    )


def _telling(host: Host, facts: Facts) -> set[str]:
    """The apps whose sites on the server say which release answers."""
    return {name for name in host.apps if f"{FOLDER}/sites-enabled/zz-{name}.conf" in facts[NGINX].tells}


def _will_tell(resources: Sequence[Resource]) -> set[str]:
    """The apps whose sites will, as they are written."""
    return {
        member.path.rpartition("/")[2].removesuffix(".conf")
        for one in resources
        if isinstance(one, FileSet)
        for member in one.members
        if isinstance(member, File) and outside.TELLS in member.content
    }
