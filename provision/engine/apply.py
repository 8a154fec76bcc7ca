"""All changes of a host as one script that runs detached on the server, and its events."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from provision.engine.layout import PRELUDE
from provision.engine.plan import Plan
from provision.engine.resource import Change
from provision.engine.shell import joined, library, words

LIBRARY = f"{PRELUDE}{library(__file__)}"
Kind = Literal["locked", "stale", "lost", "begin", "out", "done", "failed", "stopped", "end"]


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a run's events file.

    `change` is the number of the change in the plan, from 0; -1 if there is none. `text` is a line of output, the
    holder of the lock, or an exit status. `offset` is the line's number in the file, from 1.
    """

    kind: Kind
    change: int
    text: str
    offset: int


def start(plan: Plan, run: str, who: str, task: str) -> str:
    """The script that takes the lock, starts the run in a session of its own, and follows its events."""
    main = f"END_OF_RUN_{run.replace('-', '_')}"
    return (
        f"{LIBRARY}main() {{\n"
        f"run_start {words(run, plan.generation, who, task)} <<'{main}'\n{_runner(plan.changes, run, who, task)}{main}\n"
        f"run_follow {words(run)} 1\n}}\nmain </dev/null\n"
    )


def follow(run: str, offset: int) -> str:
    """The script that follows a run's events from line `offset` on."""
    return f"{LIBRARY}run_follow {words(run, str(offset))} </dev/null\n"


def stop(run: str) -> str:
    """The script that asks a run to end after its current change."""
    return f"{LIBRARY}run_stop {words(run)} </dev/null\n"


def _runner(changes: Sequence[Change], run: str, who: str, task: str) -> str:
    libraries = joined(LIBRARY, *(change.library for change in changes))
    steps = "\n".join(
        f"run_change {number} {words(change.id)} <<'END_OF_CHANGE_{number}'\n{change.script}\nEND_OF_CHANGE_{number}"
        for number, change in enumerate(changes)
    )
    return f"{libraries}main() {{\nrun_begin {words(run, who, task)} {len(changes)}\n{steps}\nrun_finish 0\n}}\nmain </dev/null\n"


def events(lines: Iterator[str], offset: int = 1) -> Iterator[Event]:
    """The events in lines of the form KIND<TAB>CHANGE<TAB>TEXT."""
    for number, line in enumerate(lines, offset):
        kind, change, text = (*line.split("\t", 2), "", "")[:3]
        yield Event(kind, int(change or -1), text, number)  # type: ignore[arg-type]
