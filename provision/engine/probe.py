"""All probes of a host as one read-only script, and its output as one state per resource."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from provision.engine import lease, parts
from provision.engine.layout import PRELUDE
from provision.engine.resource import Resource, Row, State
from provision.engine.shell import joined, library
from provision.errors import ProbeError
from provision.untrusted import line as shown
from provision.untrusted import understood

# How many parts of the script run at the same time.
PARTS = 4
NUMBER = re.compile("[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class Lock:
    """Who is changing the server right now."""

    who: str
    since: str
    run: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What the probe script saw. `generation` is the last run that was started on the server."""

    states: tuple[State, ...]
    generation: str
    lock: Lock | None = None


def script(resources: Sequence[Resource]) -> str:
    """The probe script: each kind's function is called once, with all items of its kind."""
    probes = [resource.probe() for resource in resources]
    items: dict[str, list[str]] = {}
    for number, probe in enumerate(probes):
        items.setdefault(probe.function, []).append("\t".join((str(number), *probe.item)))
    calls = [
        f"{function} <<'END_OF_ITEMS'\n" + "\n".join(lines) + "\nEND_OF_ITEMS" for function, lines in items.items()
    ]
    libraries = joined(PRELUDE, library(__file__), parts.LIBRARY, lease.LIBRARY, *(probe.library for probe in probes))
    return f"{libraries}{parts.together(['probe_lock', *calls], PARTS)}main </dev/null\n"


def parse(output: str, count: int) -> Observation:
    """The states of `count` resources. Raises ProbeError if a part has no end, or the output is not what the script prints."""
    lines = output.removesuffix("\n").split("\n")
    if not parts.ended(lines, PARTS):
        raise ProbeError(f"the probe script ended early; the last line it printed: {shown(lines[-1]) or 'none'}")
    states: list[list[Row]] = [[] for _ in range(count)]
    generation, lock = "", None
    with understood("the probe script"):
        for line in lines[:-1]:
            key, *fields = line.split("\t")
            if line == parts.END:
                continue
            if key == "generation":
                generation = fields[0]
            elif key == "lock":
                lock = Lock(*(*fields, "", "", "")[:3])
            elif NUMBER.fullmatch(key):
                states[int(key)].append(tuple(fields))
            else:
                raise ValueError(f"no resource has the number {shown(key, 40)}")
    return Observation(tuple(State(rows) for rows in states), generation, lock)
