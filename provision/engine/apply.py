"""All changes of a host as one script that runs detached on the server, and its events."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from provision.engine import access, found, lease
from provision.engine.layout import PRELUDE
from provision.engine.plan import Plan
from provision.engine.resource import Change
from provision.engine.shell import joined, library, words
from provision.errors import ProbeError
from provision.untrusted import line as shown

LIBRARY = f"{PRELUDE}{library(__file__)}{lease.LIBRARY}{found.LIBRARY}{library(access.__file__)}"
# How long the undoing of a fleet's run waits for whatever the run left going on.
UNDO_SECONDS = 300
# Characters in one pattern of sed; those that are special there, and how they are written.
LONGEST = 512
SPECIAL, ESCAPED = re.compile(r"[\]\[\\.*^$/]"), r"\\\g<0>"
Kind = Literal[
    "locked", "stale", "expired", "lost", "begin", "out", "notice", "asks", "error", "done", "failed", "stopped", "end"
]
OF_CHANGES = ("begin", "out", "notice", "asks", "error", "done", "failed", "stopped")


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a run's events file.

    `change` is the number of the change in the plan, from 0; -1 if there is none. `text` is a line of output, a notice to the user, the reason of a failure, the
    holder of the lock, an exit status, or, of an event that `asks` for a new login, the token that this gives and
    how many seconds it is waited for. `offset` is the line's number in the file, from 1.
    """

    kind: Kind
    change: int
    text: str
    offset: int


def start(
    plan: Plan,
    run: str,
    who: str,
    task: str,
    fleet: str = "",
    undoes: bool = False,
    hidden: Sequence[str] = (),
) -> str:
    """The script that takes the lock, starts the run in a session of its own, and follows its events.

    No event has any of the texts in `hidden`. In a run of a `fleet`, which must hold the server, what can be undone is unconfirmed before it is made. A run that
    `undoes` settles that.
    """
    main = f"END_OF_RUN_{run.replace('-', '_')}"
    wait = UNDO_SECONDS if undoes else 1
    start = words("run_start", run, plan.generation, who, task, fleet, str(wait))
    begin = words("run_begin", run, who, task, str(len(plan.changes)))
    if undoes:
        begin = f"settles=run\n{begin}"
    elif fleet:
        begin = f"{begin}\n{_unconfirmed(plan, run, who, task)}"
    if hidden:
        begin = f"run_hides <<'END_OF_HIDDEN'\n{_hiding(hidden)}END_OF_HIDDEN\n{begin}"
    return (
        f"{LIBRARY}main() {{\n{start} <<'{main}'\n{_runner(plan.changes, begin)}{main}\n"
        f"run_follow {words(run)} 1\n}}\nmain </dev/null\n"
    )


def hold(fleet: str, generation: str, who: str, task: str) -> str:
    """The script that takes the lease of a server that has this generation, and keeps it for as long as it is told to.

    It answers each line that it reads with `held`, and says that first; or it prints the event that says why not.
    Without a generation, it goes on with the lease that the fleet has.
    """
    return f"{LIBRARY}{words('lease_keep', fleet, generation, str(lease.SECONDS), who, task)}\n"


def follow(run: str, offset: int) -> str:
    """The script that follows a run's events from line `offset` on."""
    return f"{LIBRARY}run_follow {words(run, str(offset))} </dev/null\n"


def stop(run: str) -> str:
    """The script that asks a run to end after its current change."""
    return f"{LIBRARY}run_stop {words(run)} </dev/null\n"


def _hiding(hidden: Sequence[str]) -> str:
    """A program for sed that hides texts in lines. Those that are too long for a pattern are hidden part by part."""
    parts = (text[start : start + LONGEST] for text in hidden for start in range(0, len(text), LONGEST))
    lines = dict.fromkeys(part for part in parts if "\n" not in part and len(part) >= 4)
    return "".join(f"s/{SPECIAL.sub(ESCAPED, line)}/********/g\n" for line in lines)


def _unconfirmed(plan: Plan, run: str, who: str, task: str) -> str:
    undone = plan.undone([change.ref for change in plan.changes], run)
    if not undone.changes:
        return ""
    program, count = f"{run}-undo", str(len(undone.changes))
    begin = "\n".join(
        (
            "settles=self",
            words("lease_await", program, who, task),
            words("run_begin", program, who, f"undo of {task}", count),
        )
    )
    return f"lease_unconfirmed <<'END_OF_UNDO'\n{_runner(undone.changes, begin)}END_OF_UNDO"


def _runner(changes: Sequence[Change], begin: str) -> str:
    libraries = joined(LIBRARY, *(change.library for change in changes))
    steps = "\n".join(
        f"run_change {number} {words(change.id)} <<'END_OF_CHANGE_{number}'\n{change.script}\nEND_OF_CHANGE_{number}"
        for number, change in enumerate(changes)
    )
    return f"{libraries}main() {{\n{begin}\n{steps}\nrun_finish 0\n}}\nmain </dev/null\n"


def events(lines: Iterator[str], offset: int = 1, count: int = 100_000) -> Iterator[Event]:
    """The events in lines of the form KIND<TAB>CHANGE<TAB>TEXT, of a run of so many changes.

    Raises ProbeError for a line of another form.
    """
    for number, line in enumerate(lines, offset):
        kind, change, text = (*line.split("\t", 2), "", "")[:3]
        known = re.fullmatch("[0-9]{1,6}", change) and int(change) < count if kind in OF_CHANGES else not change
        if kind not in get_args(Kind) or not known:
            raise ProbeError(f"the server's answer is not an event of a run: {shown(line)}")
        yield Event(kind, int(change or -1), text, number)  # type: ignore[arg-type]
