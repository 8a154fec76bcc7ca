"""PostgreSQL's settings."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.layout import Toolkit
from provision.engine.resource import Change, Finding, Probe, Ref, State
from provision.engine.shell import library, words
from provision.resources import postgresql
from provision.untrusted import line as shown

LIBRARY = f"{postgresql.LIBRARY}{library(__file__)}"
FEW = 4
# What is not restarted for a setting may be for who is let in.
RESTARTED = Ref("clients", "postgresql")
KIB = {"kB": 1, "MB": 1024, "GB": 1024**2}


def same(one: str, other: str) -> bool:
    """Whether two values are the same, or sizes within a tenth: a server's memory differs a little from kernel to kernel."""
    one, other = (re.sub(r"\s*,\s*", ", ", each) for each in (one, other))
    sizes = [re.fullmatch(r"(\d{1,12})(kB|MB|GB)", each) for each in (one, other)]
    if not all(sizes):
        return one == other
    first, second = (int(size[1]) * KIB[size[2]] for size in sizes if size)
    return abs(first - second) <= max(first, second) / 10


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """Settings of the server's PostgreSQL, by name: those that it is `asked` for, and those that `suit` the server.

    The latter are for a PostgreSQL that came with the toolkit, and leave alone what somebody set in its own files. They are set by `ALTER
    SYSTEM` (https://www.postgresql.org/docs/current/sql-altersystem.html), as its folders are its user's, where root writes nothing. What
    needs a restart gets one at once where there is no database yet; otherwise it waits for the next one.
    """

    asked: tuple[tuple[str, str], ...]
    suit: tuple[tuple[str, str], ...]

    @property
    def ref(self) -> Ref:
        return Ref("settings", "postgresql")

    def probe(self) -> Probe:
        return Probe("postgresql_probe_settings", LIBRARY, (Toolkit().postgresql,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state["installed"] == "yes" and state["answers"] != "yes":
            return None
        wanted = self._wanted(state)
        now = {each["name"]: each["set"] for each in state.records if "set" in each}
        new = {name: value for name, value in wanted.items() if name not in now or not same(now[name], value)}
        old = sorted((set(state.all("noted")) & now.keys()) - wanted.keys())
        restart = not state["data"] and bool(state["pending"])
        if not new and not old and not restart:
            return None
        steps = (
            *((f"set {', '.join(new) if len(new) <= FEW else f'{len(new)} parameters'}",) if new else ()),
            *((f"reset {', '.join(old)}",) if old else ()),
            *((f"restart it for {', '.join(map(shown, state.all('pending')))}",) if restart else ()),
        )
        diff = "".join(
            [
                *(f"-{name} = {shown(now[name])}\n" for name in (*new, *old) if name in now),
                *(f"+{name} = {value}\n" for name, value in new.items()),
            ]
        )
        script = words(
            "postgresql_set", *(f"{name}={value}" for name, value in new.items()), *(f"-{name}" for name in old)
        )
        return Change(self.ref, f"PostgreSQL: {', '.join(steps)}", script, LIBRARY, diff)

    def findings(self, state: State, planned: Mapping[Ref, Change] | None) -> tuple[Finding, ...]:
        """What waits for a restart."""
        pending = [shown(each, 63) for each in state.all("pending")]
        if not state["data"] or not pending or RESTARTED in (planned or {}):
            return ()
        what = (
            f"PostgreSQL has not taken over {', '.join(pending)} yet: that needs a restart, which ends its connections"
        )
        return (Finding("settings", "warn", what, "run systemctl restart postgresql on the server when it suits"),)

    def _wanted(self, state: State) -> dict[str, str]:
        ours = state["installed"] != "yes" or state["ours"] == "yes"
        suit = {name: value for name, value in self.suit if name not in state.all("hand")} if ours else {}
        return suit | dict(self.asked)
