"""Tables for the terminal, of values that are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape as without_markup
from rich.table import Table
from rich.text import Text

from provision.untrusted import visible

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from rich.console import RenderableType

    from provision.release.backup_status import BackupInfo
    from provision.release.certificates import CertificateInfo
    from provision.release.status import AppStatus, ReleaseInfo
    from provision.run.audit import Audit
    from provision.run.check import Checked
    from provision.run.doctor import Diagnosis
    from provision.run.result import Result

MARKS = {"ok": "[green]✓[/]", "changed": "[yellow]●[/]", "failed": "[red]✗[/]", "unreachable": "[red]✗[/]"}
LEVELS = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]", "stop": "[red]stop[/]"}
# Below it, a certificate should have been renewed.
RENEWED_DAYS = 21
STATES = {
    "active": "[green]active[/]",
    "kept": "kept",
    "held": "[yellow]held[/]",
    "failed": "[red]failed[/]",
    "new": "[dim]new[/]",
}


def escape(text: str) -> str:
    """The text as a cell that has no markup and no control characters."""
    return without_markup(visible(text).replace("\n", "\\n"))


def show(table: Table, terminal: Console | None = None) -> None:
    """Print a table to a terminal, or to standard output. Nothing in it is ever cut.

    A table that is too wide for a terminal becomes a paragraph a row; elsewhere, each row is one line, however wide.
    """
    terminal = terminal or Console(highlight=False)
    if not terminal.is_terminal:
        terminal.width = max(terminal.width, _width(table))
    if _width(table, folded=True) <= terminal.width:
        terminal.print(table)
        return
    for row in zip(*(column.cells for column in table.columns), strict=True):
        terminal.print(_paragraph(table, row, terminal.width), soft_wrap=True)


def _width(table: Table, folded: bool = False) -> int:
    """The columns that a table needs; `folded`: where cells that may go on in the next line do so at each blank."""
    width = 0
    for column in table.columns:
        texts = [str(column.header), *(Text.from_markup(str(cell)).plain for cell in column.cells)]
        parts = [word for text in texts for word in text.split()] if folded and not column.no_wrap else texts
        width += max(map(cell_len, parts)) + table.padding[1] + table.padding[3]
    return width


def _paragraph(table: Table, row: Sequence[RenderableType], width: int) -> Text:
    """A row as words, each cell after its column's name; lines end between cells, and only a cell may be wider than one."""
    found, room = Text(), width
    for column, cell in zip(table.columns, row, strict=True):
        words = Text.assemble((f"{column.header} ", "dim"), Text.from_markup(str(cell)))
        if found and words.cell_len + 2 > room:
            found.append("\n    ")
            room = width - 4
        elif found:
            found.append("  ")
            room -= 2
        found.append_text(words)
        room -= words.cell_len
    return found


def recap(results: Sequence[Result], applied: bool) -> Table:
    """What became of each host, a line each. Unless `applied`, changes are those that would be made."""
    changed = "changed" if applied else "to change"
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for column in ("host", "status", "ok", changed, "failed", "not done", "execs", "seconds", "release"):
        left = column in ("host", "status", "release")
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    for result in results:
        status = result.status if applied or result.status != "changed" else "would change"
        skipped = result.skipped if applied else 0
        table.add_row(
            result.host,
            f"{MARKS[result.status]} {status}",
            *map(str, (result.ok, result.changed, result.failed, skipped, result.execs)),
            f"{result.seconds:.1f}",
            ", ".join(result.releases.values()),
        )
    return table


def releases(rows: Sequence[ReleaseInfo]) -> Table:
    """The releases on the hosts, a line each."""
    table = _table("host", "app", "release", "state", "deployed", "by", "author", "subject", wraps="subject")
    for row in rows:
        before, after = (row.host, row.app, row.id), (row.when, row.who, row.author, row.subject)
        table.add_row(*map(escape, before), STATES.get(row.state, escape(row.state)), *map(escape, after))
    return table


def packages(rows: Sequence[ReleaseInfo]) -> None:
    """Print the packages of each release."""
    terminal = Console(highlight=False, soft_wrap=True)
    for row in rows:
        known = ", ".join(row.packages) or "not known: an older version of the toolkit installed them"
        terminal.print(f"[bold]{escape(row.host)}[/] {escape(f'{row.app} {row.id}: {known}')}")


def diagnoses(found: Sequence[Diagnosis]) -> None:
    """Print what `doctor` found: a line each, and one below with what to do about it; then what it comes to."""
    terminal = Console(highlight=False, soft_wrap=True)
    for one in found:
        for each in one.findings:
            terminal.print(f"[bold]{one.host}[/]  {LEVELS[each.level]}  {each.check:<11}  {escape(each.what)}")
            if each.fix:
                terminal.print(f"{' ' * len(one.host)}        [dim]{'to do':<11}[/]  {escape(each.fix)}")
    for one in found:
        stops, warnings = (sum(each.level == level for each in one.findings) for level in ("stop", "warn"))
        said = f"{stops} would stop a deploy" if stops else "nothing would stop a deploy"
        said += f", {warnings} warning{'s' * (warnings != 1)}" if warnings else ""
        mark = MARKS["ok" if one.ok else "failed"]
        terminal.print(f"[bold]{one.host}[/] {mark} {escape(one.error or said)}")


