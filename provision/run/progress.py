"""How far a host has come."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from provision.engine.apply import Event
from provision.engine.plan import Plan
from provision.engine.probe import Lock
from provision.engine.resource import Change, Phase, Ref
from provision.errors import RunError
from provision.run.result import Status

OUTPUT_LINES = 40
NOTICES = 200
EXPIRED = (
    "the server heard nothing from here for too long (or was rebooted), and takes back by itself what was not"
    " confirmed: run again"
)


@dataclass(slots=True)
class Progress:
    """How far a host has come, according to its run's events.

    `done` and `failed` count changes, `took` has the seconds of each, `broken` is the phase that failed. `stays` has the
    notices of the phase `once`, which nothing undoes: migrations. `said` is the reason that the change under way gave.
    """

    status: Status = "ok"
    error: str | None = None
    output: tuple[str, ...] = ()
    seconds: float = 0.0
    said: str = ""
    done: int = 0
    failed: int = 0
    broken: Phase | None = None
    rolled_back: bool = False
    took: dict[Ref, float] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)

    @property
    def reason(self) -> str | None:
        """Why the host failed, and what stays done all the same."""
        stays = f"; this stays: {'; '.join(self.stays)}" if self.stays else ""
        return None if self.error is None else f"{self.error}{stays}"

    def handle(self, plan: Plan, run_id: str, event: Event, output: Sequence[str], seconds: float) -> None:
        """Take in one event of a run. A change that is done took `seconds` and printed `output`.

        Raises RunError if the event ends the run early.
        """
        refused(event)
        match event.kind:
            case "lost":
                raise RunError(
                    f"the run {run_id} was ended on the server (killed, or a reboot): run again to finish its work"
                )
            case "begin":
                self.said = ""
            case "error":
                self.said = event.text
            case "notice" if len(self.notices) < NOTICES:
                self.notices.append(event.text)
                if plan.changes[event.change].phase == "once":
                    self.stays.append(event.text)
            case "done":
                self.done += 1
                self.took[plan.changes[event.change].ref] = round(seconds, 3)
            case "failed":
                change = plan.changes[event.change]
                self.failed, self.broken = 1, change.phase
                raise RunError(self.said or _reason(change, output, event.text), tuple(output)[-OUTPUT_LINES:])
            case "stopped":
                raise RunError(f"stopped on request; not done: {len(plan.changes) - self.done} changes")


def refused(event: Event) -> None:
    """Raises RunError if the event says that the server lets no run begin."""
    match event.kind:
        case "locked":
            holder, since, run = (*event.text.split("\t"), "", "", "")[:3]
            raise RunError(locked(Lock(holder, since, run)))
        case "stale":
            raise RunError("another run changed the server since this plan was made: run again")
        case "expired":
            raise RunError(EXPIRED)


def _reason(change: Change, output: Sequence[str], status: str) -> str:
    """What a script that gave no reason printed last."""
    last = next((line.strip() for line in reversed(output) if line.strip()), f"exit status {status}")
    return f"{change.summary}: {last}"


def locked(lock: Lock) -> str:
    """The message for a server whose lock is held."""
    return f"{lock.who} has been changing this server since {lock.since} (run {lock.run}): wait for it to end, then run again"
