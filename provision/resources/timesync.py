"""What keeps a server's clock right."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import joined, library, words
from provision.resources import package, service

LIBRARY = joined(package.LIBRARY, service.LIBRARY, library(__file__))
DAEMON = "systemd-timesyncd"


@dataclass(frozen=True, slots=True)
class TimeSync:
    """A program sets the clock by the network: systemd-timesyncd, unless the server has another (chrony, ntpsec). A container has its host's clock."""

    @property
    def ref(self) -> Ref:
        return Ref("packages", "clock")

    def probe(self) -> Probe:
        return Probe("timesync_probe", LIBRARY)

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        daemons = state.all("daemon")
        if state["container"] or (daemons and DAEMON not in daemons):
            return None
        if not daemons:
            return Change(self.ref, f"install {DAEMON}", words("timesync_install", DAEMON), LIBRARY)
        if state["active"] == "active":
            return None
        return Change(self.ref, f"{DAEMON}: start", words("timesync_start", DAEMON), LIBRARY)
