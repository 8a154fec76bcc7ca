"""A release: one commit on the server's disk, checked, migrated, and activated."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, State
from provision.engine.shell import library, words

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

    @property
    def id(self) -> str:
        return f"release:{self.app}"

    def probe(self) -> Probe:
        return Probe("probe_releases", LIBRARY, (self.path, self.commit, self.folder))

    def plan(self, state: State, before: Mapping[str, Change]) -> Change | None:
        if state == (("unmodified",),):
            return None
        what = "restore release" if state else "release"
        why = " (its files were modified)" if state else ""
        script = words("export_release", self.app, self.release, self.commit, self.folder)
        return Change(self.id, f"{self.app}: {what} {self.release}{why}", script, LIBRARY)


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
    def id(self) -> str:
        return f"check:{self.app}"

    def probe(self) -> Probe:
        return Probe("probe_marks", LIBRARY, (f"/var/lib/provision/apps/{self.app}/checked",))

    def plan(self, state: State, before: Mapping[str, Change]) -> Change | None:
        if state == ((self.fingerprint,),) and not _rebuilt(self.app, before):
            return None
        script = words("check_release", self.app, self.release, self.folder, self.module, self.fingerprint)
        return Change(self.id, f"{self.app}: check that {self.module} can be imported", script, LIBRARY)


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
    def id(self) -> str:
        return f"migration:{self.app}"

    def probe(self) -> Probe:
        return Probe("probe_marks", LIBRARY, (f"/var/lib/provision/apps/{self.app}/migrated",))

    def plan(self, state: State, before: Mapping[str, Change]) -> Change | None:
        if state == ((self.fingerprint,),) and not _emptied(self.app, before):
            return None
        script = words("migrate_release", self.app, self.release, self.folder, self.fingerprint, self.command)
        what = self.command or "alembic upgrade head, where there is an alembic.ini"
        follow = "" if self.every else words("mark", self.app, "migrated", self.fingerprint)
        return Change(self.id, f"{self.app}: migrate ({what})", script, LIBRARY, phase="migrate", elsewhere=follow)


@dataclass(frozen=True, slots=True)
class Activation:
    """The release serves: its slot runs with this fingerprint, is healthy, enabled, and the only one that runs.

    `environment` and `configuration` are the SHA-256 of the slot's two files. `domain` is what the health check
    asks for, also through nginx after the switch; empty where there is no nginx. Times in seconds. `again` wants it started anew.
    `before` and `after` are the hooks' commands, `processes` the names of more processes than the web app.
    """

    app: str
    release: str
    fingerprint: str
    environment: str
    configuration: str
    health: str
    timeout: int
    domain: str
    keep: int
    again: bool = False
    folder: str = "."
    before: str = ""
    after: str = ""
    processes: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"activation:{self.app}"

    def probe(self) -> Probe:
        item = (self.app, self.health, self.environment, self.configuration, self.domain)
        return Probe("probe_activations", LIBRARY, item)

    def plan(self, state: State, before: Mapping[str, Change]) -> Change | None:
        why = self._why(state, before)
        if not why:
            return None
        script = words(
            "activate",
            self.app,
            self.release,
            self.fingerprint,
            self.health,
            str(self.timeout),
            self.domain,
            str(self.keep),
            self.folder,
            self.before,
            self.after,
            *self.processes,
        )
        back = words("revert", self.app, self.health, str(self.timeout), self.domain, *self.processes)
        summary = f"{self.app}: activate {self.release} ({why})"
        return Change(self.id, summary, script, LIBRARY, phase="activate", undo=back)

    def _why(self, state: State, before: Mapping[str, Change]) -> str:
        if not state:
            return "nothing serves yet"
        slot, fingerprint, active, enabled, reload_needed, snapshot, idle, current, health = state[0]
        reasons = (
            (self.again, "restart"),
            (current != self.release, f"{current or 'nothing'} is active"),
            (fingerprint != self.fingerprint, "its configuration changed"),
            (active != "active", f"its slot {slot} is {active}"),
            (health != "200", f"its health check answered {health}"),
            (_rebuilt(self.app, before), "its files were restored"),
            (_emptied(self.app, before), "its shared folder was restored"),
            (
                f"file:/etc/systemd/system/{self.app}@.service" in before or reload_needed == "yes",
                "its unit changed",
            ),
            (snapshot != "same", f"the files of slot {slot} were modified"),
            (enabled != "enabled", f"its slot {slot} would not start at boot"),
            (idle not in ("inactive", "failed", "unknown"), "both slots run"),
        )
        return next((reason for wrong, reason in reasons if wrong), "")


def _rebuilt(app: str, before: Mapping[str, Change]) -> bool:
    return f"release:{app}" in before or f"venv:{app}" in before


def _emptied(app: str, before: Mapping[str, Change]) -> bool:
    """Whether the folder where a database may be is made anew: its migrations run again, its users connect again."""
    return f"directory:/srv/{app}/shared" in before
