"""Apps and the hosts that have their databases are introduced to each other, by what both have said, before either is planned."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from provision.controller import database_access
from provision.engine.facts import Facts
from provision.errors import PlanError
from provision.inventory import App, Host, Inventory
from provision.inventory.database import Access
from provision.inventory.remote import clients, connected, login, reached_at
from provision.release.database_login import DATABASES
from provision.release.layout import LoginLayout
from provision.resources.postgresql_clients import ServerCertificate
from provision.roles.wanted import Wanted


@dataclass(frozen=True, slots=True)
class Introduction:
    """A host that knows how its apps log in to the databases that other hosts have, and what it knows of those who log in to its own."""

    host: Host
    verifiers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    certificate: ServerCertificate | None = None
    others: frozenset[str] = frozenset()
    refusal: str = ""

    def with_(self, wanted: Wanted) -> Wanted:
        """What is wanted on the host, with this. Raises PlanError where the others are needed, too."""
        if self.refusal:
            raise PlanError(self.refusal)
        return replace(wanted, verifiers=self.verifiers, certificate=self.certificate, others=self.others)


def needed(host: Host, inventory: Inventory) -> bool:
    """Whether the host's apps have databases on other hosts, or it has those of others."""
    return bool(inventory.hosts[host.name].serves) or any(app.remote_database for app in host.apps.values())


def introduce(hosts: Mapping[str, Host], facts: Mapping[str, Facts], inventory: Inventory) -> dict[str, Introduction]:
    """All hosts that have said something, introduced. A password or a certificate that is missing is made, if both hosts are here to get it.

    What a host cannot be told because the other one is not here stays unknown.
    """
    servers = {
        name: _certificate(hosts[name], facts[name]) for name in facts if clients(inventory.hosts.values(), name)
    }
    verifiers: dict[str, dict[str, str]] = {name: {} for name in servers}
    found = {}
    for name in facts:
        host, apps = hosts[name], {}
        for app in host.apps.values():
            server = app.remote_database.host if app.remote_database and "app" in host.roles else None
            access = _access(app, host, facts[name], servers.get(server)) if server else None
            apps[app.name] = connected(app, access) if access else app
            if access and server in verifiers:
                verifiers[server][access.user] = database_access.verifier(access.password)
        found[name] = host.model_copy(update={"apps": apps})
    others = frozenset(facts)
    return {
        name: Introduction(
            host,
            verifiers.get(name, {}),
            servers.get(name),
            others,
            _refusal(inventory, facts, name, servers[name]) if name in servers else "",
        )
        for name, host in found.items()
    }


def _refusal(inventory: Inventory, facts: Mapping[str, Facts], name: str, certificate: ServerCertificate) -> str:
    """Why a host cannot have a new certificate: others trust the one that it has, and are not here to be told of another."""
    away = sorted({one.host for one in clients(inventory.hosts.values(), name)} - facts.keys())
    if not (certificate.key and facts[name][DATABASES].serves and away):
        return ""
    return f"{name}: PostgreSQL needs a new certificate, as this one is broken, runs out or is for another address: deploy {', '.join(away)} together with it"


def _certificate(host: Host, facts: Facts) -> ServerCertificate:
    """What the host has, or else a new one."""
    there, address = facts[DATABASES].certificate, reached_at(host)
    return there if there and database_access.is_good(there, address) else database_access.certificate(address)


def _access(app: App, host: Host, facts: Facts, certificate: ServerCertificate | None) -> Access | None:
    """How the app logs in to its database, whose server shows `certificate` if that is here; None if that is not known."""
    there = facts[DATABASES].logins.get(app.name)
    password, root = (there.password, there.root) if there else ("", "")
    if certificate:
        password, root = password or database_access.password(), certificate.root
    if not password or not root:
        return None
    return Access(login(app.name, host.name), LoginLayout(app.name).root, root, password)
