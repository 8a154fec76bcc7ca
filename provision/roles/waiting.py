"""Sites that stay as they are until there is a certificate for their new names."""

from dataclasses import dataclass

from provision.engine.facts import Facts
from provision.inventory import Host
from provision.release.present import PRESENT


@dataclass(frozen=True, slots=True)
class Waiting:
    """The apps whose sites change only once all certificates are there.

    `names` are those that nothing serves until then, of which an issuer asks; `first` says that some other app has no site yet,
    and needs it to answer an issuer.
    """

    apps: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()
    first: bool = False


def waiting(host: Host, facts: Facts) -> Waiting:
    """The apps with a site that lacks a name that the inventory has, or that gives one to another app, and those that get one so."""
    if host.tls.issuer == "self-signed" or not {"web", "tls"} <= {*host.roles}:
        return Waiting()
    served = {one.app: frozenset(one.domains) for one in facts[PRESENT] if one.domains}
    wanted = {app.name: frozenset(app.domains) for app in host.apps.values()}
    apps = {name for name in wanted if _waits(name, wanted, served)}
    others = {name for name in wanted if name not in apps}
    there = {
        *(each for names in served.values() for each in names),
        *(each for name in others for each in wanted[name]),
    }
    names = {each for name in apps for each in wanted[name]} - there if host.tls.issuer != "files" else set()
    return Waiting(frozenset(apps), tuple(sorted(names)), bool(apps) and not others <= served.keys())


def _waits(name: str, wanted: dict[str, frozenset[str]], served: dict[str, frozenset[str]]) -> bool:
    has, wants = served.get(name, frozenset()), wanted[name]
    given = (has - wants) & {each for other, names in wanted.items() if other != name for each in names}
    taken = (wants - has) & {each for other, names in served.items() if other != name for each in names}
    return bool((has and wants - has) or given or taken)
