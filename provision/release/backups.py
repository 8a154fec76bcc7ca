"""Backups on a server: pgBackRest's files, its timers, and PostgreSQL's archive."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from provision.engine import apply
from provision.engine.layout import PRELUDE as TOOLKIT
from provision.engine.resource import Change, Probe, Ref, Resource, State
from provision.engine.shell import joined, quote, words
from provision.errors import PlanError
from provision.inventory import Host
from provision.inventory.backups import Backups
from provision.release import sandbox, shell
from provision.release.backup_layout import BackupPlaces
from provision.release.backup_units import service
from provision.release.layout import PRELUDE, directory, file
from provision.release.systemd import UNITS
from provision.resources import postgresql
from provision.resources.dropin import DropIn
from provision.resources.file import File
from provision.resources.package import Packages
from provision.resources.service import Service
from provision.untrusted import line as shown

PLACES = BackupPlaces()
LIBRARY = joined(shell.LIBRARY, postgresql.LIBRARY, shell.text("backups"), shell.text("recovery"))
STATUS = joined(TOOLKIT, PRELUDE, postgresql.LIBRARY, shell.text("backups"))
ARCHIVES = f"pgbackrest --config-path={PLACES.configuration} "
# pgBackRest 2.46 was the first with SFTP; these have an older one.
WITHOUT_SFTP = ("debian11", "debian12", "ubuntu22.04")
# pgBackRest 2.39 was the first that bundles small files.
WITHOUT_BUNDLES = ("debian11", "ubuntu22.04")
TIMERS = ("full", "differential", "check", "drill")
TIMER = """\
# {what}. Written by provision.
[Unit]
Description={what}

[Timer]
OnCalendar={at}
Persistent=true
Unit={unit}

[Install]
WantedBy=timers.target
"""


def backed_up_databases(host: Host) -> list[str]:
    """The apps whose databases are backed up on this host, which may run on others."""
    return [*_queries(host)] if host.backups else []


def _queries(host: Host) -> dict[str, str]:
    """By app whose database is on the host, what a drill asks that; empty for nothing."""
    apps = host.apps.values() if "app" in host.roles else ()
    return {app.name: app.own_database.check or "" for app in apps if app.own_database} | host.serves


def backed_up(host: Host, distribution: str) -> tuple[Resource, ...]:
    """All that makes the backups of a host's databases; nothing of it where the inventory has none."""
    wanted = host.backups
    if not wanted or not backed_up_databases(host):
        return (NoBackups(),)
    files = (
        file(PLACES, BackupPlaces.settings, settings(wanted, distribution), secret=True),
        *_login(wanted),
    )
    return (
        # PostgreSQL asks it for the name of the user that systemd makes for a moment, for an app that has none here.
        Packages("backups", ("pgbackrest", *(("libnss-systemd",) if host.serves else ()))),
        directory(PLACES, BackupPlaces.configuration),
        directory(PLACES, BackupPlaces.included),
        *files,
        directory(PLACES, BackupPlaces.state),
        file(PLACES, BackupPlaces.program, program(host)),
        *units(),
        PostgresArchive(
            host.name,
            wanted.local,
            hashlib.sha256("".join((host.name, *(each.content for each in files))).encode()).hexdigest()[:16],
            sftp=wanted.sftp is not None,
            distribution=distribution,
        ),
        *(resource for name in TIMERS for resource in _timer(wanted, name)),
    )


def settings(wanted: Backups, distribution: str = "") -> str:
    """pgBackRest's settings. Never print them."""
    sftp = wanted.sftp
    where = {"repo1-path": wanted.folder}
    if sftp:
        where |= {
            "repo1-type": "sftp",
            "repo1-sftp-host": sftp.host,
            "repo1-sftp-host-port": str(sftp.port),
            "repo1-sftp-host-user": sftp.user,
            "repo1-sftp-host-key-hash-type": "sha256",
            "repo1-sftp-private-key-file": PLACES.key,
            "repo1-sftp-known-host": PLACES.known_hosts,
        }
    if wanted.s3:
        where |= {
            "repo1-type": "s3",
            "repo1-s3-bucket": wanted.s3.name,
            "repo1-s3-endpoint": wanted.s3.endpoint,
            "repo1-s3-region": wanted.region,
            "repo1-s3-key": wanted.access_key or "",
            "repo1-s3-key-secret": wanted.secret_key or "",
            # Other servers than Amazon's seldom have a name for each bucket.
            "repo1-s3-uri-style": "host" if wanted.s3.endpoint.endswith("amazonaws.com") else "path",
        }
    options = {
        **where,
        "repo1-cipher-type": "aes-256-cbc",
        "repo1-cipher-pass": wanted.passphrase,
        "repo1-retention-full": str(wanted.keep),
        **({} if distribution in WITHOUT_BUNDLES else {"repo1-bundle": "y"}),
        "compress-type": "zst",
        "start-fast": "y",
        # A repository that stays away must not fill the disk with what it has not got yet.
        "archive-push-queue-max": str(4 << 30),
        # Its default is in /tmp, where any user could have it write its lock over a file of PostgreSQL's.
        "lock-path": "/run/postgresql/pgbackrest",
        "log-level-file": "off",
        "log-level-console": "warn",
    }
    return "# Written by provision.\n[global]\n" + "".join(f"{name}={value}\n" for name, value in options.items())


