"""Domains, and whether DNS leads from them to the server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from provision.engine.resource import Change, Finding, Probe, Ref, State
from provision.engine.shell import library
from provision.errors import PlanError
from provision.untrusted import line as shown

LIBRARY = library(__file__)


@dataclass(frozen=True, slots=True)
class Domains:
    """An app's domains lead to the server, over IPv4 and IPv6. Never a change.

    `address` is the host's address in the inventory. Each name is looked up on the server, which takes a while, so a plan asks
    only where a certificate depends on it (Certificate).
    """

    app: str
    names: tuple[str, ...]
    address: str

    @property
    def ref(self) -> Ref:
        return Ref("domains", self.app)

    def probe(self) -> Probe:
        return Probe("domains_probe", LIBRARY, (self.address, " ".join(self.names)))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        return None

    def findings(self, state: State, planned: Mapping[Ref, Change] | None) -> tuple[Finding, ...]:
        found = []
        for name in self.names:
            wrong = misled(self.app, (name,), self.address, state)
            if wrong:
                found.append(Finding("dns", "warn", wrong[0].what, wrong[0].fix))
                continue
            addresses = ", ".join(sorted(_resolved(state).get(name, ())))
            found.append(Finding("dns", "ok", f"{self.app}: {name} leads here ({shown(addresses)})"))
        return tuple(found)


def misled(app: str, names: Sequence[str], address: str, state: State) -> tuple[PlanError, ...]:
    """Why DNS does not lead from one of the names to the server, for each of which it does not.

    `state` has a record with here, the server's addresses, and one with domain and addresses for each name. Where nothing is
    known of the server's addresses, any will do.
    """
    here, resolved = set(state["here"].split()), _resolved(state)
    return tuple(wrong for name in names if (wrong := _wrong(app, name, address, here, resolved.get(name, set()))))


def _resolved(state: State) -> dict[str, set[str]]:
    return {each["domain"]: set(each["addresses"].split()) for each in state.records if "domain" in each}


def _wrong(app: str, name: str, address: str, here: set[str], found: set[str]) -> PlanError | None:
    if not found:
        return PlanError(f"{app}: {name} does not resolve", f"add a DNS record that points to {address}")
    # Issuers and browsers try IPv6 first, so an IPv4 address that is right does not help.
    sixth = {each for each in found if ":" in each}
    if here and sixth and not sixth & here and found & here:
        return PlanError(
            f"{app}: the AAAA record of {name} points to {', '.join(sorted(sixth))}, not to this server",
            "correct or remove it, or set tls.check_dns: false where a proxy stands in front",
        )
    if here and not found & here:
        return PlanError(
            f"{app}: {name} points to {', '.join(sorted(found))}, not to this server ({address})",
            "change its DNS record, or set tls.check_dns: false where a proxy stands in front",
        )
    return None
