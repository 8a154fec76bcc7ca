"""Previews: a release runs beside the one that serves, and only those who have its token see it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.errors import PlanError
from provision.release import shell
from provision.release.activation import Activation
from provision.release.facts import PreviewedRelease
from provision.release.slot import Previewed, Serving, Slot
from provision.release.tree import emptied, rebuilt


@dataclass(frozen=True, slots=True)
class Preview:
    """The release is healthy in the idle slot, and only those who have the `token` can reach it."""

    slot: Slot
    release: str
    folder: str
    fingerprint: str
    token: str

    @staticmethod
    def ref_to(app: str) -> Ref:
        """What an app's preview is called, after the option that makes it: --hold."""
        return Ref("hold", app)

    @property
    def ref(self) -> Ref:
        return self.ref_to(self.slot.app)

    def probe(self) -> Probe:
        return self.slot.probe()

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        """Raises PlanError if nothing serves yet."""
        app = self.slot.app
        serving = Serving.of(state)
        if not serving:
            raise PlanError(
                f"{app}: nothing serves yet, so there is nothing to hold a release back from: deploy without --hold"
            )
        untouched = not (rebuilt(app, earlier) or emptied(app, earlier))
        active = (serving.current, serving.fingerprint) == (self.release, self.fingerprint)
        if untouched and (active or serving.previewed == Previewed(self.release, self.fingerprint, "200")):
            return None
        script = self.slot.call(
            "preview_start", self.token, release=self.release, folder=self.folder, fingerprint=self.fingerprint
        )
        summary = f"{app}: hold {self.release} in the slot beside {serving.slot}, without traffic"
        undo = self.slot.call("preview_drop")
        return Change(self.ref, summary, script, shell.LIBRARY, phase="rolling", undo=undo)


@dataclass(frozen=True, slots=True)
class NoPreview:
    """The preview of `release` has ended."""

    slot: Slot
    release: str

    @property
    def ref(self) -> Ref:
        return Preview.ref_to(self.slot.app)

    def probe(self) -> Probe:
        return self.slot.probe()

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        summary = f"{self.slot.app}: drop {self.release}, which is held"
        return Change(self.ref, summary, self.slot.call("preview_drop"), shell.LIBRARY, phase="rolling")


def preview_tokens(
    previews: Mapping[str, PreviewedRelease], releases: Mapping[str, str], made: Collection[Ref], token: str
) -> dict[str, str]:
    """By app, the token of the wanted release (`releases`) if it can be previewed.

    `previews` are those from before the changes in `made`; new ones have `token`.
    """
    found = {app: one.token for app, one in previews.items() if releases.get(app) == one.release}
    for app in releases:
        if Activation.ref_to(app) in made:
            found.pop(app, None)
        if token and Preview.ref_to(app) in made:
            found[app] = token
    return found
