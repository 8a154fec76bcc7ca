"""The apps that a server has: those that its inventory does not know, and those that stand in the way of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

from provision.engine.facts import Fact
from provision.engine.resource import Record
from provision.errors import PlanError
from provision.inventory import Host
from provision.release import shell
from provision.untrusted import word


@dataclass(frozen=True, slots=True)
class PresentApp:
    """An app that a server has, with its domains and its repository. `runs` has the units and programs of it that run."""

    app: str
    domains: tuple[str, ...]
    source: str
    runs: tuple[str, ...]

    def __str__(self) -> str:
        running = f"{', '.join(self.runs)} still run" if self.runs else "nothing of it runs"
        site = f"for {', '.join(self.domains)}" if self.domains else "without a site"
        return f"{self.app} ({site}) is on this server and not in the inventory; {running}"


def parse(records: Sequence[Record]) -> tuple[PresentApp, ...]:
    """The apps in the records of present.sh."""
    return tuple(
        PresentApp(
            word(each, "app", "[a-z][a-z0-9-]{0,31}"),
            tuple(each["domains"].split()),
            each["source"],
            tuple(each["runs"].split()),
        )
        for each in records
    )


PRESENT = Fact("present", "present_facts", shell.PRESENT, parse)


def unlisted(host: Host, present: tuple[PresentApp, ...]) -> tuple[PresentApp, ...]:
    """The apps that the host's inventory does not have."""
    return tuple(one for one in present if one.app not in host.apps)


def taken(host: Host, present: tuple[PresentApp, ...]) -> dict[str, PresentApp]:
    """By the name of an app, the one on the server that it takes over from."""
    there = {one.app: one for one in unlisted(host, present)}
    return {app.name: there[app.renamed_from] for app in host.apps.values() if app.renamed_from in there}


def removal(host: str, one: PresentApp) -> str:
    """What to type to remove an app from a host."""
    return f"invoke remove --host {host} --app {one.app} removes it"


def refuse_taken(host: Host, present: tuple[PresentApp, ...]) -> None:
    """Raises PlanError if another app on the server has the name or a domain of one of the host's."""
    others = {domain: one for one in unlisted(host, present) for domain in one.domains}
    heirs = taken(host, present)
    for app in host.apps.values():
        for domain in app.domains:
            if domain in others and others[domain] != heirs.get(app.name):
                raise PlanError(
                    f"{app.name}: {domain} is served by {others[domain]}: if it is the same app under a new name, write "
                    f"renamed_from: {others[domain].app}; if it is to go, {removal(host.name, others[domain])}"
                )
    for one in present:
        _refuse_name(host, one)


def _refuse_name(host: Host, one: PresentApp) -> None:
    app = host.apps.get(one.app)
    if not app or app.source.push or not one.domains or one.source in ("", "pushed", app.source.location):
        return
    if not set(one.domains) & set(app.domains):
        raise PlanError(
            f"{app.name}: another app of this name is on this server, from {one.source} for {', '.join(one.domains)}: choose "
            "another name; if it is the same app, change its repository and its domains in two deploys"
        )