def _login(wanted: Backups) -> tuple[File, ...]:
    if not wanted.sftp:
        return ()
    return (
        file(PLACES, BackupPlaces.key, wanted.private_key, secret=True),
        file(PLACES, BackupPlaces.known_hosts, "".join(f"{each}\n" for each in wanted.host_key)),
    )


def program(host: Host) -> str:
    """What the timers run, with all that it needs."""
    apps = _queries(host)
    queries = "".join(f"    {name}) printf '%s' {quote(query)} ;;\n" for name, query in apps.items() if query)
    return "".join(
        (
            "#!/bin/sh\n# Written by provision.\nset -eu\n",
            apply.LIBRARY,
            PRELUDE,
            sandbox.LIBRARY,
            shell.text("command"),
            postgresql.LIBRARY,
            shell.text("backups"),
            shell.text("recovery"),
            f"backups_stanza={quote(host.name)}\nbackups_apps={quote(' '.join(apps))}\n",
            f"backups_served={quote(' '.join(host.serves))}\n",
            f'backups_query() {{ case $1 in\n{queries}    *) ;;\nesac; }}\n"$@"\n',
        )
    )


def units() -> tuple[Resource, ...]:
    """The services that the timers start."""
    made = (
        ("provision-backup@", "A backup of PostgreSQL", "backups_make %i"),
        ("provision-backup-check", "A check of PostgreSQL's archive", "backups_check"),
        ("provision-backup-drill", "A restore of the newest backup, for practice", "recovery_drill"),
    )
    return tuple(
        DropIn(
            f"{UNITS}/{name}.service",
            service(
                what,
                PLACES.program,
                command,
                after="postgresql.service",
                # It runs psql as postgres.
                capabilities="CAP_SETGID CAP_SETUID",
            ),
            "systemctl daemon-reload",
        )
        for name, what, command in made
    )


def _timer(wanted: Backups, name: str) -> tuple[Resource, ...]:
    unit = {"full": "provision-backup@full", "differential": "provision-backup@diff"}.get(
        name, f"provision-backup-{name}"
    )
    timer = File(
        f"{UNITS}/provision-backup-{name}.timer",
        TIMER.format(what=f"Backups of PostgreSQL: {name}", at=wanted.calendar(name), unit=f"{unit}.service"),
    )
    return (timer, Service(f"provision-backup-{name}.timer", (timer.ref,)))


@dataclass(frozen=True, slots=True)
class PostgresArchive:
    """PostgreSQL archives all that it writes to a repository that has a place for it. `digest` stands for what that is reached with.

    `folder` is a repository on the server. An archive that somebody else set up is left alone: with two, each would miss what the other got.
    """

    stanza: str
    folder: str
    digest: str
    sftp: bool = False
    distribution: str = ""

    @property
    def ref(self) -> Ref:
        return Ref("archive", "postgresql")

    def probe(self) -> Probe:
        return Probe("backups_probe", LIBRARY, ())

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if self.sftp and (_older(state["tool"]) if state["tool"] else self.distribution in WITHOUT_SFTP):
            raise PlanError(
                f"backups.repository is at sftp://, and pgBackRest of {self.distribution} cannot use that (2.46 and newer can)",
                "name a folder, such as a mount of another machine's, or use Debian 13",
            )
        strange = state["library"] or state["command"]
        ours = not state["library"] and strange.startswith(ARCHIVES)
        if strange not in ("", "(disabled)") and not ours:
            raise PlanError(
                f"PostgreSQL on this server archives by somebody else's word already: {shown(strange, 120)}",
                "remove backups from the inventory, or reset archive_command and archive_library in PostgreSQL",
            )
        ready = state["settled"] == f"{self.digest} {state['cluster']}"
        archives = ours and f" --stanza={self.stanza} " in strange and state["timeout"] in ("60", "1min")
        if ready and archives and state["mode"] in ("on", "always"):
            return None
        what = [] if ready else ["make the repository ready"]
        what += [] if archives else ["archive all that it writes"]
        restarts = "" if state["mode"] in ("on", "always") else ", which restarts it once"
        script = f"backups_stanza={quote(self.stanza)}\n{words('backups_enable', self.folder, self.digest)}"
        return Change(self.ref, f"PostgreSQL: {', '.join(what) or 'archive'}{restarts}", script, LIBRARY)


def _older(version: str) -> bool:
    """Whether a version of pgBackRest is older than 2.46."""
    numbers: Sequence[str] = version.split("-")[0].split(".")
    return tuple(int(each) for each in numbers[:2] if each.isdigit()) < (2, 46)


@dataclass(frozen=True, slots=True)
class NoBackups:
    """Nothing makes backups on the server. What there is of them in the repository stays."""

    @property
    def ref(self) -> Ref:
        return Ref("backups", "none")

    def probe(self) -> Probe:
        return Probe("backups_probe_gone", LIBRARY, ())

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if not state["there"]:
            return None
        what = "remove what makes backups, which restarts PostgreSQL once; the repository stays as it is"
        return Change(self.ref, what, "backups_remove", LIBRARY)