def audits(found: Sequence[Audit]) -> None:
    """Print what `audit` found: a line each, and one below with what to do about it; then what it comes to."""
    terminal = Console(highlight=False, soft_wrap=True)
    for one in found:
        for each in one.unexplained:
            terminal.print(f"[bold]{one.host}[/]  {each.check:<7}  {escape(each.what)}")
            terminal.print(f"{' ' * len(one.host)}  [dim]{'to do':<7}[/]  {escape(each.fix)}")
    for one in found:
        count = len(one.unexplained)
        said = f"{count} thing{'s' * (count != 1)} unexplained" if count else "everything is explained"
        terminal.print(f"[bold]{one.host}[/] {MARKS['ok' if one.ok else 'failed']} {escape(one.error or said)}")


def checked(found: Sequence[Checked]) -> None:
    """Print what inventories declare: a line for each host, and one for each of its apps."""
    terminal = Console(highlight=False, soft_wrap=True)
    for one in found:
        terminal.print(f"{MARKS['ok']} {escape(one.path)}")
        for host in one.hosts:
            where = host.address or "by Vagrant"
            count = one.resources[host.name]
            terminal.print(f"    [bold]{host.name}[/]  {escape(where)}  {', '.join(host.roles)}  ({count} resources)")
            for app in host.apps.values():
                terminal.print(
                    f"        {app.name}  {escape(', '.join(app.domains))}  from {escape(app.source.location)}"
                )


def warn(line: str) -> None:
    """Print a line in red, to standard error."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]{without_markup(visible(line))}[/]")


def late(row: AppStatus, issuer: str) -> str:
    """What to know of a certificate that should have been renewed by now; empty if it need not."""
    if row.days is None or row.days >= RENEWED_DAYS or issuer == "self-signed":
        return ""
    ends = f"ends in {row.days} days" if row.days >= 0 else "has expired"
    what = (
        "put another where tls.certificate names it, and deploy"
        if issuer == "files"
        else "certbot should have renewed it: /var/log/letsencrypt/letsencrypt.log on the server says why it could not"
    )
    return f"{row.host}: {row.app}: the certificate {ends}: {what}"


def status(rows: Sequence[AppStatus], mixed: Collection[str] = ()) -> Table:
    """How the apps on the hosts do, a line each; the releases of those that are `mixed` in red."""
    table = _table("host", "app", "release", "since", "slot", "health", "workers", "memory", "certificate", "updates")
    for row in rows:
        health = "[green]healthy[/]" if row.health == "200" else f"[red]{escape(row.health)}[/]"
        table.add_row(
            row.host,
            row.app,
            f"[red]{escape(row.release or '-')}[/]" if row.app in mixed else escape(row.release or "-"),
            escape(row.since),
            escape(row.slot),
            health + (" [yellow]maintenance[/]" if row.maintenance else ""),
            str(row.workers),
            f"{row.memory / 1e6:.0f} MB" if row.memory else "-",
            _left(row.days),
            str(row.updates),
        )
    return table


def backups(rows: Sequence[BackupInfo]) -> Table:
    """The backups of the hosts, a line each."""
    table = _table("host", "backup", "of", "kind", "ended", "age", "restores to", "stored")
    for row in rows:
        sizes = ("-" if size is None else f"{size / 1e6:.1f} MB" for size in (row.size, row.stored))
        table.add_row(*map(escape, (row.host, row.id, row.of, row.kind, row.at)), f"{row.age:.1f} h", *sizes)
    return table


def certificates(rows: Sequence[CertificateInfo]) -> Table:
    """The apps' certificates, a line each."""
    table = _table("host", "app", "domains", "issuer", "until", "left", "renewed by", "last renewal", wraps="domains")
    for row in rows:
        last = f"[red]failed {escape(row.failed[:20])}[/]" if row.failed else escape(row.renewed or "-")
        cells = (row.host, row.app, row.domains or "-", row.issuer or "-", row.until or "-")
        table.add_row(*map(escape, cells), _left(row.days), escape(row.renewal), last)
    return table


def _left(days: int | None) -> str:
    """What is left of a certificate."""
    if days is None:
        return "-"
    return f"[red]{days} days[/]" if days < RENEWED_DAYS else f"{days} days"


def _table(*columns: str, wraps: str = "") -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, no_wrap=column != wraps, overflow="fold")
    return table
