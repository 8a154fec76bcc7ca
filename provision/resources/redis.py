"""Redis, or Valkey, which is like it: an instance of its own for each app."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Literal

from provision.engine.facts import Fact
from provision.engine.resource import Change, Probe, Record, Ref, State
from provision.engine.shell import library, words
from provision.errors import PlanError
from provision.resources.dropin import DropIn
from provision.untrusted import line as shown
from provision.untrusted import word

Engine = Literal["redis", "valkey"]
LIBRARY = library(__file__)
MIB = 1024**2
NAMES: Mapping[str, str] = MappingProxyType({"redis": "Redis", "valkey": "Valkey"})
UNIT = "/etc/systemd/system/provision-redis@.service"
# redis-tools has the whole program, which is Redis if that is what it is called. The package redis-server would add no more than a link to it,
# and an instance on port 6379. Its own user and its app's group: the app reaches the socket, and can neither end the process nor write its files.
UNIT_TEXT = """\
# Written by provision.
[Unit]
Description=Redis of the app %i
Before=%i@blue.service %i@green.service
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart=@/usr/bin/redis-check-rdb redis-server /etc/provision/redis/%i.conf
DynamicUser=yes
User=kv_%i
Group=%i
StateDirectory=provision-redis/%i
StateDirectoryMode=0700
RuntimeDirectory=provision-redis/%i
RuntimeDirectoryMode=0750
Restart=always
RestartSec=1
TimeoutStartSec=600
LimitNOFILE=65536

InaccessiblePaths=-/srv -/etc/%i
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateNetwork=yes
PrivateUsers=yes
ProtectProc=invisible
ProcSubset=pid
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
KeyringMode=private
# With 0077, the systemd of Debian 11 could not enter the folders above its state, which it makes with this.
UMask=0066
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""
# valkey-tools has the whole program, too, under another name.
VALKEY_TEXT = """\
[Service]
ExecStart=
ExecStart=@/usr/bin/valkey-check-rdb valkey-server /etc/provision/redis/%i.conf
"""
STAMP = sha256(UNIT_TEXT.encode()).hexdigest()
RELOAD = "systemctl daemon-reload"


@dataclass(frozen=True, slots=True)
class Found:
    """The engine that an app has on a server; if it is not `there`, only what it wrote to the disk is left."""

    engine: Engine
    there: bool = True


def _found(records: Iterable[Record]) -> Mapping[str, Found]:
    return {
        word(each, "app", "[a-z][a-z0-9-]{0,31}"): Found(
            "valkey" if word(each, "engine", "redis|valkey") == "valkey" else "redis",
            word(each, "there", "yes|no") == "yes",
        )
        for each in records
    }


# What a server has, by app.
CACHES = Fact("cache", "cache_facts", LIBRARY, _found)


