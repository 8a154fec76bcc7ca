"""What must be known of a server before its roles can say what it should have."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from provision.engine.shell import library
from provision.errors import PlanError

SUPPORTED = {"debian": ("11", "12", "13"), "ubuntu": ("22.04",)}


@dataclass(frozen=True, slots=True)
class ServerRelease:
    """A release that is complete on the server's disk: it serves, has served, has failed, or is yet to serve."""

    app: str
    id: str
    commit: str
    folder: str
    state: Literal["active", "good", "failed", "new"]

    @property
    def active(self) -> bool:
        return self.state == "active"


@dataclass(frozen=True, slots=True)
class CachedPython:
    """A packed CPython in the controller's cache, and the packages that its libraries come from."""

    path: Path
    sha256: str
    size: int
    packages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Memory in bytes; `now` by the server's clock. `packed` are Pythons that wait to be fetched, `units` the files of
    ours, each with its app, that systemd, Supervisor and cron read, `held` each app's release that is held and its token, `pushed` the commit that each app was last sent.

    The last six are the controller's own knowledge: each app's wanted commit, its packed Pythons, the folder for more
    of them, the releases that are wanted by their id, packs of commits to send, and the lines of a known_hosts file for
    each repository that is read over SSH.
    """

    system: str
    version: str
    architecture: str
    cpus: int
    memory: int
    login: str
    home: str
    now: datetime
    pythons: frozenset[str] = frozenset()
    packed: frozenset[str] = frozenset()
    releases: tuple[ServerRelease, ...] = ()
    units: tuple[tuple[str, str], ...] = ()
    held: Mapping[str, tuple[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    pushed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    commits: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    cached: Mapping[str, CachedPython] = field(default_factory=lambda: MappingProxyType({}))
    cache: Path | None = None
    chosen: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    packs: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))
    host_keys: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def distribution(self) -> str:
        return f"{self.system}{self.version}"


def script() -> str:
    """The facts script; it reads and changes nothing."""
    return f"{library(__file__)}facts </dev/null\n"


def parse(output: str) -> Facts:
    """Raises PlanError for a system that is not supported."""
    single: dict[str, str] = {}
    pythons: set[str] = set()
    packed: set[str] = set()
    releases: list[ServerRelease] = []
    units: list[tuple[str, str]] = []
    pushed: dict[str, str] = {}
    held: dict[str, tuple[str, str]] = {}
    for line in output.splitlines():
        key, *fields = line.split("\t")
        if key == "python":
            pythons.add(fields[0])
        elif key == "packed":
            packed.add(fields[0])
        elif key == "pushed":
            pushed[fields[0]] = fields[1]
        elif key == "unit":
            units.append((fields[0], fields[1]))
        elif key == "held":
            held[fields[0]] = (fields[1], fields[2])
        elif key == "release":
            app, release, commit, folder, state = fields
            releases.append(ServerRelease(app, release, commit, folder, state))  # type: ignore[arg-type]
        else:
            single[key] = fields[0]
    system, version = single.get("system", "unknown"), single.get("version", "")
    if not _supported(system, version):
        raise PlanError(f"{system} {version} is not supported: Debian 11 to 13, Ubuntu 22.04 and newer are")
    if single["init"] != "systemd":
        raise PlanError(
            f"the init system is {single['init']}, not systemd: a server (not a container of one program) is needed"
        )
    return Facts(
        system=system,
        version=version,
        architecture=single["architecture"],
        cpus=int(single["cpus"]),
        memory=int(single["memory"]) * 1024,
        login=single["login"],
        home=single["home"],
        now=datetime.fromtimestamp(int(single["now"]), UTC),
        pythons=frozenset(pythons),
        packed=frozenset(packed),
        releases=tuple(releases),
        units=tuple(units),
        held=held,
        pushed=pushed,
    )


def _supported(system: str, version: str) -> bool:
    if system == "ubuntu":
        return tuple(map(int, version.split("."))) >= (22, 4)
    return version in SUPPORTED.get(system, ())
