"""invoke backup, backup.drill, backups, restore: the apps' databases as they were."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from invoke import Exit, task

from provision.tasks.options import Command, help_for
from provision.untrusted import visible

if TYPE_CHECKING:
    from datetime import datetime

    from invoke import Context

    from provision.inventory import Host
    from provision.run.result import Result

RELEASE = r"\d{8}T\d{6}-[0-9a-f]{7}"
BACKUP = r"\d{8}-\d{6}F(_\d{8}-\d{6}[DI])?"


@task(
    default=True,
    help={**help_for("host", "inventory"), "full": "everything, not only what changed since the last full backup"},
)
def backup(context: Context, host: str = "", full: bool = False, inventory: str | None = None) -> None:
    """Back up the databases now."""
    _started(Command("backup", host, inventory), "full" if full else "diff", "backed up")


@task(help=help_for("host", "inventory"))
def drill(context: Context, host: str = "", inventory: str | None = None) -> None:
    """Restore the newest backup beside the databases, check it, and drop it again."""
    _started(Command("backup.drill", host, inventory), "drill", "restored for practice")


def _started(command: Command, what: str, said: str) -> None:
    """Let systemd do it on each host, and wait. Raises Exit where it failed."""
    from provision.engine.shell import words
    from provision.tasks import asking

    def call(each: Host) -> str:
        _check(each)
        return words("backups_now", what)

    failed: list[str] = []

    def tell(name: str, line: str) -> None:
        if line.startswith("exit="):
            why = line.removeprefix("exit=")
            good = why == "ok" or why.startswith("ok ")
            print(visible(f"{name}: {said}") if good else visible(f"{name}: {why}"), flush=True)
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
        _check(each)
        return "backups_status"

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
        "at": "a time, such as 2026-05-01T12:30:00Z: the database as it was then; otherwise as new as the backups have it",
        "before": "a release, by its id: the database as it was before that release migrated it",
        "backup": "the id of a backup: the database as that has it",
        "into": "restore into a database of this name beside the app's, and leave that alone",
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
    into: str = "",
    from_: str = "",
    deploy: bool = False,
    discard: bool = False,
    plan: bool = False,
    yes: bool = False,
    json: bool = False,
    inventory: str | None = None,
) -> None:
    """Restore an app's database beside the present one, check it, and switch; the present one is kept until --discard."""
    from provision import roles
    from provision.release.recovery import Moment
    from provision.tasks import changing, first_contact

    if discard and (at or before or backup or into or from_ or deploy):
        raise Exit("--discard drops what was kept, and restores nothing: write it alone", code=1)
    if backup and (at or not re.fullmatch(BACKUP, backup)):
        raise Exit("--backup is an id that invoke backups shows, and goes without --at", code=1)
    if before and (at or backup or not app or not re.fullmatch(RELEASE, before)):
        raise Exit(
            "--before is the id of a release that invoke releases shows; it needs --app, and goes without --at and --backup",
            code=1,
        )
    if into and deploy:
        raise Exit("--deploy puts the apps on what is restored: leave out --into", code=1)
    if into and not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", into):
        raise Exit("--into is the name of a new database: a-z, 0-9 and _", code=1)
    if from_ and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", from_):
        raise Exit("--from is the name of a host", code=1)
    role = roles.discarded if discard else roles.restored(Moment(_moment(at), backup, before), into, from_, deploy)
    command = Command("restore", host, inventory, json, app)

    def run() -> tuple[Result, ...]:
        return changing.run(command, role, applies=not plan, resolves=deploy, yes=yes)

    changing.end(first_contact.before(command, run) if deploy and not plan else run())


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


def _check(host: Host) -> None:
    """Raises Exit for a host without backups."""
    if not host.backups or not any(app.own_database for app in host.apps.values()):
        raise Exit(
            f"{host.name}: the inventory has no backups here: backups and an app with database make them", code=1
        )
