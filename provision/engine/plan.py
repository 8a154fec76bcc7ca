"""From the present states to the changes that are needed. No I/O."""

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from provision.engine.probe import Observation
from provision.engine.resource import Change, Finding, Guard, Phase, Ref, Resource, State
from provision.errors import PlanError
from provision.untrusted import understood

PHASES: tuple[Phase, ...] = get_args(Phase)


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes in the order in which they are made. `total` counts the resources; `warnings` are lines."""

    changes: tuple[Change, ...]
    total: int
    generation: str
    warnings: tuple[str, ...] = ()

    def for_phase(self, phase: Phase | None, generation: str = "") -> "Plan":
        """The changes of one phase (None: of all). `generation` is the server's last run, if not the probed one."""
        changes = tuple(change for change in self.changes if phase in (None, change.phase))
        return Plan(changes, len(changes), generation or self.generation)

    def undone(self, made: Collection[Ref], generation: str) -> "Plan":
        """The changes that undo those in `made`, last first; those that cannot be undone are left out."""
        changes = tuple(
            Change(change.ref, f"undo: {change.summary}", change.undo, change.library)
            for change in reversed(self.changes)
            if change.undo and change.ref in made
        )
        return Plan(changes, len(changes), generation)


def plan(resources: Sequence[Resource], seen: Observation) -> Plan:
    """The changes that the resources need, by phase and then in the order of the resources: on a server with
    several apps, all are prepared before any is activated. What stops changes is only a warning where there are none. Raises PlanError; ProbeError for a state that no probe prints.
    """
    changes: dict[Ref, Change] = {}
    for resource, state in zip(resources, seen.states, strict=True):
        with understood(f"the probe of {resource.ref}"):
            change = resource.plan(_then(resource, state, changes), changes)
        if change:
            changes[change.ref] = change
    bad = [one for one in findings(resources, seen, changes) if one.level != "ok"]
    stop = next((one for one in bad if one.level == "stop"), None)
    if stop and changes:
        raise PlanError(stop.what, stop.fix)
    ordered = sorted(changes.values(), key=lambda change: PHASES.index(change.phase))
    return Plan(tuple(ordered), len(resources), seen.generation, tuple(map(str, bad)))


def _then(resource: Resource, state: State, changes: Mapping[Ref, Change]) -> State:
    """The state that the resource has once these changes are made: none, if one of them empties the place."""
    emptied = tuple(path for change in changes.values() for path in change.empties)
    places = resource.probe().item if emptied else ()
    gone = any(place == path or place.startswith(f"{path}/") for place in places for path in emptied)
    return State() if gone else state


def findings(
    resources: Sequence[Resource], seen: Observation, planned: Mapping[Ref, Change] | None
) -> tuple[Finding, ...]:
    """What the guards among the resources found, in their order."""
    found: list[Finding] = []
    for resource, state in zip(resources, seen.states, strict=True):
        if isinstance(resource, Guard):
            with understood(f"the probe of {resource.ref}"):
                found.extend(resource.findings(state, planned))
    return tuple(found)


def examine(resources: Sequence[Resource], seen: Observation) -> tuple[Finding, ...]:
    """Everything that would stop or mar a run: what the guards found, and each resource that cannot be planned."""
    changes: dict[Ref, Change] = {}
    refused: list[Finding] = []
    for resource, state in zip(resources, seen.states, strict=True):
        try:
            with understood(f"the probe of {resource.ref}"):
                change = resource.plan(_then(resource, state, changes), changes)
        except PlanError as error:
            refused.append(Finding(resource.ref.kind, "stop", error.what, error.fix))
        else:
            if change:
                changes[change.ref] = change
    said = {one.what for one in refused}
    return (*refused, *(one for one in findings(resources, seen, None) if one.what not in said))


def diff(path: str, old: str, new: str) -> str:
    """A unified diff with three lines of context; empty if nothing differs."""
    lines = list(
        difflib.unified_diff(old.splitlines(), new.splitlines(), path, path, "on the server", "wanted", lineterm="")
    )
    return "\n".join(lines)
