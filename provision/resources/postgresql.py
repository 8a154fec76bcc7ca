"""PostgreSQL: databases of apps."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Finding, Probe, Ref, State
from provision.engine.shell import library, words
from provision.errors import PlanError
from provision.untrusted import line as shown
from provision.untrusted import word

LIBRARY = library(__file__)
RESTARTS = "/etc/systemd/system/postgresql@.service.d/provision.conf"
# Debian 12's unit leaves PostgreSQL down after a crash. It is tried again for as long as it takes: a disk that is full has room again some day.
RESTARTING = """\
# PostgreSQL comes back after a crash. Written by provision.
[Unit]
StartLimitIntervalSec=0

[Service]
Restart=on-failure
RestartSec=1
"""


@dataclass(frozen=True, slots=True)
class PostgresDatabase:
    """A database in the server's PostgreSQL, and a role that owns it, both of this name, with these extensions.

    The role is for the system's user of its name, who logs in over the Unix socket without a password (peer authentication,
    https://www.postgresql.org/docs/current/auth-peer.html). No other role may connect to the database. The toolkit knows what is its own
    by a comment on the role; what somebody else made is refused.
    """

    name: str
    extensions: tuple[str, ...] = ()

    @property
    def ref(self) -> Ref:
        return Ref("database", self.name)

    def probe(self) -> Probe:
        return Probe("postgresql_probe", LIBRARY, (self.name,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state["role"] == "theirs" or state["owner"] not in ("", self.name):
            whose = f"belongs to {shown(state['owner'], 70)}" if state["owner"] else "is somebody else's"
            what = "database" if state["owner"] else "role"
            raise PlanError(
                f"{self.name}: PostgreSQL has a {what} of this name that {whose}",
                f"rename the app, or rename that {what}",
            )
        missing = [one for one in self.extensions if one not in state.all("extension")]
        steps = (
            *(() if state["owner"] else ("create it",)),
            *(("let no other role in",) if state["open"] == "yes" else ()),
            *(("let the app in again",) if state["closed"] == "yes" else ()),
            *((f"add {', '.join(missing)}",) if missing else ()),
        )
        if not steps:
            return None
        script = words("postgresql_make", self.name, *missing)
        return Change(self.ref, f"PostgreSQL's database {self.name}: {', '.join(steps)}", script, LIBRARY)


@dataclass(frozen=True, slots=True)
class NoDatabase:
    """Neither the database nor its roles, if the toolkit made them, where no change in `also` removes them."""

    name: str
    also: Ref

    @property
    def ref(self) -> Ref:
        return Ref("database", self.name)

    def probe(self) -> Probe:
        return Probe("postgresql_probe", LIBRARY, (self.name,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state["role"] != "ours" or state["owner"] not in ("", self.name) or self.also in earlier:
            return None
        what = f"PostgreSQL's database {self.name}: drop it with all data, and its roles"
        return Change(self.ref, what, words("postgresql_remove", self.name), LIBRARY, phase="finish")


@dataclass(frozen=True, slots=True)
class PostgresConnections:
    """PostgreSQL allows as many connections as apps keep at once. Never a change.

    `wanted` has how many each app keeps, by its name, with two releases of it running. Where PostgreSQL does not answer, nothing is known.
    """

    wanted: tuple[tuple[str, int], ...]

    @property
    def ref(self) -> Ref:
        return Ref("connections", "postgresql")

    def probe(self) -> Probe:
        return Probe("postgresql_probe_connections", LIBRARY, ())

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        return None

    def findings(self, state: State, planned: Mapping[Ref, Change] | None) -> tuple[Finding, ...]:
        if not state:
            return ()
        free, wanted = int(word(state.records[0], "free", "[0-9]{1,7}")), sum(count for _, count in self.wanted)
        each = ", ".join(f"{app} {count}" for app, count in self.wanted)
        if wanted <= free:
            return (
                Finding(
                    "connections", "ok", f"PostgreSQL allows {free} connections; during a deploy the apps keep {each}"
                ),
            )
        what = f"PostgreSQL allows {free} connections, and during a deploy the apps keep up to {wanted} ({each}): what is more is refused"
        fix = "use fewer workers, smaller pools (and say so with database.pool), or raise max_connections of PostgreSQL and restart it"
        return (Finding("connections", "warn", what, fix),)
