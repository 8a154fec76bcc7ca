"""Questions to servers about their apps: the calls of status.sh, and the answers."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from provision.engine.layout import PRELUDE
from provision.engine.resource import record
from provision.engine.shell import joined, words
from provision.inventory import GENERATE, Host
from provision.release import backup_status, cache_status, database_status, present, sandbox, shell
from provision.release.backup_status import BackupState
from provision.release.backups import backed_up_databases
from provision.release.cache_status import CacheState
from provision.release.database_status import DatabaseState
from provision.release.present import PresentApp
from provision.release.process_manager import process_manager
from provision.release.shared import shared_apps
from provision.resources import certificate, git, postgresql, redis
from provision.untrusted import line as shown

LIBRARY = joined(
    PRELUDE,
    shell.LIBRARY,
    shell.PRESENT,
    certificate.LIBRARY,
    git.LIBRARY,
    sandbox.LIBRARY,
    postgresql.LIBRARY,
    redis.LIBRARY,
    shell.text("backups"),
    shell.text("shared"),
    shell.text("status"),
    shell.text("audit"),
    shell.text("certificates"),
)
JOURNAL = re.compile(r"[A-Z][a-z]{2} ([\d-]{10}) ([\d:]{8}) UTC \S+ (\S+?)\[(\d+)\]: (.*)")


@dataclass(frozen=True, slots=True)
class ReleaseInfo:
    """A release on a host. `state` is active, kept, held, failed or new; `when` is UTC; `packages` are NAME==VERSION, where they
    were asked for.
    """

    host: str
    app: str
    id: str
    commit: str
    state: str
    when: str
    who: str
    author: str = ""
    subject: str = ""
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AppStatus:
    """The state of an app on a host. It has many fields because each is a column of the table, or a line below it.

    `commit` is the release's, `since` is UTC, `health` an HTTP status, `memory` in bytes, `days` what is left of the certificate;
    `updates` counts the host's security updates. `renewal_failed` is when certbot could not renew the certificate, and why; empty if
    the last renewal succeeded. `cache` is how its Redis does, if it has one.
    """

    host: str
    app: str
    release: str
    since: str
    slot: str
    health: str
    workers: int
    memory: int | None
    days: int | None
    maintenance: bool
    updates: int
    commit: str = ""
    renewal_failed: str = ""
    cache: CacheState | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a restart on a host since it was updated: whether that is for a reboot, the packages that ask for that, and the
    services that run old libraries.
    """

    reboot: bool
    packages: tuple[str, ...]
    services: tuple[str, ...]

    def lines(self, host: str) -> tuple[str, ...]:
        """What to know of it, and what to do."""
        needs = f" ({', '.join(self.packages)})" if self.packages else ""
        old = ", ".join(self.services)
        reboot = f"{host}: an update waits for a reboot{needs}: hardening.reboot can name a time for it"
        outdated = f"{host}: {old} run libraries from before an update: invoke restart for an app's, systemctl restart for others"
        return (*((reboot,) if self.reboot else ()), *((outdated,) if old else ()))


@dataclass(frozen=True, slots=True)
class DeployKey:
    """The public half of the key with which a host reads an app's repository; empty if there is none yet."""

    host: str
    app: str
    repository: str
    public: str


@dataclass(slots=True)
class CommandOutput:
    """What a command says, line by line, until the mark comes with its exit status.

    Before the mark there is a line break, as the command may have ended without one. Where it has not, that makes an empty
    line; so an empty line is shown only when another one follows. `held`: there is one.
    """

    mark: str
    status: int | None = None
    held: bool = False

    def shown(self, line: str) -> tuple[str, ...]:
        """The lines to show now that this one has come."""
        mark, _, status = line.partition("\t")
        if mark == self.mark and re.fullmatch("[0-9]{1,3}", status):
            self.status = int(status)
            return ()
        before = ("",) if self.held else ()
        self.held = not line
        return before if self.held else (*before, line)


