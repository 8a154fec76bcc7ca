"""The vocabulary: Ref, Probe, State, Change, Resource."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol, runtime_checkable

Row = tuple[str, ...]
Record = Mapping[str, str]


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """A resource's name: its kind, and a name that is unique within the kind on one host."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Probe:
    """How to read the state of one thing.

    `function` is defined in the shell text `library`. It is called once for all items of its kind, reads them on
    standard input, one a line, as `NUMBER<TAB>FIELD...`, and prints any number of records, one a line, as
    `NUMBER<TAB>KEY=VALUE...`. It changes nothing. Fields and values hold no tab and no newline.
    """

    function: str
    library: str
    item: Row = ()


class State(tuple[Row, ...]):
    """What a probe printed about one resource: rows of fields KEY=VALUE. It is empty if there is nothing."""

    @classmethod
    def of(cls, *records: Mapping[str, object]) -> "State":
        """The state with these records."""
        return cls(tuple(f"{key}={value}" for key, value in each.items()) for each in records)

    def __getitem__(self, key: str) -> str:  # type: ignore[override]
        """The first value of a key; empty if no record has it."""
        return next(iter(self.all(key)), "")

    def all(self, key: str) -> tuple[str, ...]:
        """The values of a key in all records."""
        return tuple(each[key] for each in self.records if key in each)

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """Each row as a mapping."""
        return tuple(map(record, self))


def record(fields: Row) -> Record:
    """Fields of the form KEY=VALUE as a mapping; others are ignored.

    Raises ValueError if a key is there twice: then a value held a tab, and the rest of it would take the place of what was said before.
    """
    pairs = [field.split("=", 1) for field in fields if "=" in field]
    found: dict[str, str] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:40]} is there twice")
        found[key] = value
    return MappingProxyType(found)


@dataclass(frozen=True, slots=True)
class Transfer:
    """A file too large for a script, sent beside it. `size` is in bytes."""

    local: Path
    remote: str
    sha256: str = ""
    size: int = 0


Phase = Literal["prepare", "once", "rolling", "finish"]


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a plan. `script` is idempotent POSIX sh, run as root with `set -eu`, and atomic in its effect.

    The phases, in order: `prepare` does not affect traffic and runs on all hosts at once; `once` runs on one host,
    and the others then run `follower_script`, if any; `rolling` runs host by host, in batches; `finish` runs when
    all hosts have come that far. `undo` is the script that undoes the change. `agent` names the setting because of
    which the change uses the controller's SSH agent. `empties` are paths at which there is nothing once it is made. What its
    script says with `notice TEXT` is shown to the user.
    """

    ref: Ref
    summary: str
    script: str
    library: str = ""
    diff: str = ""
    upload: Transfer | None = None
    download: Transfer | None = None
    phase: Phase = "prepare"
    undo: str = ""
    follower_script: str = ""
    agent: str = ""
    empties: Row = ()

    @property
    def id(self) -> str:
        """The resource's name as text: KIND:NAME."""
        return str(self.ref)


class Resource(Protocol):
    """The desired state of one thing on a server: a frozen value that does no I/O."""

    @property
    def ref(self) -> Ref:
        """The resource's name, unique on a host."""
        ...

    def probe(self) -> Probe:
        """How to read the resource's state."""
        ...

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        """The change that is needed, if any. Raises PlanError.

        `state` is what the probe printed about this resource. `earlier` has the changes planned so far, so that a
        service knows that its configuration is about to change.
        """
        ...


Level = Literal["ok", "warn", "stop"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at a server found, in one line: all is well, a warning, or why no change can be made; and what to do about it."""

    check: str
    level: Level
    what: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.fix}" if self.fix else self.what


@runtime_checkable
class Guard(Protocol):
    """A resource that looks at what changes need and none of them makes: room, memory, open ports."""

    def findings(self, state: State, planned: Mapping[Ref, Change] | None) -> tuple[Finding, ...]:
        """What was found. `planned` has all the changes of the plan; None: all that could matter is meant.

        Raises ValueError for what no probe prints.
        """
        ...
