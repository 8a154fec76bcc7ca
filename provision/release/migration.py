"""The migration of an app's database."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import words
from provision.inventory import App
from provision.release import shell
from provision.release.facts import DoneMigration
from provision.release.tree import emptied
from provision.resources import postgresql


def staying(app: str, release: str, done: Sequence[DoneMigration]) -> str:
    """One line on the migrations that stay although an older release is activated; empty if there are none."""
    own = max((number for number, each in enumerate(done) if (each.app, each.release) == (app, release)), default=-1)
    later = [each for each in done[own + 1 :] if each.app == app and each.release > release]
    listed = "; ".join(f"{each.what} ({each.release})" for each in later)
    return f"{app}: no migration is undone; the database stays migrated {listed}" if later else ""


def only_migrating(app: App) -> tuple[str, ...]:
    """The names of the app's shell scripts that its migration runs, and nothing else of it."""
    others = " ".join(filter(None, (app.hooks.before, app.hooks.after, *app.processes.values())))
    named = re.findall(r"[\w.-]+\.sh\b", app.migrate if isinstance(app.migrate, str) else "")
    return tuple(name for name in named if name not in others)


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

    @staticmethod
    def ref_to(app: str) -> Ref:
        """What an app's migration is called."""
        return Ref("migration", app)

    @property
    def ref(self) -> Ref:
        return self.ref_to(self.app)

    def probe(self) -> Probe:
        return Probe("mark_probe", shell.LIBRARY, (self.app, "migrated"))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state["mark"] == self.fingerprint and not emptied(self.app, earlier):
            return None
        script = words("migration_run", self.app, self.release, self.folder, self.fingerprint, self.command)
        what = f"{self.app}: migrate ({self.command or 'alembic upgrade head, where there is an alembic.ini'})"
        follow = "" if self.every else words("mark_write", self.app, "migrated", self.fingerprint)
        library = f"{postgresql.LIBRARY}{shell.LIBRARY}"
        return Change(self.ref, what, script, library, phase="once", follower_script=follow)


@dataclass(frozen=True, slots=True)
class KnownRevision:
    """The release's Alembic knows the revision that later releases have brought the database to, where it is asked at the start.

    That is where the `hook` before its start names Alembic, a shell script does that is none of the `scripts` which only migrate, or its code
    imports Alembic's Python interface.
    """

    app: str
    release: str
    folder: str
    hook: bool
    scripts: tuple[str, ...] = ()

    @property
    def ref(self) -> Ref:
        return Ref("revision", self.app)

    def probe(self) -> Probe:
        item = (self.app, self.release, self.folder, "yes" if self.hook else "no", " ".join(self.scripts))
        return Probe("migration_uses_probe", shell.LIBRARY, item)

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state["uses"] != "yes":
            return None
        script = words("migration_check", self.app, self.release, self.folder)
        return Change(
            self.ref, f"{self.app}: check that {self.release} knows the database's revision", script, shell.LIBRARY
        )
