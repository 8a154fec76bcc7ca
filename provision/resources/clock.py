"""A server's clock."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Finding, Probe, Ref, State
from provision.engine.shell import library
from provision.untrusted import word

LIBRARY = library(__file__)
MOST = 300


@dataclass(frozen=True, slots=True)
class Clock:
    """The server's clock is less than five minutes from the controller's, which said `now` shortly before. Never a change."""

    now: int

    @property
    def ref(self) -> Ref:
        return Ref("clock", "time")

    def probe(self) -> Probe:
        return Probe("clock_probe", LIBRARY)

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        return None

    def findings(self, state: State, planned: Mapping[Ref, Change] | None) -> tuple[Finding, ...]:
        off = int(word(state.records[0], "now", "[0-9]{1,11}")) - self.now
        if not self.now or abs(off) <= MOST:
            return (Finding("clock", "ok", "the clock is right to five minutes"),)
        what = f"the server's clock is {_span(abs(off))} {'ahead of' if off > 0 else 'behind'} this machine's, and certificates go by it"
        return (Finding("clock", "warn", what, "timedatectl set-ntp true, or set the clock that is wrong"),)


def _span(seconds: int) -> str:
    for size, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {name}"
    return f"{seconds} seconds"
