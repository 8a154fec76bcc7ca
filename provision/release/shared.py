"""Backups of the apps' shared folders on a server: restic's files, its timers, and its repository."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine import apply
from provision.engine.layout import PRELUDE as TOOLKIT
from provision.engine.resource import Change, Probe, Ref, Resource, State
from provision.engine.shell import joined, quote, words
from provision.inventory import App, Host
from provision.inventory.backups import Backups
from provision.release import backups, sandbox, shell
from provision.release.backup_layout import RESTIC, SharedBackupPlaces
from provision.release.backup_units import service
from provision.release.environment import quoted
from provision.release.layout import PRELUDE, directory, file
from provision.release.systemd import UNITS
from provision.resources.dropin import DropIn
from provision.resources.file import File
from provision.resources.package import Packages
from provision.resources.service import Service
from provision.resources.user import Group, User

PLACES = SharedBackupPlaces()
# With that of databases before it, a probe of both has it once.
LIBRARY = f"{backups.LIBRARY}{shell.text('shared')}{shell.text('shared_recovery')}"
STATUS = joined(TOOLKIT, PRELUDE, shell.text("shared"))
TIMERS = ("full", "differential", "check", "drill")


def shared_apps(host: Host) -> list[App]:
    """The apps whose shared folders are backed up."""
    if not host.backups or "app" not in host.roles:
        return []
    return [app for app in host.apps.values() if app.backup_shared]


def shared_backed_up(host: Host) -> tuple[Resource, ...]:
    """All that makes the backups of a host's shared folders; nothing of it where the inventory has none."""
    wanted = host.backups
    if not wanted or not shared_apps(host):
        return (NoSharedBackups(),)
    user = User(RESTIC, "/nonexistent")
    files = (file(PLACES, SharedBackupPlaces.settings, settings(wanted), secret=True), *_login(wanted))
    known = "".join((host.name, *(each.content for each in files), *(app.name for app in shared_apps(host))))
    return (
        Packages("shared-backups", ("restic", "sqlite3", *(("openssh-client",) if wanted.sftp else ()))),
        Group(RESTIC),
        user,
        directory(PLACES, SharedBackupPlaces.configuration),
        *files,
        directory(PLACES, SharedBackupPlaces.state),
        directory(PLACES, SharedBackupPlaces.cache),
        file(PLACES, SharedBackupPlaces.program, program(host)),
        *_units(),
        SharedRepository(host, hashlib.sha256(known.encode()).hexdigest()[:16]),
        *(resource for name in TIMERS for resource in _timer(wanted, name)),
    )


def settings(wanted: Backups) -> str:
    """What restic has in its environment. Never print it."""
    values = {"RESTIC_PASSWORD": wanted.passphrase}
    if wanted.s3:
        values |= {
            "AWS_ACCESS_KEY_ID": wanted.access_key or "",
            "AWS_SECRET_ACCESS_KEY": wanted.secret_key or "",
            "AWS_DEFAULT_REGION": wanted.region,
        }
    return "# Written by provision.\n" + "".join(f"{name}={quoted(value)}\n" for name, value in values.items())


def _login(wanted: Backups) -> tuple[File, ...]:
    if not wanted.sftp:
        return ()
    return (
        file(PLACES, SharedBackupPlaces.key, wanted.private_key, secret=True),
        file(PLACES, SharedBackupPlaces.known_hosts, "".join(f"{each}\n" for each in wanted.host_key)),
    )


def variables(host: Host) -> str:
    """What shared.sh reads of a host that has backups."""
    wanted = host.backups
    if not wanted:
        raise ValueError(f"{host.name} has no backups")
    url = ssh = ""
    if wanted.s3:
        url = f"s3:https://{wanted.s3.endpoint}/{wanted.s3.name}{wanted.folder}"
    elif wanted.sftp:
        url = f"sftp:{wanted.sftp.user}@{wanted.sftp.host}:{wanted.folder}"
        ssh = (
            f"ssh -F /dev/null -i {PLACES.key} -o UserKnownHostsFile={PLACES.known_hosts} -o StrictHostKeyChecking=yes -o BatchMode=yes"
            " -o IdentitiesOnly=yes -o ConnectTimeout=20 -o ServerAliveInterval=20"
            f" -p {wanted.sftp.port} {wanted.sftp.user}@{wanted.sftp.host} -s sftp"
        )
    values = {
        "stanza": host.name,
        "place": wanted.local,
        "url": url,
        "ssh": ssh,
        "apps": " ".join(app.name for app in shared_apps(host)),
        "keep": str(wanted.keep),
    }
    return "".join(f"shared_{name}={quote(value)}\n" for name, value in values.items())


def program(host: Host) -> str:
    """What the timers run, with all that it needs, and what runs as an app in its box."""
    return "".join(
        (
            "#!/bin/sh\n# Written by provision.\nset -eu\n",
            apply.LIBRARY,
            PRELUDE,
            sandbox.LIBRARY,
            shell.text("shared"),
            shell.text("shared_recovery"),
            f'{variables(host)}"$@"\n',
        )
    )


def _units() -> tuple[Resource, ...]:
    """The services that the timers start."""
    made = (
        ("provision-shared-backup@", "A backup of the apps' shared folders", "shared_make %i"),
        ("provision-shared-backup-check", "A check of the repository of shared folders", "shared_check"),
        ("provision-shared-backup-drill", "A restore of the newest shared folders, for practice", "shared_drill"),
    )
    return tuple(
        DropIn(
            f"{UNITS}/{name}.service",
            # A repository may be a folder below /home.
            service(what, PLACES.program, command, home="read-only"),
            "systemctl daemon-reload",
        )
        for name, what, command in made
    )


def _timer(wanted: Backups, name: str) -> tuple[Resource, ...]:
    unit = f"provision-shared-backup{'-' if name in ('check', 'drill') else '@'}{name}.service"
    timer = File(
        f"{UNITS}/provision-shared-backup-{name}.timer",
        backups.TIMER.format(what=f"Backups of shared folders: {name}", at=wanted.calendar(name), unit=unit),
    )
    return (timer, Service(f"provision-shared-backup-{name}.timer", (timer.ref,)))


@dataclass(frozen=True, slots=True)
class SharedRepository:
    """restic's repository of a host is there, and can be read. `digest` stands for what it is reached with, and for whose folders it gets."""

    host: Host
    digest: str

    @property
    def ref(self) -> Ref:
        return Ref("repository", "shared")

    def probe(self) -> Probe:
        return Probe("shared_probe", LIBRARY, ())

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state["settled"] == self.digest:
            return None
        script = f"{variables(self.host)}{words('shared_enable', self.digest)}"
        return Change(self.ref, "shared/: make the repository ready, and back up for the first time", script, LIBRARY)


@dataclass(frozen=True, slots=True)
class NoSharedBackups:
    """Nothing backs up shared folders. What there is of them in the repository stays."""

    @property
    def ref(self) -> Ref:
        return Ref("backups", "shared-none")

    def probe(self) -> Probe:
        return Probe("shared_probe_gone", LIBRARY, ())

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if not state["there"]:
            return None
        what = "remove what backs up shared/; the repository stays as it is"
        return Change(self.ref, what, "shared_remove", LIBRARY)
