"""Who is told what happens while hosts are looked at and changed."""

from typing import Protocol

from provision.engine.apply import Event
from provision.engine.plan import Plan
from provision.engine.resource import Change
from provision.run.result import Result

NOTICE = "notice: "


class Watcher(Protocol):
    """Is told what happens, from many threads."""

    def planned(self, host: str, plan: Plan) -> None:
        """A host's plan is made."""

    def sent(self, host: str, change: Change, done: int, total: int) -> None:
        """So many bytes of a change's upload have gone to the host."""

    def happened(self, host: str, plan: Plan, event: Event) -> None:
        """A run's event has come in, with secrets masked."""

    def reconnecting(self, host: str, reason: str) -> None:
        """The connection is lost, and is about to be made anew."""

    def finished(self, result: Result) -> None:
        """The host is done with, for better or worse."""


class Silence:
    """A Watcher that says nothing."""

    def planned(self, host: str, plan: Plan) -> None:
        """Says nothing."""

    def sent(self, host: str, change: Change, done: int, total: int) -> None:
        """Says nothing."""

    def happened(self, host: str, plan: Plan, event: Event) -> None:
        """Says nothing."""

    def reconnecting(self, host: str, reason: str) -> None:
        """Says nothing."""

    def finished(self, result: Result) -> None:
        """Says nothing."""
