"""A server that this toolkit leaves."""

from provision.engine.facts import Facts
from provision.engine.resource import Resource
from provision.inventory import Host
from provision.release.backups import NoBackups
from provision.release.facts import KNOWN
from provision.release.restored import restored
from provision.release.shared import NoSharedBackups
from provision.release.uninstall import uninstalled
from provision.resources.nginx import NGINX
from provision.roles.database import no_clients
from provision.roles.wanted import Wanted


def left(host: Host, facts: Facts, wanted: Wanted, with_data: bool = False) -> tuple[Resource, ...]:
    """No app, whether or not the inventory has it, and nothing that this toolkit made; what it replaced is back. Data stays unless it
    is to go, too.
    """
    apps = facts[KNOWN]
    foreign = next((one.file for one in facts[NGINX].others), "")
    return (
        NoBackups(),
        NoSharedBackups(),
        *no_clients(facts),
        *(part for app in apps for part in uninstalled(app, with_data)),
        *restored(apps, foreign, with_data),
    )
