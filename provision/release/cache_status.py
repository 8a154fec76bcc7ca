"""What servers say of their apps' Redis, or Valkey."""

from collections.abc import Iterable
from dataclasses import dataclass

from provision.engine.resource import record
from provision.resources.redis import MIB, NAMES
from provision.untrusted import line as shown


@dataclass(frozen=True, slots=True)
class CacheState:
    """Which engine an app has, its version, whether it answers, and how many bytes it holds of those that it may. The app could make it say
    any of that but the engine.
    """

    engine: str
    version: str
    answers: bool
    used: int | None
    limit: int | None

    @property
    def name(self) -> str:
        """Engine and version."""
        return f"{NAMES[self.engine]} {self.version}".strip()

    def line(self, host: str, app: str) -> str:
        """What to know of it: a warning, where it does not answer."""
        if not self.answers:
            why = f"systemctl status provision-redis@{app} on the server says why, and invoke deploy starts it"
            return f"{host}: {app}: its {self.name} does not answer: {why}"
        if self.used is None or not self.limit:
            return f"{host}: {app}: {self.name} answers"
        return f"{host}: {app}: {self.name} holds {self.used / MIB:.1f} of {self.limit // MIB} MiB"


def states(lines: Iterable[str]) -> dict[str, CacheState]:
    """By app, how its Redis does, in an answer to redis_status."""
    found = {}
    for row in (record(tuple(each.split("\t"))) for each in lines if each):
        if row.get("what") == "cache":
            engine = "valkey" if row["engine"] == "valkey" else "redis"
            version, answers = shown(row["version"], 30), row["answers"] == "yes"
            found[row["app"]] = CacheState(engine, version, answers, _bytes(row["used"]), _bytes(row["limit"]))
    return found


def _bytes(said: str) -> int | None:
    return int(said) if said.isascii() and said.isdigit() and len(said) < 16 else None
