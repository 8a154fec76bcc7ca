"""An app's paths are as its tables say, where no other resource keeps them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from provision.engine.layout import Places
from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import words
from provision.release import shell
from provision.release.activation import Activation
from provision.release.layout import SLOTS, Layout

RELEASE = "@release@"
# What only `Paths` looks at: the rest are resources of their own, or an activation's, or lie where the app itself may write.
APP = (
    "repository",
    "static",
    "state",
    "owner",
    "records",
    "maintenance",
    "unfinished",
    "checked",
    "migrated",
    "migrations",
    "uv_cache",
    "builds",
    "npm_cache",
)
SLOT = ("folder", "env", "gunicorn", "sandbox", "units", "manager", "fingerprint", "static", "copied")
OF_RELEASE = ("folder", "stamp", "built", "packages", "upgraded", "record")


@dataclass(frozen=True, slots=True)
class Paths:
    """The type, owner and mode of an app's paths, and where the links of the slot that has the traffic lead; the other
    slot does not start at boot. `copied` has the modes of the process manager's files in a slot, by name.
    """

    app: str
    copied: tuple[tuple[str, int], ...] = ()

    @property
    def ref(self) -> Ref:
        return Ref("paths", self.app)

    def probe(self) -> Probe:
        return Probe("paths_probe", shell.LIBRARY, (self.app, " ".join(self.places())))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        wrong = [f"{each['path']} ({each['wrong'].replace('_', ' ')})" for each in state.records if "path" in each]
        # Where nothing serves yet, an activation will write all of them.
        if not wrong and (state["slot"] or Activation.ref_to(self.app) in earlier):
            return None
        script = words("paths_mend", self.app, " ".join(self.places()))
        return Change(
            self.ref, f"{self.app}: put right {', '.join(wrong) or 'its paths'}", script, shell.LIBRARY, phase="finish"
        )

    def places(self) -> Iterator[str]:
        """Each place as KIND,MODE,OWNER:GROUP,PATH."""
        layout = Layout(self.app)
        yield from _words(layout, APP)
        for slot in SLOTS:
            yield from _words(layout.slot(slot), SLOT)
            for name, mode in self.copied:
                yield f"file,{mode:o},root:{self.app},{layout.slot(slot).folder}/{name}"
        yield from _words(layout.release(RELEASE), OF_RELEASE)


def _words(places: Places, names: tuple[str, ...]) -> Iterator[str]:
    for name, place in places.table():
        if name in names:
            owner, group = place.owner.format(**places.names), place.group.format(**places.names)
            yield f"{place.kind},{place.mode or 0:o},{owner}:{group},{place.path.format(**places.names)}"
