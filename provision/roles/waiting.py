"""Sites that stay as they are until there is a certificate for their new names."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from provision.engine.facts import Facts
from provision.errors import PlanError
from provision.inventory import Host
from provision.release.present import PRESENT, PresentApp, taken


@dataclass(frozen=True, slots=True)
class Waiting:
    """The apps whose sites change only once all certificates are there.

    `names` are those that nothing serves until then, of which an issuer asks; `first` says that some other app has no site yet,
    and needs it to answer an issuer. `heirs` are those that take over from an app with a site.
    """

    apps: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()
    first: bool = False
    heirs: Mapping[str, PresentApp] = field(default_factory=dict)


def waiting(host: Host, facts: Facts) -> Waiting:
    """The apps with a site that lacks a name that the inventory has, or that gives one to another app, and those that get one so.

    Raises PlanError if an app that takes over from another could not do so with what that has.
    """
    heirs = taking(host, facts)
    if "web" not in host.roles or not (heirs or _issued(host)):
        return Waiting()
    served = {one.app: frozenset(one.domains) for one in facts[PRESENT] if one.domains}
    wanted = {app.name: frozenset(app.domains) for app in host.apps.values()}
    apps = {name for name in wanted if _waits(name, wanted, served)} if _issued(host) else {*heirs}
    if heirs:
        _refuse(heirs, apps, wanted)
    others = {name for name in wanted if name not in apps}
    there = {
        *(each for names in served.values() for each in names),
        *(each for name in others for each in wanted[name]),
    }
    names = {each for name in apps for each in wanted[name]} - there if host.tls.issuer != "files" else set()
    return Waiting(frozenset(apps), tuple(sorted(names)), bool(apps) and not others <= served.keys(), heirs)


def taking(host: Host, facts: Facts) -> dict[str, PresentApp]:
    """By the name of an app, the one with a site that it takes over from."""
    return {name: old for name, old in taken(host, facts[PRESENT]).items() if old.domains}


def _issued(host: Host) -> bool:
    return "tls" in host.roles and host.tls.issuer != "self-signed"


def _refuse(heirs: dict[str, PresentApp], apps: set[str], wanted: dict[str, frozenset[str]]) -> None:
    """Two moves at once are two deploys."""
    for name, old in heirs.items():
        more = sorted(wanted[name] - {*old.domains})
        if more:
            raise PlanError(
                f"{name}: takes over from {old.app}, which does not serve {', '.join(more)}",
                "deploy it under its new name with the domains that it has, and add others in the next deploy",
            )
    also = sorted(apps - heirs.keys())
    if also:
        name = next(iter(heirs))
        raise PlanError(
            f"{also[0]}: its domains change while {name} takes over from {heirs[name].app}",
            "do the one, deploy, and then do the other",
        )


def _waits(name: str, wanted: dict[str, frozenset[str]], served: dict[str, frozenset[str]]) -> bool:
    has, wants = served.get(name, frozenset()), wanted[name]
    given = (has - wants) & {each for other, names in wanted.items() if other != name for each in names}
    taken = (wants - has) & {each for other, names in served.items() if other != name for each in names}
    return bool((has and wants - has) or given or taken)
