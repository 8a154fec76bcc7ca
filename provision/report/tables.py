"""Tables for the terminal, of values that are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provision.release.status import AppStatus, ReleaseInfo
    from provision.run.result import Result

MARKS = {"ok": "[green]✓[/]", "changed": "[yellow]●[/]", "failed": "[red]✗[/]", "unreachable": "[red]✗[/]"}
STATES = {
    "active": "[green]active[/]",
    "kept": "kept",
    "held": "[yellow]held[/]",
    "failed": "[red]failed[/]",
    "new": "[dim]new[/]",
}
WIDTH = 200


def show(table: Table) -> None:
    """Print a table to standard output; 200 columns wide where that is no terminal."""
    terminal = Console(highlight=False)
    if not terminal.is_terminal:
        terminal.width = WIDTH
    terminal.print(table)


def recap(results: Sequence[Result], applied: bool) -> Table:
    """What became of each host, a line each. Unless `applied`, changes are those that would be made."""
    changed = "changed" if applied else "to change"
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for column in ("host", "status", "ok", changed, "failed", "not done", "execs", "seconds", "release"):
        table.add_column(column, justify="left" if column in ("host", "status", "release") else "right")
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
        table.add_row(*map(escape, before), STATES[row.state], *map(escape, after))
    return table


def status(rows: Sequence[AppStatus]) -> Table:
    """How the apps on the hosts do, a line each."""
    table = _table("host", "app", "release", "since", "slot", "health", "workers", "memory", "certificate", "updates")
    for row in rows:
        health = "[green]healthy[/]" if row.health == "200" else f"[red]{row.health}[/]"
        table.add_row(
            row.host,
            row.app,
            row.release or "-",
            row.since,
            row.slot,
            health + (" [yellow]maintenance[/]" if row.maintenance else ""),
            str(row.workers),
            f"{row.memory / 1e6:.0f} MB" if row.memory else "-",
            f"{row.days} days" if row.days is not None else "-",
            str(row.updates),
        )
    return table


def _table(*columns: str, wraps: str = "") -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, no_wrap=column != wraps)
    return table
