"""An app's database, restored from a backup: beside first, and then in place of what there is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import quote, words
from provision.errors import PlanError
from provision.release.backups import LIBRARY
from provision.untrusted import word

DATABASE = "[a-z][a-z0-9_-]{0,62}"


@dataclass(frozen=True, slots=True)
class Moment:
    """What of the backups is meant: the newest, what there was at a time, the end of one backup, or what there was before a release migrated."""

    at: datetime | None = None
    backup: str = ""
    before: str = ""

    def __str__(self) -> str:
        if self.at:
            return f"as it was at {self.at:%Y-%m-%dT%H:%M:%S}Z"
        if self.before:
            return f"as it was before {self.before} migrated it"
        return f"from the backup {self.backup}" if self.backup else "as new as the backups have it"

    @property
    def snapshot(self) -> str:
        """The id of a snapshot of shared/, where `backup` is one."""
        return self.backup if re.fullmatch("[0-9a-f]{8}", self.backup) else ""

    def options(self, app: str) -> tuple[str, ...]:
        """How pgBackRest is told."""
        if self.at:
            return ("--type=time", f"--target={self.at:%Y-%m-%d %H:%M:%S.%f}+00", "--target-action=promote")
        if self.before:
            return ("--type=name", f"--target={app}/{self.before}", "--target-action=promote")
        if self.backup:
            return (f"--set={self.backup}", "--type=immediate", "--target-action=promote")
        return ("--type=default",)


@dataclass(frozen=True, slots=True)
class RestoredDatabase:
    """An app's database of the backups of the server `stanza`, in place of the present one, which is kept under the name `kept`; or, if
    `into` is not empty, beside it under that name. Always a change. `here` is what the repository calls this server. Where that is `new`, its
    backups are those of an earlier one. If it is `served`, the app is on other hosts; of these, `restart` are to be told that the database is
    another one.
    """

    app: str
    moment: Moment
    stanza: str
    here: str
    kept: str
    into: str = ""
    new: bool = False
    served: bool = False
    restart: tuple[str, ...] = ()

    @property
    def ref(self) -> Ref:
        return Ref("restored-database", self.app)

    @property
    def _beside(self) -> str:
        return f"{self.app}_restored"

    def probe(self) -> Probe:
        return Probe("recovery_probe", LIBRARY, (self.app, self.into or self.kept, "-" if self.into else self._beside))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state["role"] != "ours" and Ref("database", self.app) not in earlier:
            raise PlanError(f"{self.app}: has no database on this server yet", "invoke provision, which makes it")
        if state["taken"]:
            raise PlanError(
                f"PostgreSQL has a database {self.into or self.kept} already", "choose another name for --into"
            )
        if state["beside"]:
            raise PlanError(
                f"{self.app}: PostgreSQL has a database {self._beside} that no restore made", "give it another name"
            )
        if self.served and state["user"]:
            raise PlanError(
                f"{self.app}: this server has a user of this name, who is somebody else, and PostgreSQL lets that user in as the app",
                "rename that user, or the app",
            )
        if self.served and self.moment.before:
            raise PlanError(
                f"{self.app}: where the database is on another host than the app, no point before a migration is noted",
                "name a time with --at",
            )
        new = self.into or self._beside
        own = "yes" if self.stanza == self.here else "no"
        script = f"backups_stanza={quote(self.here)}\n"
        script += "recovery_earlier\n" if self.new and own == "yes" else ""
        if self.served:
            script += f"backups_served={quote(self.app)}\n"
        script += words("recovery_restore", self.app, new, self.stanza, own, *self.moment.options(self.app))
        whence = "" if own == "yes" else f", from the backups of {self.stanza}"
        what = f"{self.app}: restore its database {self.moment}{whence}"
        if self.into:
            return Change(self.ref, f"{what}, as the database {self.into} beside it", script, LIBRARY)
        script += f"\n{words('recovery_switch', self.app, new, self.kept)}"
        if self.restart:
            begins = (
                f"invoke restart --host NAME --app {self.app}, for {' and '.join(self.restart)}, begins with new ones"
            )
            script += f"\n{words('notice', f'{self.app}: its connections to the database have ended: {begins}')}"
        return Change(self.ref, f"{what}; keep the present one as {self.kept}", script, LIBRARY)


@dataclass(frozen=True, slots=True)
class DiscardedDatabases:
    """No database of an app's is there but its own: those that were kept or restored beside go."""

    app: str

    @property
    def ref(self) -> Ref:
        return Ref("kept-databases", self.app)

    def probe(self) -> Probe:
        return Probe("recovery_probe", LIBRARY, (self.app, "-", "-"))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        names = [word(each, "kept", DATABASE) for each in state.records if "kept" in each]
        if not names:
            return None
        script = words("recovery_discard", self.app, *names)
        return Change(self.ref, f"{self.app}: drop {', '.join(names)} for ever", script, LIBRARY)


@dataclass(frozen=True, slots=True)
class Settled:
    """All that is meant to come back from the backups of an earlier PostgreSQL has come back, and timers make backups of this one. A change where
    there was an earlier one.
    """

    @property
    def ref(self) -> Ref:
        return Ref("backups", "settled")

    def probe(self) -> Probe:
        return Probe("recovery_probe_foreign", LIBRARY, ())

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if not state["foreign"] and Ref("archive", "postgresql") not in earlier:
            return None
        return Change(self.ref, "back up what was restored, from now on", "recovery_settled", LIBRARY)
