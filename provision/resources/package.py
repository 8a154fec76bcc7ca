"""Debian packages, by apt."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Finding, Probe, Ref, State
from provision.engine.shell import library, words
from provision.errors import PlanError
from provision.resources import sources
from provision.untrusted import line as shown

LIBRARY = f"{sources.LIBRARY}{library(__file__)}"


@dataclass(frozen=True, slots=True)
class Packages:
    """Debian packages that are installed, in any version. `purpose` tells one set from another in a plan."""

    purpose: str
    names: tuple[str, ...]

    @property
    def ref(self) -> Ref:
        return Ref("packages", self.purpose)

    def probe(self) -> Probe:
        return Probe("package_probe", LIBRARY, (" ".join(self.names),))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        present = state.all("name")
        missing = [name for name in self.names if name not in present]
        if not missing:
            return None
        held = [name for name in state.all("held") if name in missing]
        if held:
            raise PlanError(
                f"{', '.join(held)}: not installed, and apt was told to leave it so (apt-mark hold)",
                f"apt-mark unhold {' '.join(held)}",
            )
        return Change(self.ref, f"install {', '.join(missing)}", words("package_install", *missing), LIBRARY)


@dataclass(frozen=True, slots=True)
class PackageManager:
    """apt can install the packages of these names at once. Never a change: whoever uses it is waited for, and what dpkg left undone is
    finished. Where one of them is not installed, apt's sources are looked at, but not asked.
    """

    names: tuple[str, ...] = ()

    @property
    def ref(self) -> Ref:
        return Ref("apt", "state")

    def probe(self) -> Probe:
        return Probe("package_state_probe", LIBRARY, (" ".join(self.names),))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        return None

    def findings(self, state: State, planned: Mapping[Ref, Change] | None) -> tuple[Finding, ...]:
        if planned is not None and not any(ref.kind == "packages" for ref in planned):
            return ()
        found: list[Finding] = []
        if state["booting"]:
            what = "cloud-init is not done with the server's first boot, and a deploy waits for it"
            found.append(Finding("apt", "warn", what, "cloud-init status --wait on the server says when it is done"))
        if state["busy"]:
            what = f"another program is using apt, and a deploy waits for it: {shown(state['busy'], 100)}"
            found.append(Finding("apt", "warn", what, "let it end"))
        if state["interrupted"]:
            what = "dpkg was interrupted on the server, and a deploy finishes what it began"
            found.append(Finding("apt", "warn", what, "dpkg --configure -a does so now"))
        if planned is not None:
            found += sources.known(state)
        return tuple(found) or (Finding("apt", "ok", "apt and dpkg are idle, and nothing is left undone"),)
