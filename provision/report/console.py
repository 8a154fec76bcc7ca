"""What people see: plans, live progress, the recap."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rich.console import Console as Terminal
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from provision.report import tables
from provision.report.tables import MARKS
from provision.untrusted import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.live import Live

    from provision.engine.apply import Event
    from provision.engine.plan import Plan
    from provision.engine.resource import Change
    from provision.inventory import App, Host
    from provision.run.result import Result

WIDTH = 160
SHOWN_LINES = 12


@dataclass(frozen=True, slots=True)
class Activity:
    """What a host is doing: a change's summary, its start on the monotonic clock, and the last line that it printed."""

    summary: str = ""
    since: float = field(default_factory=time.monotonic)
    line: str = ""


class Console:
    """A Watcher that writes for people; on a terminal, each host has a live line at the bottom.

    It writes to standard output, or with `error` to standard error; 160 columns wide where that is no terminal. Without
    `plans`, those have been shown before. It is long because each event of a run has a method, and a terminal two ways to show it.
    """

    def __init__(self, error: bool = False, plans: bool = True) -> None:
        self._plans = plans
        self.terminal = Terminal(stderr=error, highlight=False, soft_wrap=True)
        if not self.terminal.is_terminal:
            self.terminal.width = WIDTH
        self._lock = threading.Lock()
        self._doing: dict[str, Activity] = {}
        self._live: Live | None = None

    def __enter__(self) -> Console:
        if self.terminal.is_terminal:
            from rich.live import Live

            self._live = Live(get_renderable=self._lines, console=self.terminal, refresh_per_second=8, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.pause()

    def pause(self) -> None:
        """Remove the live lines."""
        if self._live:
            self._live.stop()
            self._live = None

    def resume(self) -> None:
        """Bring the live lines back."""
        self.__enter__()

    def _lines(self) -> Table:
        from rich.spinner import Spinner

        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(no_wrap=True, width=1)
        grid.add_column(no_wrap=True, style="bold", min_width=max(map(len, self._doing), default=0))
        grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        now = time.monotonic()
        for host, activity in sorted(self._doing.items()):
            text = Text(visible(f"{activity.summary} {now - activity.since:.0f}s"), style="yellow")
            if activity.line:
                text.append(visible(f"  {activity.line}"), style="dim")
            grid.add_row(Spinner("dots", style="yellow"), host, text)
        return grid

    def _say(self, text: str) -> None:
        self.terminal.print(visible(text))

    def planned(self, host: str, plan: Plan, notes: Sequence[str] = ()) -> None:
        """Print the notes and warnings, then a host's plan with the diffs of its files; a new file of many lines only by their number."""
        if not self._plans:
            return
        with self._lock:
            for note in notes:
                self._say(f"[bold]{host}[/] [cyan]➜[/] {escape(note)}")
            for warning in plan.warnings:
                self._warn(host, warning)
            if not plan.changes:
                self._say(f"[bold]{host}[/] {MARKS['ok']} nothing to change ({plan.total} resources)")
                return
            self._say(f"[bold]{host}[/] plan: {len(plan.changes)} of {plan.total} resources change")
            for change in plan.changes:
                self._say(f"  [yellow]~[/] {escape(change.summary)}")
                if change.diff:
                    self._diff(change.diff)

    def _warn(self, host: str, warning: str) -> None:
        self._say(f"[bold]{host}[/] [yellow]![/] {escape(warning)}")

    def _diff(self, diff: str) -> None:
        lines = diff.splitlines()
        if not any(line.startswith("-") for line in lines[2:]) and len(lines) > SHOWN_LINES:
            self._say(f"[dim]      {len(lines) - 3} new lines[/]")
            return
        for line in lines[2:]:
            style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "dim")
            self.terminal.print(Text(visible(f"      {line}"), style=style))

    def sent(self, host: str, change: Change, done: int, total: int) -> None:
        """Show the progress of an upload, in MB, on the host's live line."""
        with self._lock:
            since = self._doing.get(host, Activity()).since
            line = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB"
            self._doing[host] = Activity(f"sending for: {change.summary}", since, line)

    def happened(self, host: str, plan: Plan, event: Event) -> None:
        """Print what ended and what a change has to tell; show the rest on the host's live line."""
        with self._lock:
            if event.kind == "begin":
                self._doing[host] = Activity(plan.changes[event.change].summary)
            elif event.kind == "notice":
                self._say(f"[bold]{host}[/] [cyan]➜[/] {escape(event.text)}")
            elif event.kind == "out" and host in self._doing:
                self._doing[host] = replace(self._doing[host], line=event.text)
            elif event.kind in ("done", "failed"):
                activity = self._doing.pop(host, Activity())
                mark = MARKS["changed" if event.kind == "done" else "failed"]
                took = time.monotonic() - activity.since
                self._say(f"[bold]{host}[/] {mark} {escape(activity.summary)} [dim]{took:.1f}s[/]")

    def reconnecting(self, host: str, reason: str) -> None:
        """Print why the connection ended."""
        with self._lock:
            self._say(f"[bold]{host}[/] [yellow]{escape(reason)}; connecting again (the server goes on by itself)[/]")

    def finished(self, result: Result) -> None:
        """Print a host's error after the lines that led to it."""
        with self._lock:
            self._doing.pop(result.host, None)
            if result.error:
                for line in result.output:
                    self.terminal.print(Text(visible(f"      {line}"), style="dim"))
                self._say(f"[bold]{result.host}[/] {MARKS[result.status]} [red]{escape(result.error)}[/]")

    def recap(self, results: Sequence[Result], applied: bool = True) -> None:
        """Print what became of each host, a line each; and where something was changed, the warnings of its plan again."""
        self.pause()
        self.terminal.print()
        tables.show(tables.recap(results, applied), self.terminal)
        for result in results:
            for warning in result.warnings if applied and result.changed else ():
                self._warn(result.host, warning)

    def sites(self, hosts: Sequence[Host], releases: Mapping[str, Mapping[str, str]]) -> None:
        """Print where the apps answer that have been released, by host and by app."""
        released = [(host, host.apps[name]) for host in hosts for name in releases.get(host.name, {})]
        urls = dict.fromkeys(url for host, app in released for url in addresses(host, app))
        for url in urls:
            self._say(f"  {url}")

    def previews(self, name: str, held: Iterable[tuple[str, App, str]]) -> None:
        """Print how to look at the releases in `held`: host, app, and token, empty where nothing is held.

        `name` is what --host said, and --app.
        """
        for host, app, token in held:
            if not token:
                self._say(f"[bold]{host}[/] {app.name}: nothing is held")
                continue
            site = f"https://{app.domains[0]}"
            self._say(f"[bold]{host}[/] {app.name} is held; all traffic stays where it was. To look at it:")
            self._say(f"  in a browser     {site}/.preview/{token}")
            self._say(f"  from a terminal  curl -H 'X-Preview: {token}' {site}/")
        self._say(f"  Then             invoke promote --host {name}, or invoke rollback --host {name}")


def addresses(host: Host, app: App) -> list[str]:
    """Where an app answers: its URLs, or for a Vagrant machine, which no DNS knows, curl commands."""
    if host.connect != "vagrant":
        return [f"https://{domain}/" for domain in app.domains if not domain.startswith("*")]
    port = host.forwarded.get(443, 443)
    site = "" if port == 443 else f":{port}"
    trust = "--insecure " if host.tls.issuer == "self-signed" else ""
    return [f"curl {trust}--resolve {name}:{port}:{host.address} https://{name}{site}/" for name in app.asked]
