"""The migration of an app's database."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import words
from provision.release import shell
from provision.release.tree import emptied


@dataclass(frozen=True, slots=True)
class Migration:
    """The database has been migrated by this release.

    An empty `command` means Alembic's, if the release has an alembic.ini. The first host migrates for all, unless `every`
    host does.
    """

    app: str
    release: str
    folder: str
    fingerprint: str
    command: str = ""
    every: bool = False

    @property
    def ref(self) -> Ref:
        return Ref("migration", self.app)

    def probe(self) -> Probe:
        return Probe("mark_probe", shell.LIBRARY, (self.app, "migrated"))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state["mark"] == self.fingerprint and not emptied(self.app, earlier):
            return None
        script = words("migration_run", self.app, self.release, self.folder, self.fingerprint, self.command)
        what = f"{self.app}: migrate ({self.command or 'alembic upgrade head, where there is an alembic.ini'})"
        follow = "" if self.every else words("mark_write", self.app, "migrated", self.fingerprint)
        return Change(self.ref, what, script, shell.LIBRARY, phase="once", follower_script=follow)
