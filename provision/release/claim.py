"""An app's name on a server: it is ours, or free, or the inventory says that what has it is to be adopted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Record, Ref, State
from provision.errors import PlanError
from provision.release import shell
from provision.release.layout import Layout
from provision.untrusted import line as shown

OTHERWISE = "give the app another name, or remove them if nobody needs them"


@dataclass(frozen=True, slots=True)
class Claim:
    """Users, groups and folders of the app's name are this toolkit's, or are not there, or may be adopted.

    They are ours if the server has a record of the app, which is made before them, or if the app's user is as we make
    it. Never a change: what is somebody else's is named, and stays as it is. `adopts` has the inventory's words for what
    need not (`Adopted` makes it the app's), `logins` those who log in here. An app that `leaves` does so though an adoption was not
    finished.
    """

    app: str
    adopts: tuple[str, ...] = ()
    logins: tuple[str, ...] = ()
    leaves: bool = False

    @property
    def ref(self) -> Ref:
        return Ref("claim", self.app)

    def probe(self) -> Probe:
        return probed(self.app, self.logins)

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        things = [each for each in state.records if "foreign" in each]
        if self.leaves and state["begun"]:
            return None
        for each in things:
            if each["word"] in self.adopts and each["never"]:
                raise PlanError(
                    f"{self.app}: {shown(each['foreign'], 200)} cannot be adopted, as {shown(each['never'], 300)}",
                    "change that, or give the app another name",
                )
        self._refuse([each for each in things if each["word"] not in self.adopts])
        return None

    def _refuse(self, things: Sequence[Record]) -> None:
        """Raises PlanError for these things, with the words that would allow them, if all may be adopted."""
        if not things:
            return
        said = shown(", ".join(each["foreign"] for each in things), 300)
        words = adopting(*self.adopts, *(each["word"] for each in things))
        may = "" if self.leaves or any(each["never"] for each in things) else f", or say {words} for the app"
        raise PlanError(f"{self.app}: the server has {said}, and they are not this toolkit's", f"{OTHERWISE}{may}")


def probed(app: str, logins: tuple[str, ...]) -> Probe:
    """How to find out what of the app's name is somebody else's."""
    layout = Layout(app)
    return Probe("claim_probe", shell.LIBRARY, (app, layout.shared, layout.builder, " ".join(dict.fromkeys(logins))))


def adopting(*words: str) -> str:
    """What to write in the inventory."""
    return f"adopt: [{', '.join(dict.fromkeys(words))}]"
