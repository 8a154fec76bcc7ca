"""A release: one commit on the server's disk, checked, and its database migrated."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import library, words
from provision.release.venv import Venv
from provision.resources.file import Directory

LIBRARY = library(__file__)


@dataclass(frozen=True, slots=True)
class Release:
    """The tree of `commit` at /srv/APP/releases/ID, unmodified, with the app in `folder`."""

    app: str
    release: str
    commit: str
    folder: str

    @property
    def path(self) -> str:
        return f"/srv/{self.app}/releases/{self.release}"

    @staticmethod
    def ref_to(app: str) -> Ref:
        """What an app's release is called."""
        return Ref("release", app)

    @property
    def ref(self) -> Ref:
        return self.ref_to(self.app)

    def probe(self) -> Probe:
        return Probe("probe_releases", LIBRARY, (self.path, self.commit, self.folder))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state == (("unmodified",),):
            return None
        what = "restore release" if state else "release"
        why = " (its files were modified)" if state else ""
        script = words("export_release", self.app, self.release, self.commit, self.folder)
        return Change(self.ref, f"{self.app}: {what} {self.release}{why}", script, LIBRARY)


@dataclass(frozen=True, slots=True)
class Check:
    """The release's module can be imported, with the environment that it will have.

    `fingerprint` stands for everything that an import can depend on.
    """

    app: str
    release: str
    folder: str
    module: str
    fingerprint: str

    @property
    def ref(self) -> Ref:
        return Ref("check", self.app)

    def probe(self) -> Probe:
        return Probe("probe_marks", LIBRARY, (f"/var/lib/provision/apps/{self.app}/checked",))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state == ((self.fingerprint,),) and not rebuilt(self.app, earlier):
            return None
        script = words("check_release", self.app, self.release, self.folder, self.module, self.fingerprint)
        return Change(self.ref, f"{self.app}: check that {self.module} can be imported", script, LIBRARY)


@dataclass(frozen=True, slots=True)
class Migration:
    """The database has been migrated by this release.

    An empty `command` is Alembic's, where the release has an alembic.ini. Unless it is on `every` host, one migrates
    for all.
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
        return Probe("probe_marks", LIBRARY, (f"/var/lib/provision/apps/{self.app}/migrated",))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state == ((self.fingerprint,),) and not emptied(self.app, earlier):
            return None
        script = words("migrate_release", self.app, self.release, self.folder, self.fingerprint, self.command)
        what = self.command or "alembic upgrade head, where there is an alembic.ini"
        follow = "" if self.every else words("mark", self.app, "migrated", self.fingerprint)
        return Change(self.ref, f"{self.app}: migrate ({what})", script, LIBRARY, phase="once", follower_script=follow)


def rebuilt(app: str, earlier: Mapping[Ref, Change]) -> bool:
    return Release.ref_to(app) in earlier or Venv.ref_to(app) in earlier


def emptied(app: str, earlier: Mapping[Ref, Change]) -> bool:
    """Whether the folder where a database may be is made anew: its migrations run again, its users connect again."""
    return Directory.ref_to(f"/srv/{app}/shared") in earlier
