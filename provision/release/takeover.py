"""An app goes on under another name: its release serves in the place of the old app, with the data of that."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from provision.engine.resource import Change, Probe, Ref, State
from provision.errors import PlanError
from provision.release import shell
from provision.release.activation import Activation
from provision.release.layout import Layout
from provision.release.migration import Migration
from provision.resources import postgresql


@dataclass(frozen=True, slots=True)
class Takeover:
    """The release serves as in `activation`, and the app `old` does not; its database and what it had in its shared folder are this app's.

    They need not be as this release wants them, so the `migration` comes in between. If anything fails, the old app has all of it back.
    """

    activation: Activation
    old: str
    migration: Migration | None

    @property
    def ref(self) -> Ref:
        return self.activation.ref

    def probe(self) -> Probe:
        probe = self.activation.probe()
        return Probe("takeover_probe", shell.LIBRARY, (self.old, *probe.item))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        app, shared = self.activation.slot.app, Layout(self.old).shared
        begun = state["takes"] == self.old
        if state["serves"] and not begun:
            raise PlanError(
                f"{app}: renamed_from names {self.old}, and both have served on this server, each with its own data",
                f"take renamed_from out, or remove the one that is to go: invoke remove --app {self.old}",
            )
        if state["apart"]:
            raise PlanError(
                f"{app}: {shared} is a link, or not on the file system of {Layout(app).home}, and so cannot be renamed",
                f"remove {self.old} without its data (invoke remove --app {self.old}), deploy, and move the data yourself",
            )
        serving = State(row for row in state if row[0].startswith("slot="))
        change = self.activation.plan(serving, earlier)
        if not change:
            return None
        migration = self.migration.plan(State(), {}) if self.migration else None
        one = self.activation
        script = one.slot.call(
            "takeover_run",
            self.old,
            *((migration.script,) if migration else ()),
            release=one.release,
            folder=one.folder,
            fingerprint=one.fingerprint,
        )
        summary = f"{app}: takes over from {self.old}, with its data: activate {one.release}"
        library = f"{postgresql.LIBRARY}{change.library}"
        return replace(change, summary=summary, script=script, library=library, undo="", phase="rolling")
