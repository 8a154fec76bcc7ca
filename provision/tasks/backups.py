"""invoke backup, backup.drill, backups, restore: the apps' databases and shared folders as they were."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from invoke import Exit, task

from provision.tasks.options import Command, help_for
from provision.untrusted import visible

if TYPE_CHECKING:
    from datetime import datetime

    from invoke import Context

    from provision.inventory import Host
    from provision.run.result import Result

RELEASE = r"\d{8}T\d{6}-[0-9a-f]{7}"
BACKUP = r"\d{8}-\d{6}F(_\d{8}-\d{6}[DI])?|[0-9a-f]{8}"

ONLY: dict[str, Literal["", "database", "shared"]] = {"": "", "database": "database", "shared": "shared"}


@task(
    default=True,
    help={**help_for("host", "inventory"), "full": "everything, not only what changed since the last full backup"},
)
def backup(context: Context, host: str = "", full: bool = False, inventory: str | None = None) -> None:
    """Back up the databases and shared folders now."""
    _started(Command("backup", host, inventory), "full" if full else "differential", "backed up")


@task(help=help_for("host", "inventory"))
def drill(context: Context, host: str = "", inventory: str | None = None) -> None:
    """Restore the newest backups beside the databases and folders, check them, and drop them again."""
    _started(Command("backup.drill", host, inventory), "drill", "restored for practice")


def _started(command: Command, what: str, said: str) -> None:
    """Let systemd do it on each host, and wait. Raises Exit where it failed."""
    from provision.engine.shell import quote
    from provision.tasks import asking

    def call(each: Host) -> str:
        return "; ".join(f"{one} {quote(what)}" for one in _calls(each, "now"))

    failed: list[str] = []

    def tell(name: str, line: str) -> None:
        of, _, why = line.partition("=")
        if of in ("exit", "shared"):
            good = why == "ok" or why.startswith("ok ")
            which = "shared/" if of == "shared" else "databases"
            print(visible(f"{name}: {which} {said}") if good else visible(f"{name}: {which}: {why}"), flush=True)
            failed.extend([] if good else [name])

    target = command.target()
    asking.follow(target, call, tell, "The servers go on with it: invoke status tells how it ended.")
    if failed:
        raise Exit(code=1)


@task(help=help_for("host", "json", "inventory"))
def backups(context: Context, host: str = "", json: bool = False, inventory: str | None = None) -> None:
    """The backups of each host: id, kind, when, how old and how large; each is as the last backup or check found it."""
    from provision.release import backup_status
    from provision.tasks import asking

    def call(each: Host) -> str:
        return "; ".join(_calls(each, "status"))

    asked = asking.ask(Command("backups", host, inventory, json), call)
    answers, rows = asking.read(asked, lambda answer: backup_status.listed(answer.host, answer.lines))
    if json:
        asking.print_document("backups", answers, rows)
        return
    from provision.report import tables

    asking.print_table(tables.backups(rows), answers)


@task(
    help={
        **help_for("host", "app", "plan", "yes", "json", "inventory"),
        "at": "a time, such as 2026-05-01T12:30:00Z: the database as it was then, shared/ of the last snapshot by then; otherwise the newest",
        "before": "a release, by its id: the database as it was before that release migrated it; shared/ stays",
        "backup": "the id of a backup: the database, or shared/, as that has it",
        "only": "database, or shared: the other stays as it is",
        "into": "restore into a database of this name beside the app's, and a folder shared.restored-NAME, and leave them alone",
        "from_": "the host whose backups these are, if it is another: its name in the inventory",
        "deploy": "the server is new: set it up first, and deploy on what is restored",
        "discard": "drop what earlier restores have kept or made beside",
    }
)
def restore(
    context: Context,
    host: str = "",
    app: str = "",
    at: str = "",
    before: str = "",
    backup: str = "",
    only: str = "",
    into: str = "",
    from_: str = "",
    deploy: bool = False,
    discard: bool = False,
    plan: bool = False,
    yes: bool = False,
    json: bool = False,
    inventory: str | None = None,
) -> None:
    """Restore an app's database and shared folder beside the present ones, check them, and switch; those are kept until --discard."""
    from provision import roles
    from provision.release.recovery import Moment
    from provision.tasks import changing, first_contact

    if discard and (at or before or backup or only or into or from_ or deploy):
        raise Exit("--discard drops what was kept, and restores nothing: write it alone", code=1)
    _check_moment(app, at, before, backup, only)
    _check_names(into, from_, deploy)
    moment = Moment(_moment(at), backup, before)
    role = roles.discarded if discard else roles.restored(moment, into, from_, deploy, ONLY[only])
    command = Command("restore", host, inventory, json, app, serving=True)

    def run() -> tuple[Result, ...]:
        return changing.run(command, role, applies=not plan, resolves=deploy, yes=yes)

    changing.end(first_contact.before(command, run) if deploy and not plan else run())


def _check_moment(app: str, at: str, before: str, backup: str, only: str) -> None:
    """Raises Exit where these do not say together what of the backups is meant."""
    if backup and (at or not re.fullmatch(BACKUP, backup)):
        raise Exit("--backup is an id that invoke backups shows, and goes without --at", code=1)
    if before and (at or backup or not app or not re.fullmatch(RELEASE, before)):
        raise Exit(
            "--before is the id of a release that invoke releases shows; it needs --app, and goes without --at and --backup",
            code=1,
        )
    if only not in ONLY or (only == "shared" and before):
        raise Exit("--only is database or shared; shared/ has --at a time, but no --before a release", code=1)


def _check_names(into: str, from_: str, deploy: bool) -> None:
    """Raises Exit where these do not say together whence and whither."""
    if into and deploy:
        raise Exit("--deploy puts the apps on what is restored: leave out --into", code=1)
    if into and not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", into):
        raise Exit("--into is the name of a new database: a-z, 0-9 and _", code=1)
    if from_ and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", from_):
        raise Exit("--from is the name of a host", code=1)


def _moment(text: str) -> datetime | None:
    """A time that says which zone it is in. Raises Exit for any other."""
    from datetime import UTC, datetime

    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Exit(f'--at: "{visible(text)}" is not a time; write 2026-05-01T12:30:00Z', code=1) from None
    if found.tzinfo is None:
        raise Exit("--at: in which time zone? write a Z at its end for UTC, or +02:00", code=1)
    if found > datetime.now(UTC):
        raise Exit("--at is in the future", code=1)
    return found.astimezone(UTC)


def _calls(host: Host, name: str) -> tuple[str, ...]:
    """The calls of this name for the backups that a host has. Raises Exit for a host without backups."""
    from provision.release.status import backup_calls

    found = backup_calls(host, name)
    if not found:
        raise Exit(f"{host.name}: the inventory has no backups here: add backups, and an app", code=1)
    return found
