"""Where apt has its packages from."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Finding, Probe, Ref, State
from provision.engine.shell import library
from provision.untrusted import line as shown
from provision.untrusted import word

LIBRARY = library(__file__)
FILES = "/etc/apt/sources.list and /etc/apt/sources.list.d"
CHECK = "sources"


@dataclass(frozen=True, slots=True)
class Sources:
    """All of apt's sources can be read. Never a change. They are asked over the network, which takes a while, so no plan does it."""

    @property
    def ref(self) -> Ref:
        return Ref("sources", "apt")

    def probe(self) -> Probe:
        return Probe("sources_probe", LIBRARY)

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        return None

    def findings(self, state: State, planned: Mapping[Ref, Change] | None) -> tuple[Finding, ...]:
        if state["unparsed"]:
            return (unparsed(state["unparsed"]),)
        if not state:
            return (Finding(CHECK, "warn", "apt's sources were not asked, as nothing can be written to /run"),)
        bad = [each for each in state.records if "source" in each]
        count = int(word({"count": state["count"]}, "count", "[0-9]{1,6}"))
        if not count:
            return (Finding(CHECK, "stop", "apt has no source of packages", f"{FILES} name them"),)
        found = [
            Finding(
                CHECK,
                "stop" if len(bad) >= count else "warn",
                f"apt cannot read {shown(each['source'], 100)}: {shown(each['said'], 150)}",
                f"correct it, or take it out of {FILES}; a source that does not resolve may be the server's DNS",
            )
            for each in bad
        ]
        if state["slow"]:
            what = f"apt had not read all of its sources within {shown(state['slow'], 10)} seconds"
            found.append(Finding(CHECK, "warn", what, "apt-get update on the server shows which one is slow"))
        return tuple(found) or (Finding(CHECK, "ok", f"apt can read its sources ({count})"),)


def unparsed(said: str) -> Finding:
    """apt does not understand its own list of sources, and so installs nothing."""
    what = f"apt cannot read its list of sources: {shown(said, 200)}"
    return Finding(CHECK, "stop", what, "correct that file; apt-get update on the server says whether it is right")


def known(state: State) -> tuple[Finding, ...]:
    """What apt knows of its sources without asking them (sources_known): some may be of no use to what is to be installed."""
    if state["unparsed"]:
        return (unparsed(state["unparsed"]),)
    fix = "apt-get update on the server says why"
    unread = (
        Finding(CHECK, "warn", f"apt has not read its source {shown(source, 100)}", fix)
        for source in state.all("unread")
    )
    outdated = (
        Finding(
            CHECK,
            "warn",
            f"what apt has of {shown(source, 100)} has expired, and its last try brought nothing newer",
            fix,
        )
        for source in state.all("outdated")
    )
    return (*unread, *outdated)
