"""The words that everything speaks: Resource, Probe, Change."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

Row = tuple[str, ...]
State = tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Probe:
    """How to read the state of one thing.

    `function` is defined in the shell text `library`. It is called once for all items of its kind, reads them on
    standard input, one a line, as `NUMBER<TAB>FIELD...`, and prints any number of lines `NUMBER<TAB>FIELD...`.
    It changes nothing. Fields hold no tab and no newline.
    """

    function: str
    library: str
    item: Row = ()


@dataclass(frozen=True, slots=True)
class Transfer:
    """A file too large for a script; it travels over SFTP. Sizes in bytes."""

    local: Path
    remote: str
    sha256: str = ""
    size: int = 0


Phase = Literal["prepare", "migrate", "activate", "finish"]


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a plan. `script` is idempotent POSIX sh, run with `set -eu` as root, and atomic in its effect.

    What is to `prepare` has no effect on traffic and is done on all hosts at once; `migrate` on one host; `activate`
    host by host; what is to `finish` waits until all have activated. `undo` is the script that takes an activation back,
    `elsewhere` what the other hosts run once one host has migrated; `previews` are apps, and the tokens with which their
    held releases can be looked at once it is done; an empty one ends what was. `agent`: while it is made, it asks the
    controller's SSH agent. A line `notice: TEXT` that it prints is for whoever started the run.
    """

    id: str
    summary: str
    script: str
    library: str = ""
    diff: str = ""
    upload: Transfer | None = None
    download: Transfer | None = None
    phase: Phase = "prepare"
    undo: str = ""
    follower_script: str = ""
    previews: tuple[tuple[str, str], ...] = ()
    agent: bool = False


class Resource(Protocol):
    """The desired state of one thing on a server: a frozen value that does no I/O."""

    @property
    def id(self) -> str: ...

    def probe(self) -> Probe: ...

    def plan(self, state: State, earlier: Mapping[str, Change]) -> Change | None:
        """The change that is needed, or none.

        `state` is what the probe printed for this resource; `earlier` are the changes already planned, by id, so
        that a service knows that its configuration is about to change. Raises PlanError.
        """
        ...
