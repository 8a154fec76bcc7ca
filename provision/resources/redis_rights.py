"""What an app may do in its Redis, or Valkey: all with its data, and nothing to the instance, which root administers."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import joined, library, words
from provision.resources import redis
from provision.resources.redis import NAMES, Engine

LIBRARY = joined(redis.LIBRARY, library(__file__))
# Libraries call some of what Redis counts as dangerous, because it is slow or concerns all data: the data is the app's alone.
DATA = "+@all -@admin -@dangerous +info +keys +flushdb +flushall +sort +swapdb"
# Redis 6.0 knows no channels' patterns and no SORT_RO, and CLIENT is a single command there, which administers.
RULE = f"~* &* {DATA} +sort_ro +client|list +client|unblock"
CLIENT = ("setname", "getname", "id", "list", "reply", "tracking", "caching", "getredir", "unblock")
OLD_RULE = " ".join(("~*", DATA, *(f"+client|{each}" for each in CLIENT)))


@dataclass(frozen=True, slots=True)
class Rights:
    """Whoever opens the socket has the rights of the `rule`. Root has all, by a password that is made once, and that only root can read.

    They are on the disk before anything starts with them, and given to what runs already, which loses nothing.
    """

    app: str
    rule: str = RULE
    engine: Engine = "redis"

    @property
    def ref(self) -> Ref:
        return Ref("redis-rights", self.app)

    def probe(self) -> Probe:
        return Probe("redis_probe_rights", LIBRARY, (self.app, self.rule))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        runs = state["active"] == "active"
        if state["written"] and (not runs or state["loaded"]):
            return None
        now = runs and bool(state["administered"])
        when = ", while it runs" if now else ", from its next start" if runs else ""
        return Change(
            self.ref,
            f"{NAMES[self.engine]} of {self.app}: the app may use what it holds, and only root administer it{when}",
            words("redis_rights", self.app, self.rule, "now" if now else "later"),
            LIBRARY,
        )
