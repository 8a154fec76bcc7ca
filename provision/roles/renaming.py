"""Apps that go on under other names."""

from provision.engine.facts import Facts
from provision.engine.resource import Resource
from provision.inventory import Host
from provision.release.present import PRESENT, taken
from provision.release.uninstall import inherited
from provision.roles import app
from provision.roles.tls import reading
from provision.roles.waiting import waiting
from provision.roles.wanted import Wanted
from provision.roles.web import switched


def renamed(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """Their sites, once they have the traffic, and then nothing of what they were called before."""
    meant = {one.name: one.renamed_from for one in app.meant(host, wanted) if one.renamed_from}
    old, heirs = taken(host, facts[PRESENT]), waiting(host, facts).heirs
    sites = switched(host, facts, reading(host), frozenset(meant)) if heirs.keys() & meant.keys() else ()
    return (
        *sites,
        *(
            part
            for name, before in meant.items()
            for part in inherited(before, name, *(("site",) if name in heirs else ()), taken=name in old)
        ),
    )
