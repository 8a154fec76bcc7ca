"""A run on a server, started and followed to its end, across reconnections."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_hex

from provision.controller.agent import Agent
from provision.controller.listen import STREAM_BYTES
from provision.controller.ssh import Session
from provision.engine import apply, lease
from provision.engine.apply import Event
from provision.engine.plan import Plan
from provision.errors import ConnectionLost, RunError, Unreachable

RECONNECT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Run:
    """A run on a server, by its id. `fleet` is empty, or holds the server; a run that `undoes` settles what that did.

    No event of it has any of the texts in `hidden`.
    """

    id: str
    who: str
    task: str
    fleet: str = ""
    undoes: bool = False
    hidden: Sequence[str] = field(default=(), repr=False)

    @property
    def patience(self) -> int:
        """How many seconds there may be no connection. A server of a fleet waits no longer either."""
        return lease.SECONDS if self.fleet else RECONNECT_SECONDS


def new_id() -> str:
    """A run's id: UTC time and a random part. Ids sort by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{token_hex(3)}"


def follow(session: Session, plan: Plan, run: Run, reconnecting: Callable[[str], None]) -> Iterator[Event]:
    """Start a plan's run and yield its events, up to the last one.

    If the connection drops, `reconnecting` is told why and the events continue where they stopped; the run itself
    does not depend on the connection. Raises RunError where there is none for too long.
    """
    script = apply.start(plan, run.id, run.who, run.task, run.fleet, run.undoes, run.hidden)
    last = max((number for number, change in enumerate(plan.changes) if change.agent), default=None)
    agent = Agent() if last is not None else None
    offset, lost_since = 1, 0.0
    while True:
        try:
            for event in apply.events(session.lines(script, agent, STREAM_BYTES), offset, len(plan.changes)):
                lost_since, offset = 0.0, event.offset + 1
                if agent and event.kind in ("done", "failed") and event.change == last:
                    agent.close()
                yield event
                if event.kind == "end":
                    return
            reason = "the connection ended"
        except (ConnectionLost, Unreachable) as error:
            reason = str(error)
        if not lost_since:
            lost_since = time.monotonic()
            reconnecting(reason)
        if time.monotonic() - lost_since > run.patience:
            raise RunError(f"{reason}; the run {run.id} goes on on the server: run again to see how it ended")
        session.close()
        agent = None
        time.sleep(1)
        script = apply.follow(run.id, offset)
