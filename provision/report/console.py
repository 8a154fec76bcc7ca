"""What a person sees: the plan, live progress, the recap."""

import sys
import threading
import time
from collections.abc import Mapping, Sequence

from rich.console import Console as Terminal
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from provision.engine.apply import Event
from provision.engine.plan import Plan
from provision.engine.resource import Change
from provision.inventory import App, Host
from provision.run.result import Result
from provision.run.watcher import NOTICE

MARKS = {"ok": "[green]✓[/]", "changed": "[yellow]●[/]", "failed": "[red]✗[/]", "unreachable": "[red]✗[/]"}


class Console:
    """A Watcher that writes for people; on a terminal, each host has a live line at the bottom."""

    def __init__(self, diffs: bool = True, error: bool = False) -> None:
        self.terminal = Terminal(stderr=error, highlight=False, soft_wrap=True)
        if not self.terminal.is_terminal:
            self.terminal.width = 160
        self._diffs = diffs
        self._lock = threading.Lock()
        self._doing: dict[str, tuple[str, float, str]] = {}
        self._live: Live | None = None

    def __enter__(self) -> "Console":
        if self.terminal.is_terminal:
            self._live = Live(get_renderable=self._lines, console=self.terminal, refresh_per_second=8, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.pause()

    def pause(self) -> None:
        """Take the live lines away."""
        if self._live:
            self._live.stop()
            self._live = None

    def resume(self) -> None:
        """Bring the live lines back."""
        self.__enter__()

    def _lines(self) -> Table:
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(no_wrap=True, width=1)
        grid.add_column(no_wrap=True, style="bold", min_width=max(map(len, self._doing), default=0))
        grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        now = time.monotonic()
        for host, (what, since, line) in sorted(self._doing.items()):
            text = Text(f"{what} {now - since:.0f}s", style="yellow")
            if line:
                text.append(f"  {line}", style="dim")
            grid.add_row(Spinner("dots", style="yellow"), host, text)
        return grid

    def _say(self, text: str) -> None:
        self.terminal.print(text)

    def planned(self, host: str, plan: Plan) -> None:
        with self._lock:
            if not plan.changes:
                self._say(f"[bold]{host}[/] {MARKS['ok']} nothing to change ({plan.total} resources)")
                return
            self._say(f"[bold]{host}[/] plan: {len(plan.changes)} of {plan.total} resources change")
            for change in plan.changes:
                self._say(f"  [yellow]~[/] {escape(change.summary)}")
                if change.diff and self._diffs:
                    self._diff(change.diff)

    def _diff(self, diff: str) -> None:
        lines = diff.splitlines()
        if not any(line.startswith("-") for line in lines[2:]) and len(lines) > 12:
            self._say(f"[dim]      {len(lines) - 3} new lines[/]")
            return
        for line in lines[2:]:
            style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "dim")
            self.terminal.print(Text(f"      {line}", style=style))

    def sent(self, host: str, change: Change, done: int, total: int) -> None:
        with self._lock:
            since = self._doing.get(host, ("", time.monotonic(), ""))[1]
            self._doing[host] = (
                f"sending for: {change.summary}",
                since,
                f"{done / 1e6:.0f} of {total / 1e6:.0f} MB",
            )

    def happened(self, host: str, plan: Plan, event: Event) -> None:
        with self._lock:
            if event.kind == "begin":
                self._doing[host] = (plan.changes[event.change].summary, time.monotonic(), "")
            elif event.kind == "out" and event.text.startswith(NOTICE):
                self._say(f"[bold]{host}[/] [cyan]➜[/] {escape(event.text.removeprefix(NOTICE))}")
            elif event.kind == "out" and host in self._doing:
                what, since, _ = self._doing[host]
                self._doing[host] = (what, since, event.text)
            elif event.kind in ("done", "failed"):
                what, since, _ = self._doing.pop(host, ("", time.monotonic(), ""))
                mark = MARKS["changed" if event.kind == "done" else "failed"]
                took = time.monotonic() - since
                self._say(f"[bold]{host}[/] {mark} {escape(what)} [dim]{took:.1f}s[/]")

    def reconnecting(self, host: str, reason: str) -> None:
        with self._lock:
            self._say(f"[bold]{host}[/] [yellow]{escape(reason)}; connecting again (the server goes on by itself)[/]")

    def finished(self, result: Result) -> None:
        with self._lock:
            self._doing.pop(result.host, None)
            if result.error:
                for line in result.output:
                    self.terminal.print(Text(f"      {line}", style="dim"))
                self._say(f"[bold]{result.host}[/] {MARKS[result.status]} [red]{escape(result.error)}[/]")

    def recap(self, results: Sequence[Result], applied: bool = True) -> None:
        """One line a host."""
        self.pause()
        table = Table(box=None, padding=(0, 2), header_style="dim")
        for column in (
            "host",
            "status",
            "ok",
            "changed" if applied else "to change",
            "failed",
            "not done",
            "execs",
            "seconds",
            "release",
        ):
            table.add_column(column, justify="left" if column in ("host", "status", "release") else "right")
        for result in results:
            table.add_row(
                result.host,
                f"{MARKS[result.status]} {result.status if applied or result.status != 'changed' else 'would change'}",
                *map(
                    str,
                    (
                        result.ok,
                        result.changed,
                        result.failed,
                        result.skipped if applied else 0,
                        result.execs,
                    ),
                ),
                f"{result.seconds:.1f}",
                ", ".join(result.releases.values()),
            )
        self.terminal.print()
        self.terminal.print(table)

    def sites(self, hosts: Sequence[Host]) -> None:
        """Where the apps of these hosts answer."""
        urls = dict.fromkeys(url for host in hosts for app in host.apps.values() for url in addresses(host, app))
        for url in urls:
            self._say(f"  {url}")

    def previews(self, name: str, hosts: Sequence[Host], tokens: Mapping[str, Mapping[str, str]]) -> None:
        """How to look at the releases that are held: each app's token by host, then by app."""
        for host in hosts:
            for app in host.apps.values():
                token = tokens.get(host.name, {}).get(app.name)
                if not token:
                    self._say(f"[bold]{host.name}[/] {app.name}: nothing is held")
                    continue
                site = f"https://{app.domains[0]}"
                self._say(f"[bold]{host.name}[/] {app.name} is held; all traffic stays where it was. To look at it:")
                self._say(f"  in a browser     {site}/.preview/{token}")
                self._say(f"  from a terminal  curl -H 'X-Preview: {token}' {site}/")
        self._say(f"  Then             invoke promote --host {name}, or invoke rollback --host {name}")

    def ask(self, question: str, answers: str) -> str:
        """One letter of `answers`; the first where nobody can answer."""
        self.pause()
        if not sys.stdin.isatty():
            return answers[0]
        answer = ""
        while answer not in tuple(answers):
            answer = self.terminal.input(question, markup=False).strip().lower()[:1]
        return answer


def addresses(host: Host, app: App) -> list[str]:
    """A machine of Vagrant's has no name in the DNS: its are lines for a terminal."""
    if host.connect != "vagrant":
        return [f"https://{domain}/" for domain in app.domains]
    port = host.forwarded.get(443, 443)
    site = "" if port == 443 else f":{port}"
    trust = "--insecure " if host.tls.issuer == "self-signed" else ""
    return [f"curl {trust}--resolve {name}:{port}:{host.address} https://{name}{site}/" for name in app.domains]
