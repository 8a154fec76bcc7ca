"""From what is and what should be to the changes in between. No I/O."""

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import get_args

from provision.engine.probe import Observation
from provision.engine.resource import Change, Phase, Ref, Resource

PHASES: tuple[Phase, ...] = get_args(Phase)


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes, in the order in which they are made. `total` counts the resources."""

    changes: tuple[Change, ...]
    total: int
    generation: str

    def for_phase(self, phase: Phase | None, generation: str = "") -> "Plan":
        """The changes of one phase (None: of all), for a server whose last run was `generation`, if not the probed one."""
        changes = tuple(change for change in self.changes if phase in (None, change.phase))
        return Plan(changes, len(changes), generation or self.generation)

    def undone(self, made: Collection[Ref], generation: str) -> "Plan":
        """The changes that undo those that were `made` and can be undone; last first."""
        changes = tuple(
            Change(change.ref, f"undo: {change.summary}", change.undo, change.library)
            for change in reversed(self.changes)
            if change.undo and change.ref in made
        )
        return Plan(changes, len(changes), generation)


def plan(resources: Sequence[Resource], seen: Observation) -> Plan:
    """One phase after the other, and in a phase in the order of the resources: on a server with several apps, all are prepared
    before one is activated. Raises PlanError when a resource cannot become what it should be.
    """
    changes: dict[Ref, Change] = {}
    for resource, state in zip(resources, seen.states, strict=True):
        change = resource.plan(state, changes)
        if change:
            changes[change.ref] = change
    ordered = sorted(changes.values(), key=lambda change: PHASES.index(change.phase))
    return Plan(tuple(ordered), len(resources), seen.generation)


def diff(path: str, old: str, new: str) -> str:
    """A unified diff with three lines of context; empty when nothing differs."""
    lines = list(
        difflib.unified_diff(old.splitlines(), new.splitlines(), path, path, "on the server", "wanted", lineterm="")
    )
    return "\n".join(lines)