def script(call: str, end: str) -> str:
    """A script that makes one of the calls below, and then prints `end` in a line of its own: an answer without it was cut off."""
    return f"{LIBRARY}main() {{ {call}; }}\nmain </dev/null\nprintf '%s\\n' {end}\n"


def releases_call(host: Host) -> str:
    """Asks for the releases of the host's apps."""
    return words("status_releases", *host.apps)


def packages_call(host: Host) -> str:
    """Asks for the packages of the releases of the host's apps."""
    return words("status_packages", *host.apps)


def apps_call(host: Host) -> str:
    """Asks for the state of the host's apps."""
    asked = words(
        "status_apps", *(word for app in host.apps.values() for word in (app.name, app.domains[0], app.health.path))
    )
    more: tuple[str, ...] = ("postgresql_status",) if has_database(host) else ()
    cached = [app.name for app in host.apps.values() if app.cache.engine]
    more += (words("redis_status", *cached),) if cached else ()
    return "; ".join((asked, *more, *backup_calls(host, "status")))


def has_database(host: Host) -> bool:
    """Whether the host has PostgreSQL for an app of its own, or of another host."""
    return bool(host.serves) or ("app" in host.roles and any(app.own_database for app in host.apps.values()))


def databases(host: Host, lines: Iterable[str]) -> list[DatabaseState]:
    """How the host's PostgreSQL does, in an answer to `apps_call`; nothing if it has none."""
    return [database_status.state(lines)] if has_database(host) else []


def backup_calls(host: Host, name: str) -> tuple[str, ...]:
    """Calls of this name for each of the two kinds of backups that the host has; none where it has none."""
    databases = (f"backups_{name}",) if backed_up_databases(host) else ()
    return (*databases, *((f"shared_{name}",) if shared_apps(host) else ()))


def backups(host: Host, lines: Iterable[str]) -> list[BackupState]:
    """How the host's backups do, in an answer to `apps_call`; nothing if it has none."""
    if not host.backups or not backup_calls(host, "status"):
        return []
    return [backup_status.state(host.backups, lines, [app.name for app in shared_apps(host)])]


def deploy_keys_call(host: Host) -> str:
    """Asks for the public halves of the keys that were made on the host."""
    return words("status_deploy_keys", *(app.name for app in host.apps.values() if app.source.deploy_key == GENERATE))


def logs(host: Host, process: str) -> tuple[str, ...]:
    """Where the log is of one process of the host's apps ("web": the app itself), or of all (""): units, and UNIT:NAME for
    lines of a unit that begin with a name.
    """
    return tuple(each for app in host.apps.values() for each in process_manager(app).logs(process))


def logs_call(host: Host, process: str, follow: bool, lines: int) -> str:
    """Asks for the last `lines` of one process, or of all; empty if there is no such process."""
    found = logs(host, process)
    return words("status_logs", "yes" if follow else "no", str(int(lines)), *found) if found else ""


def log_line(line: str, logs: Collection[str]) -> str | None:
    """A line of the journal as TIME NAME: TEXT; None for one of a unit whose lines have names, and that has none of these.

    Lines of another form, such as the further ones of an entry, stay as they are.
    """
    found = JOURNAL.fullmatch(line)
    if not found:
        return line
    day, time, unit, pid, text = found.groups()
    if any(each.startswith(f"{unit}:") for each in logs):
        name, _, text = text.partition(" ")
        return f"{day}T{time}Z {name}: {text}" if f"{unit}:{name}" in logs else None
    return f"{day}T{time}Z {unit.removesuffix('.service')}[{pid}]: {text}"


def run_call(app: str, command: str, mark: str) -> str:
    """Runs a command in the app's active release; CommandOutput reads what it says."""
    return words("status_run", app, command, mark)


def maintenance_call(host: Host, state: str) -> str:
    """Closes (on) or opens (off) the host's apps."""
    return words("status_maintenance", state, *host.apps)


