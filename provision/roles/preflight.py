"""What is looked at before anything is changed, beside what stands in the way of a single resource."""

from provision.engine.facts import Facts
from provision.engine.resource import Resource
from provision.inventory import Host
from provision.resources.firewall import Firewall
from provision.roles.wanted import Wanted


def preflight(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """Firewalls."""
    return (*((Firewall((80, 443)),) if "web" in host.roles else ()),)
