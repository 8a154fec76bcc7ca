"""What must be known about a server before roles can say what it should have.

Kinds of resources contribute facts as they contribute probes. All facts of a host are read by one script, in one
exec.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from provision.engine import parts
from provision.engine.layout import PRELUDE
from provision.engine.resource import Record, record
from provision.engine.shell import joined, library
from provision.errors import PlanError, ProbeError
from provision.untrusted import PATH, understood, word
from provision.untrusted import line as shown

T = TypeVar("T")
SUPPORTED = {"debian": ("11", "12", "13"), "ubuntu": ("22.04",)}
# How many parts of the script run at the same time.
PARTS = 2


@dataclass(frozen=True, slots=True)
class Fact(Generic[T]):
    """One kind of thing to know about a server.

    `function` is defined in the shell text `library`. It prints any number of records, one per line, as
    NAME<TAB>KEY=VALUE.... `parse` turns them into a value.
    """

    name: str
    function: str
    library: str
    parse: Callable[[Sequence[Record]], T]


class Facts:
    """What a server said, by fact: `facts[SYSTEM].memory`."""

    def __init__(self, values: Mapping[Fact[Any], Any]) -> None:
        self._values = dict(values)

    def __getitem__(self, fact: Fact[T]) -> T:
        """The value of a fact."""
        value: T = self._values[fact]
        return value

    def with_(self, fact: Fact[T], value: T) -> "Facts":
        """The same facts, with another value for one."""
        return Facts({**self._values, fact: value})


@dataclass(frozen=True, slots=True)
class System:
    """The server itself. `memory` is in bytes, `now` is the server's clock, `login` is the user who connects."""

    system: str
    version: str
    architecture: str
    cpus: int
    memory: int
    login: str
    home: str
    now: datetime

    @property
    def distribution(self) -> str:
        """The distribution and its version as one word: debian12."""
        return f"{self.system}{self.version}"


def script(facts: Sequence[Fact[Any]]) -> str:
    """The facts script; it changes nothing."""
    libraries = joined(PRELUDE, library(__file__), parts.LIBRARY, *(fact.library for fact in facts))
    return f"{libraries}{parts.together([fact.function for fact in facts], PARTS)}main </dev/null\n"


def parse(output: str, facts: Sequence[Fact[Any]]) -> Facts:
    """The facts in the script's output. Raises PlanError for an unsupported system, ProbeError if a part
    has no end or the output is not what the script prints.
    """
    lines = output.removesuffix("\n").split("\n")
    if not parts.ended(lines, PARTS):
        # A fact may have a password, which stands behind this word.
        last = shown(lines[-1].partition("password=")[0])
        raise ProbeError(f"the facts script ended early; the last line it printed: {last or 'none'}")
    records: dict[str, list[Record]] = {fact.name: [] for fact in facts}
    for line in lines[:-1]:
        name, *fields = line.split("\t")
        if name in records:
            with understood(f"the facts script ({name})"):
                records[name].append(record(tuple(fields)))
    values: dict[Fact[Any], Any] = {}
    for fact in facts:
        with understood(f"the facts script ({fact.name})"):
            values[fact] = fact.parse(records[fact.name])
    return Facts(values)


def _system(records: Sequence[Record]) -> System:
    said = {key: value for each in records for key, value in each.items()}
    system, version = said.get("system", "unknown"), said.get("version", "")
    if not _supported(system, version):
        raise PlanError(
            f"{shown(system, 40)} {shown(version, 40)} is not supported: Debian 11 to 13, Ubuntu 22.04 and newer are"
        )
    if said["init"] != "systemd":
        raise PlanError(
            f"the init system is {shown(said['init'], 40)}, not systemd: a server (not a container of one program) is needed"
        )
    return System(
        system=system,
        version=version,
        architecture=word(said, "architecture"),
        cpus=int(word(said, "cpus", "[0-9]{1,5}")),
        memory=int(word(said, "memory", "[0-9]{1,15}")) * 1024,
        login=word(said, "login", "[A-Za-z0-9_][A-Za-z0-9@._-]{0,63}"),
        home=word(said, "home", PATH),
        now=datetime.fromtimestamp(int(word(said, "now", "[0-9]{1,11}")), UTC),
    )


def _supported(system: str, version: str) -> bool:
    if system == "ubuntu":
        return tuple(map(int, version.split("."))) >= (22, 4)
    return version in SUPPORTED.get(system, ())


SYSTEM = Fact("system", "system_facts", "", _system)