@dataclass(frozen=True, slots=True)
class Redis:
    """An app's Redis, which holds `memory` bytes at most: it runs, starts at a boot, and has these settings now.

    What can be set while it runs is; anything else is a restart, with which it loses what it holds unless it is `persistent`. The probe asks
    the process itself, as whoever reaches it can set it otherwise.
    """

    app: str
    memory: int
    policy: str
    persistent: bool
    engine: Engine = "redis"

    @property
    def ref(self) -> Ref:
        return Ref("redis", self.app)

    @property
    def set_live(self) -> dict[str, str]:
        """The settings that can change while it runs."""
        return {
            "maxmemory": str(self.memory),
            "maxmemory-policy": self.policy,
            "appendonly": "yes" if self.persistent else "no",
            "save": "",
        }

    @property
    def set_at_start(self) -> dict[str, str]:
        """The others."""
        return {"port": "0", "unixsocket": f"/run/provision-redis/{self.app}/redis.sock", "unixsocketperm": "770"}

    @property
    def files(self) -> tuple[DropIn, ...]:
        """What it starts with."""
        return (
            DropIn(UNIT, UNIT_TEXT, RELOAD),
            DropIn(f"/etc/provision/redis/{self.app}.conf", self._configuration()),
        )

    @property
    def program(self) -> DropIn:
        """Which program its unit runs."""
        path = f"/etc/systemd/system/provision-redis@{self.app}.service.d/engine.conf"
        return DropIn(path, VALKEY_TEXT if self.engine == "valkey" else "", RELOAD)

    @property
    def limits(self) -> DropIn:
        """What the server lets it have: room for a copy of all that it holds, while it writes that to the disk. A lower limit comes once it
        holds less.
        """
        path = f"/etc/systemd/system/provision-redis@{self.app}.service.d/provision.conf"
        return DropIn(path, f"[Service]\nMemoryMax={2 * self.memory // MIB + 64}M\n", RELOAD)

    def _configuration(self) -> str:
        settings = {
            **self.set_at_start,
            "aclfile": f"/etc/provision/redis/{self.app}.acl",
            "dir": f"/var/lib/provision-redis/{self.app}",
            "daemonize": "no",
            "supervised": "systemd",
            **self.set_live,
        }
        empty = '""'
        lines = (f"{key} {value or empty}" for key, value in settings.items())
        return "\n".join((f"# Redis of {self.app}. Written by provision.", *lines, ""))

    def probe(self) -> Probe:
        return Probe("redis_probe", LIBRARY, (self.app, " ".join((*self.set_at_start, *self.set_live))))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        enable = {"enabled": (), "masked": ("unmask",), "masked-runtime": ("unmask",)}.get(
            state["enabled"], ("enable",)
        )
        if state["active"] != "active":
            return self._change((*enable, "start"), "restart")
        why = self._outdated(state, earlier)
        if why:
            held = "what it holds is read again" if self.persistent else "what it holds is lost"
            return self._change((*enable, f"restart ({why}; {held})"), "restart")
        differs = {key: value for key, value in self.set_live.items() if state[f"set.{key}"] != value}
        close = () if state["folder"] == f"750 {self.app}" else ("let nobody else in",)
        if not enable and not close and not differs:
            return None
        self._check_room(state)
        steps = [f"{key} {_word(state[f'set.{key}'])} -> {_word(differs[key])}" for key in differs]
        if steps:
            steps[-1] += ", while it runs"
        return self._change((*enable, *close, *steps), "live", *(part for pair in differs.items() for part in pair))

    def _outdated(self, state: State, earlier: Mapping[Ref, Change]) -> str:
        """Why it has to start again; empty if it need not."""
        if state["engine"] not in ("", self.engine):
            return f"{NAMES[self.engine]} in the place of {NAMES.get(state['engine'], 'another')}"
        if Ref("dropin", UNIT) in earlier or state["stamp"] != STAMP:
            return "its unit changed"
        if state["program"] == "old":
            return "its program was updated"
        if any(state[f"set.{key}"] != value for key, value in self.set_at_start.items()):
            return "it does not say that it has its configuration"
        return ""

    def _check_room(self, state: State) -> None:
        used = int(state["used"]) if state["used"].isdecimal() else 0
        if self.policy == "noeviction" and used > self.memory:
            raise PlanError(
                f"{self.app}: its {NAMES[self.engine]} holds {used // MIB + 1} MiB, may hold {self.memory // MIB} MiB by cache.memory, and forgets nothing",
                "allow it more, or let the app take something out first",
            )

    def _change(self, steps: Iterable[str], how: str, *settings: str) -> Change:
        script = words("redis_ensure", self.app, STAMP, self.engine, how, *settings)
        return Change(self.ref, f"{NAMES[self.engine]} of {self.app}: {', '.join(steps)}", script, LIBRARY)


def _word(value: str) -> str:
    return shown(value, 40) or "none"


@dataclass(frozen=True, slots=True)
class Moved:
    """What an app's other engine holds goes along to this one, if it is `persistent`, and is gone otherwise: the other has ended then.

    Redis 8 and Valkey do not read each other's dumps. Both read commands, so the one writes those, and goes on with them where the other cannot.
    """

    app: str
    engine: Engine
    persistent: bool

    @property
    def ref(self) -> Ref:
        return Ref("redis-engine", self.app)

    def probe(self) -> Probe:
        return Probe("redis_probe_engine", LIBRARY, (self.app,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        other = state["runs"] or state["engine"]
        if other in ("", self.engine):
            return None
        names = f"{NAMES[self.engine]} in the place of {NAMES.get(other, 'another')}"
        kept = shown(state["kept"], 100)
        if state["runs"] and self.persistent:
            return self._change(f"{names}: what it holds goes along; it does not answer meanwhile", "yes")
        if not state["runs"] and kept and self.persistent and not state["moved"]:
            raise PlanError(
                f"{self.app}: {names} cannot read what is in {kept}, and {NAMES.get(other, 'the other')}, which can, does not run",
                f"deploy once with engine: {'valkey' if other == 'valkey' else 'redis-server'}, and then with this one; or remove that folder",
            )
        if state["runs"] or (kept and not self.persistent):
            more = f", and {kept} is removed" if kept else ""
            return self._change(f"{names}: what it holds is lost{more}", "no")
        return None

    def _change(self, summary: str, along: str) -> Change:
        return Change(self.ref, f"cache of {self.app}: {summary}", words("redis_move", self.app, along), LIBRARY)


@dataclass(frozen=True, slots=True)
class NoRedis:
    """An app's Redis is gone, once the release that may need it does not serve any more. What it wrote to the disk stays."""

    app: str

    @property
    def ref(self) -> Ref:
        return Ref("redis", self.app)

    def probe(self) -> Probe:
        return Probe("redis_probe_gone", LIBRARY, (self.app,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if not state["there"]:
            return None
        stays = f"; {shown(state['kept'], 100)} stays" if state["kept"] else ""
        summary = f"{NAMES.get(state['engine'], 'Redis')} of {self.app}: stop and remove{stays}"
        return Change(self.ref, summary, words("redis_remove", self.app), LIBRARY, phase="finish")
