"""Debian packages, by apt."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import library, words

LIBRARY = library(__file__)


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
        return Change(self.ref, f"install {', '.join(missing)}", words("package_install", *missing), LIBRARY)
