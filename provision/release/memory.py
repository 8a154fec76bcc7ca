"""Memory for two releases of an app at once, while one takes over from the other."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Finding, Probe, Ref, State
from provision.release import shell
from provision.untrusted import word

# What the rest of the server may need meanwhile, in MB.
SPARE = 32
KIBIBYTES = "[0-9]{1,15}"


@dataclass(frozen=True, slots=True)
class Memory:
    """The server has the memory for a second slot of the app: as much as the slot needs that serves. Never a change.

    Where nothing serves yet, nothing is known. `start` is the change that starts a second slot.
    """

    app: str
    start: Ref

    @property
    def ref(self) -> Ref:
        return Ref("memory", self.app)

    def probe(self) -> Probe:
        return Probe("memory_probe", shell.LIBRARY, (self.app,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        return None

    def findings(self, state: State, planned: Mapping[Ref, Change] | None) -> tuple[Finding, ...]:
        said = state.records[0]
        free, used = (int(word(said, key, KIBIBYTES)) // 1024 for key in ("free", "used"))
        if planned is not None and self.start not in planned:
            return ()
        if not used or free >= used + SPARE:
            of = f"; {self.app} uses {used} MB, and as much again during a deploy" if used else ""
            return (Finding("memory", "ok", f"{free} MB are free{of}"),)
        what = f"{self.app} uses {used} MB, and a deploy runs it twice for a while: {free} MB are free"
        return (
            Finding(
                "memory",
                "warn",
                what,
                "add memory or swap, use fewer workers, or stop the old one first with --stop-first",
            ),
        )
