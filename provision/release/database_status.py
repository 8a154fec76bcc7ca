"""What servers say of their PostgreSQL, and what happened to it."""

from collections.abc import Iterable
from dataclasses import dataclass

from provision.engine.resource import record
from provision.untrusted import line as shown


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """Whether PostgreSQL answers, how often it came back by itself since it was started, when that last changed (UTC), and what its log says of it."""

    answers: bool
    restarts: int = 0
    since: str = ""
    reason: str = ""

    def lines(self, host: str) -> tuple[str, ...]:
        """What to know of it; nothing if all is well."""
        why = f": {self.reason}" if self.reason else ""
        if not self.answers:
            return (f"{host}: PostgreSQL does not answer since {self.since or 'an unknown time'}{why}",)
        if self.restarts:
            times = "once" if self.restarts == 1 else f"{self.restarts} times"
            return (f"{host}: PostgreSQL ended and came back by itself {times}, last at {self.since}{why}",)
        return ()


def state(lines: Iterable[str]) -> DatabaseState:
    """How PostgreSQL does, in an answer to postgresql_status."""
    for each in lines:
        row = record(tuple(each.split("\t")))
        if row.get("what") == "postgresql":
            restarts = row.get("restarts", "")
            return DatabaseState(
                row.get("answers") == "yes",
                int(restarts) if restarts.isascii() and restarts.isdigit() and len(restarts) < 10 else 0,
                shown(row.get("since", ""), 30),
                shown(row.get("why", ""), 200),
            )
    return DatabaseState(False)
