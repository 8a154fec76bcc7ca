"""A release goes live: it gets all of the traffic of an app."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.release import shell
from provision.release.slot import Serving, Slot
from provision.release.tree import emptied, rebuilt


@dataclass(frozen=True, slots=True)
class Activation:
    """The release serves: its slot runs with this fingerprint, is healthy and starts at boot, and the other slot is idle
    or has a preview. `again` restarts it in the other slot. If it `stops_first`, the old release ends before this one starts,
    and a failure does not bring it back.
    """

    slot: Slot
    release: str
    folder: str
    fingerprint: str
    again: bool = False
    stops_first: bool = False

    @staticmethod
    def ref_to(app: str) -> Ref:
        """What an app's activation is called."""
        return Ref("activation", app)

    @property
    def ref(self) -> Ref:
        return self.ref_to(self.slot.app)

    def probe(self) -> Probe:
        return self.slot.probe()

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        app = self.slot.app
        serving = Serving.of(state)
        why = self._why(serving, earlier)
        if why:
            stops = ("stop-first",) if self.stops_first and serving else ()
            script = self.slot.call(
                "activation_run", *stops, release=self.release, folder=self.folder, fingerprint=self.fingerprint
            )
            summary = f"{app}: activate {self.release} ({why}{'; the old release is stopped first' if stops else ''})"
            undo = "" if stops else _back(self.slot, serving)
            return Change(self.ref, summary, script, shell.LIBRARY, phase="rolling", undo=undo)
        if serving and serving.down:
            summary = f"{app}: start {serving.down.replace(' ', ', ')}"
            return Change(self.ref, summary, self.slot.call("process_keep"), shell.LIBRARY, phase="rolling")
        return None

    def _why(self, serving: Serving | None, earlier: Mapping[Ref, Change]) -> str:
        if not serving:
            return "nothing serves yet"
        app, slot = self.slot.app, serving.slot
        reasons = (
            (self.again, "restart"),
            (serving.current != self.release, f"{serving.current or 'nothing'} is active"),
            (serving.fingerprint != self.fingerprint, "its configuration changed"),
            (serving.active != "active", f"its slot {slot} is {serving.active}"),
            (serving.health != "200", f"its health check answered {serving.health}"),
            (rebuilt(app, earlier), "its files were restored"),
            (emptied(app, earlier), "its shared folder was restored"),
            (serving.reload == "yes", "its unit changed"),
            (serving.copies != "same", f"the files of slot {slot} were modified"),
            (serving.enabled != "enabled", f"its slot {slot} would not start at boot"),
            (serving.idle not in ("inactive", "failed", "unknown"), "both slots run"),
            (bool(serving.unfinished), "its last activation was not finished"),
        )
        return next((reason for wrong, reason in reasons if wrong), "")


@dataclass(frozen=True, slots=True)
class Promotion:
    """The release that can be previewed serves."""

    slot: Slot
    release: str
    folder: str

    @property
    def ref(self) -> Ref:
        return Activation.ref_to(self.slot.app)

    def probe(self) -> Probe:
        return self.slot.probe()

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        script = self.slot.call("preview_promote", release=self.release, folder=self.folder)
        summary, undo = f"{self.slot.app}: activate {self.release} (it is held)", _back(self.slot, Serving.of(state))
        return Change(self.ref, summary, script, shell.LIBRARY, phase="rolling", undo=undo)


def _back(slot: Slot, serving: Serving | None) -> str:
    """The way back to the slot that has the traffic now."""
    return slot.call("activation_revert", *([serving.slot] if serving else []))
