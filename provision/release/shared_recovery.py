"""An app's shared folder, restored from a snapshot: beside first, and then in place of what there is."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import words
from provision.errors import PlanError
from provision.inventory import Host
from provision.release.recovery import Moment
from provision.release.shared import LIBRARY, variables
from provision.untrusted import word

FOLDER = r"shared\.(restored(-[a-z][a-z0-9_]*)?|before-\d{8}T\d{6}Z)"


@dataclass(frozen=True, slots=True)
class RestoredShared:
    """An app's shared folder of the backups of the server `stanza`, beside the present one; under the name `into` it stays there. Always a
    change. Where the server is `new`, its backups are those of an earlier one.
    """

    host: Host
    app: str
    moment: Moment
    stanza: str
    into: str = ""
    new: bool = False

    @property
    def ref(self) -> Ref:
        return Ref("restored-shared", self.app)

    @property
    def folder(self) -> str:
        """Its name in the app's folder."""
        return f"shared.restored-{self.into}" if self.into else "shared.restored"

    def probe(self) -> Probe:
        return Probe("shared_probe_restore", LIBRARY, (self.app, self.folder))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state["user"] != "yes" and Ref("user", self.app) not in earlier:
            raise PlanError(f"{self.app}: has no shared folder on this server yet", "invoke provision, which makes it")
        if state["apart"] and not self.into:
            raise PlanError(
                f"{self.app}: shared/ is a link or a mount of its own, and cannot be switched",
                "restore it beside with --into, or only the database with --only database",
            )
        if state["taken"] and self.into:
            raise PlanError(f"{self.app}: there is a folder {self.folder} already", "choose another name for --into")
        at = f"{self.moment.at:%Y-%m-%dT%H:%M:%S}" if self.moment.at else "-"
        earlier_first = "shared_earlier\n" if self.new and self.stanza == self.host.name else ""
        script = words("shared_restore", self.app, self.stanza, at, self.moment.snapshot or "-", self.folder)
        whence = "" if self.stanza == self.host.name else f", from the backups of {self.stanza}"
        what = f"{self.app}: restore shared/ {self._when()}{whence}, as {self.folder} beside it"
        return Change(self.ref, what, f"{variables(self.host)}{earlier_first}{script}", LIBRARY)

    def _when(self) -> str:
        if self.moment.at:
            return f"of the newest snapshot that is not from after {self.moment.at:%Y-%m-%dT%H:%M:%S}Z"
        return f"of the snapshot {self.moment.snapshot}" if self.moment.snapshot else "of the newest snapshot"


@dataclass(frozen=True, slots=True)
class SwitchedShared:
    """The restored folder is the app's shared folder, and the present one is kept under the name `kept`. Always a change."""

    host: Host
    app: str
    kept: str

    @property
    def ref(self) -> Ref:
        return Ref("switched-shared", self.app)

    def probe(self) -> Probe:
        return Probe("shared_probe_restore", LIBRARY, (self.app, self.kept))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        script = words("shared_switch", self.app, "shared.restored", self.kept)
        what = f"{self.app}: let that be shared/; keep the present one as {self.kept}"
        return Change(self.ref, what, script, LIBRARY)


@dataclass(frozen=True, slots=True)
class DiscardedShared:
    """No folder is beside an app's shared one that was kept or restored there."""

    app: str

    @property
    def ref(self) -> Ref:
        return Ref("kept-shared", self.app)

    def probe(self) -> Probe:
        return Probe("shared_probe_restore", LIBRARY, (self.app, "-"))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        names = [word(each, "kept", FOLDER) for each in state.records if "kept" in each]
        if not names:
            return None
        return Change(
            self.ref,
            f"{self.app}: remove {', '.join(names)} for ever",
            words("shared_discard", self.app, *names),
            LIBRARY,
        )


@dataclass(frozen=True, slots=True)
class SettledShared:
    """All shared folders that are meant to come back have come back, and timers back up those of this server. A change where there was an earlier one."""

    @property
    def ref(self) -> Ref:
        return Ref("backups", "shared-settled")

    def probe(self) -> Probe:
        return Probe("shared_probe_foreign", LIBRARY, ())

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if not state["foreign"] and Ref("repository", "shared") not in earlier:
            return None
        return Change(self.ref, "back up the restored shared/, from now on", "shared_settled", LIBRARY)
