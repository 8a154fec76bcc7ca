"""Who is told what happens during a run."""

from collections.abc import Sequence
from typing import Protocol

from provision.engine.apply import Event
from provision.engine.plan import Plan
from provision.engine.resource import Change
from provision.run.result import Result


class Watcher(Protocol):
    """Receives what happens, from many threads."""

    def planned(self, host: str, plan: Plan, notes: Sequence[str] = ()) -> None:
        """A host's plan is made; `notes` are lines to show before it."""

    def sent(self, host: str, change: Change, done: int, total: int) -> None:
        """So many bytes of a change's upload have been sent."""

    def happened(self, host: str, plan: Plan, event: Event) -> None:
        """A run's event has arrived; secrets are masked."""

    def reconnecting(self, host: str, reason: str) -> None:
        """The connection is lost; another one is tried."""

    def finished(self, result: Result) -> None:
        """The host's result is known."""


class Silence:
    """A Watcher that says nothing."""

    def planned(self, host: str, plan: Plan, notes: Sequence[str] = ()) -> None:
        """Says nothing."""

    def sent(self, host: str, change: Change, done: int, total: int) -> None:
        """Says nothing."""

    def happened(self, host: str, plan: Plan, event: Event) -> None:
        """Says nothing."""

    def reconnecting(self, host: str, reason: str) -> None:
        """Says nothing."""

    def finished(self, result: Result) -> None:
        """Says nothing."""