def releases(host: str, lines: Iterable[str]) -> list[ReleaseInfo]:
    """The releases in an answer to `releases_call`, oldest first."""
    found: dict[tuple[str, str], ReleaseInfo] = {}
    for line in filter(None, map(_printable, lines)):
        kind, _, rest = line.partition("\t") if line.startswith("packages\t") else ("", "", line)
        if kind:
            row = record(tuple(rest.split("\t", 2)))
            key = (row["app"], row["id"])
            found[key] = replace(found[key], packages=tuple(row["packages"].split()))
        else:
            row = record(tuple(rest.split("\t", 7)))
            found[row["app"], row["id"]] = ReleaseInfo(host, **row)  # type: ignore[arg-type]
    return [*found.values()]


def _printable(line: str) -> str:
    """A line without control characters: anybody may have written a commit's subject."""
    return "".join(character for character in line if character == "\t" or character.isprintable())


def apps(host: Host, lines: Iterable[str]) -> list[AppStatus]:
    """The apps in an answer to `apps_call`."""
    lines = tuple(lines)
    caches = cache_status.states(lines)
    rows = [_record(line) for line in lines if line]
    updates = next((int(row["updates"]) for row in rows if "updates" in row), 0)
    found = [replace(_app(host.name, row, updates), cache=caches.get(row["app"])) for row in rows if "health" in row]
    if strangers := {each.app for each in found} - {*host.apps}:
        raise ValueError(f"{sorted(strangers)[0]} was not asked for")
    return found


def _app(host: str, row: Mapping[str, str], updates: int) -> AppStatus:
    return AppStatus(
        host=host,
        app=row["app"],
        release=row["release"],
        commit=row["commit"],
        since=row["since"],
        slot=row["slot"],
        health=row["health"],
        workers=int(row["workers"]),
        memory=int(row["memory"]) if row["memory"].isdigit() else None,
        days=int(row["days"]) if row["days"].lstrip("-").isdigit() else None,
        maintenance=row["maintenance"] == "yes",
        renewal_failed=shown(row.get("failed", ""), 400),
        updates=updates,
    )


def waiting(lines: Iterable[str]) -> Waiting:
    """What waits for a restart, in an answer to `apps_call`."""
    row = next((row for row in map(_record, lines) if "reboot" in row), {})
    packages, services = (tuple(_printable(row.get(key, "")).split()) for key in ("for", "outdated"))
    return Waiting(row.get("reboot") == "yes", packages, services)


def unlisted(host: Host, lines: Iterable[str]) -> tuple[PresentApp, ...]:
    """The apps on the server that the host's inventory does not have, in an answer to `apps_call`."""
    return present.unlisted(host, present.parse([row for row in map(_record, lines) if "runs" in row]))


def mixed(hosts: Iterable[Host], rows: Iterable[AppStatus]) -> dict[str, dict[str, str]]:
    """By app, the commit of each host, where they differ on hosts for which the inventory names the same revision."""
    wanted = {(host.name, app.name): app.source.revision for host in hosts for app in host.apps.values()}
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        found.setdefault((row.app, wanted[row.host, row.app]), {})[row.host] = row.commit
    return {app: commits for (app, _), commits in found.items() if len(set(commits.values())) > 1}


def deploy_keys(host: Host, lines: Iterable[str]) -> list[DeployKey]:
    """The keys in an answer to `deploy_keys_call`."""
    found = []
    for row in (_record(line) for line in lines if line):
        app, public = row["app"], row["public"]
        comment = f"{public} {app}@{host.name}" if public else ""
        found.append(DeployKey(host.name, app, host.apps[app].source.location, comment))
    return found


def maintenance(lines: Iterable[str]) -> dict[str, str]:
    """By app, on or off, in an answer to `maintenance_call`."""
    return {row["app"]: row["maintenance"] for row in (_record(line) for line in lines if line)}


def _record(line: str) -> Mapping[str, str]:
    return record(tuple(line.split("\t")))
