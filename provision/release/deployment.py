"""One release of an app on a server, and everything that it runs with."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from provision.engine.facts import SYSTEM, Facts
from provision.engine.resource import Resource, Transfer
from provision.inventory import App, Host
from provision.release.activation import Activation
from provision.release.artifacts import Artifacts, steps
from provision.release.box import box, builds_box
from provision.release.check import Check
from provision.release.environment import environment, gunicorn
from provision.release.facts import MANAGED
from provision.release.layout import Layout, directory
from provision.release.migration import Migration
from provision.release.node import node_home
from provision.release.paths import Paths
from provision.release.preview import Preview
from provision.release.process_manager import ProcessManager, process_manager
from provision.release.removal import left
from provision.release.sandbox import sandbox_file
from provision.release.settings import settings
from provision.release.slot import Health, Slot
from provision.release.takeover import Takeover
from provision.release.tree import Release
from provision.release.venv import Venv, python_home
from provision.resources.file import File


@dataclass(frozen=True)
class Deployment:
    """A release of an app on a host; each method gives the resources of one step, in order."""

    host: Host
    app: App
    facts: Facts
    commit: str
    release: str
    built_here: Path | None = None
    """Where what the controller builds for the release is, when it is to be sent."""
    upgrades: bool = False

    def built(self) -> tuple[Resource, ...]:
        """The release on the server's disk, with everything that it runs with, and no traffic yet."""
        app, folder = self.app, self.app.source.folder
        return (
            Release(app.name, self.release, self.commit, folder, self.upgrades, tuple(app.shared)),
            self._venv,
            *self._artifacts,
            *self._configuration,
            # Only now does nginx's group exist for sure.
            directory(Layout(app.name), Layout.sockets),
            Check(app.name, self.release, folder, app.module, self.fingerprint),
        )

    def migrated(self) -> tuple[Resource, ...]:
        """The app's database, migrated by the release; nothing with `migrate: false`."""
        app, environment_ = self.app, self._configuration[0]
        if not app.migrate:
            return ()
        command = app.migrate if isinstance(app.migrate, str) else ""
        fingerprint = _hash(self.release, command, environment_.content)
        every = app.migrate_on == "every"
        return (Migration(app.name, self.release, app.source.folder, fingerprint, command, every),)

    def activated(self, again: bool = False, stops_first: bool = False) -> tuple[Resource, ...]:
        """The release with all traffic (`again`: restarted; `stops_first`: the old one ends before it starts), and
        nothing left that its process manager should not read.
        """
        activation = Activation(self.slot, self.release, self.app.source.folder, self.fingerprint, again, stops_first)
        configuration = f"{Layout(self.app.name).configuration}/"
        copied = tuple((file.path.removeprefix(configuration), file.mode) for file in self._manager.copies())
        return (activation, *left(self.app, self.facts[MANAGED]), Paths(self.app.name, copied))

    def taken_over(self, old: str) -> tuple[Resource, ...]:
        """The release with all traffic and all data of the app `old`, which it migrates."""
        activation, *rest = self.activated()
        migration = next((one for one in self.migrated() if isinstance(one, Migration)), None)
        found = (Takeover(activation, old, migration),) if isinstance(activation, Activation) else ()
        return (*found, *rest)

    def previewed(self, token: str) -> tuple[Resource, ...]:
        """The release in the idle slot, for those who have the token."""
        return (Preview(self.slot, self.release, self.app.source.folder, self.fingerprint, token),)

    @cached_property
    def slot(self) -> Slot:
        """How the release's slot is started, checked and ended."""
        return slot(self.host, self.app, *self._copied)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of everything that the release runs with; if it changes, the release is activated again."""
        app = self.app
        return _hash(
            self.release,
            self.commit,
            app.module,
            app.source.folder,
            self._venv.base,
            app.requirements.file,
            app.process_manager,
            *(one.spec for one in self._artifacts),
            *app.shared,
            *(f"{prefix}={folder}" for prefix, folder in self.slot.static),
            *(file.content for file in self._copied),
        )

    @cached_property
    def _manager(self) -> ProcessManager:
        return process_manager(self.app)

    @cached_property
    def _venv(self) -> Venv:
        app, system = self.app, self.facts[SYSTEM]
        return Venv(
            app.name,
            self.release,
            app.source.folder,
            app.requirements.file,
            python_home(app),
            f"{system.distribution} {system.architecture}",
            self.host.mirrors.index or "",
            netrc=app.netrc_text,
            key=app.source.private_key,
            box=box(app),
            extras=tuple(app.requirements.extras),
            groups=tuple(app.requirements.groups),
            upgrades=self.upgrades,
        )

    @property
    def _sent(self) -> Transfer | None:
        return Transfer(self.built_here, f".provision-{self.app.name}-{self.commit}.built") if self.built_here else None

    @cached_property
    def _artifacts(self) -> tuple[Artifacts, ...]:
        """What is built for the release, if anything is."""
        app = self.app
        if not app.build:
            return ()
        on_server = app.build_on == "server"
        return (
            Artifacts(
                app.name,
                self.release,
                self.commit,
                steps(app),
                node=app.node or "" if on_server else "",
                tools=node_home(app) if on_server else "",
                npm=self.host.mirrors.npm or "",
                box=builds_box(app),
                on=app.build_on,
                sent=self._sent,
                home=self.facts[SYSTEM].home,
            ),
        )

    @cached_property
    def _configuration(self) -> tuple[File, File, File]:
        return (
            environment(self.app, self.commit, self.release),
            gunicorn(self.app, self.facts[SYSTEM].cpus),
            sandbox_file(self.app),
        )

    @cached_property
    def _copied(self) -> tuple[File, ...]:
        return (*self._configuration, *self._manager.copies())


def slot(host: Host, app: App, *copied: File) -> Slot:
    """How an app's slots are started, checked and ended; they get copies of the files in `copied`."""
    health = app.health
    return Slot(
        app=app.name,
        manager=app.process_manager,
        copies=tuple((file.path.removeprefix(f"{Layout(app.name).configuration}/"), file.sha256) for file in copied),
        health=Health(
            path=health.path,
            passes=health.passes,
            timeout=health.timeout,
            watch=health.watch,
            domain=app.domains[0] if "web" in host.roles else "",
            domains=app.asked if "web" in host.roles else (),
        ),
        drain=app.drain_seconds,
        keep=app.keep_releases,
        settings=settings(app),
        static=tuple((prefix, app.in_repository(folder)) for prefix, folder in app.static.items()),
        before=app.hooks.before or "",
        after=app.hooks.after or "",
    )


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
