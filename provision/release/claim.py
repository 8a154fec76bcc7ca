"""An app's name on a server: it is ours, or free."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.errors import PlanError
from provision.release import shell
from provision.release.layout import Layout
from provision.untrusted import line as shown


@dataclass(frozen=True, slots=True)
class Claim:
    """Users, groups and folders of the app's name are this toolkit's, or are not there.

    They are ours if the server has a record of the app, which is made before them, or if the app's user is as we make
    it. Never a change: what is somebody else's is named, and stays as it is.
    """

    app: str

    @property
    def ref(self) -> Ref:
        return Ref("claim", self.app)

    def probe(self) -> Probe:
        layout = Layout(self.app)
        return Probe("claim_probe", shell.LIBRARY, (self.app, layout.shared, layout.builder))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state:
            raise PlanError(
                f"{self.app}: the server has {shown(state['foreign'], 300)}, and they are not this toolkit's",
                "give the app another name, or remove them if nobody needs them",
            )
        return None
