"""What is looked at before anything is changed, beside what stands in the way of a single resource."""

from collections.abc import Iterable

from provision.engine.resource import Resource
from provision.inventory import Host
from provision.release.activation import Activation
from provision.release.layout import Layout
from provision.release.memory import Memory
from provision.release.preview import Preview
from provision.resources.clock import Clock
from provision.resources.domains import Domains
from provision.resources.firewall import Firewall
from provision.resources.package import PackageManager, Packages
from provision.resources.room import Cost, Room
from provision.resources.sources import Sources
from provision.roles.wanted import Wanted

SERVER_COSTS = (
    Cost("packages", "/usr", 100, 2500),
    Cost("packages", "/var", 50, 100),
    Cost("packages", "/etc", 1, 200),
    Cost("pyenv", "/opt", 50, 3000),
    Cost("python", "/opt", 400, 9000, runs=True),
    Cost("python", "/var/tmp", 400, 9000, runs=True),
    Cost("node", "/opt", 150, 3500, runs=True),
    Cost("node", "/var/tmp", 60, 100),
)


def preflight(host: Host, resources: Iterable[Resource], wanted: Wanted) -> tuple[Resource, ...]:
    """The server's disks, apt, clock and firewalls, for what these resources need."""
    packages = dict.fromkeys(name for one in resources if isinstance(one, Packages) for name in one.names)
    return (
        Room((*SERVER_COSTS, *_costs(host)), ("release", "venv")),
        PackageManager(tuple(packages)),
        Clock(wanted.now),
        *((Firewall((80, 443)),) if "web" in host.roles else ()),
    )


def _costs(host: Host) -> tuple[Cost, ...]:
    """What the apps' releases take."""
    return tuple(
        Cost(kind, Layout(name).home, megabytes, inodes, runs=True, name=name)
        for name in host.apps
        for kind, megabytes, inodes in (("release", 20, 1000), ("venv", 200, 8000), ("build", 300, 30000))
    )


def memory(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    """Memory for a second slot of each app that one of the resources may start, unless the first one is stopped before."""
    return tuple(
        Memory(one.slot.app, one.ref)
        for one in resources
        if isinstance(one, Preview) or (isinstance(one, Activation) and not one.stops_first)
    )


def examined(host: Host) -> tuple[Resource, ...]:
    """What is looked at only where that is all that is done: memory for any release of each app; and its domains and apt's sources, which
    takes a while.

    Domains are left out where a proxy stands in front of them, and where no DNS knows the machine.
    """
    asked = host.tls.check_dns and host.connect != "vagrant"
    return (
        *(Memory(name, Activation.ref_to(name)) for name in host.apps if "app" in host.roles),
        Sources(),
        *(Domains(app.name, app.asked, host.address) for app in host.apps.values() if asked),
    )
