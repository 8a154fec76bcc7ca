from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from provision.engine.plan import diff, plan
from provision.engine.probe import Observation
from provision.engine.resource import Change, Probe, Refusal, Resource, State

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Thing:
    """Right when its state is `right`; notes what was planned before it."""

    id: str
    saw: list[str] = field(default_factory=list)

    def probe(self) -> Probe:
        return Probe("probe_things", "")

    def plan(self, state: State, before: Mapping[str, Change]) -> Change | None:
        self.saw.extend(before)
        if state == (("impossible",),):
            raise Refusal(f"{self.id} cannot be")
        return None if state == (("right",),) else Change(self.id, f"make {self.id}", "true")


def seen(*states: str) -> Observation:
    return Observation(tuple(((state,),) for state in states), "run-7")


def test_changes_stand_in_the_order_of_the_resources() -> None:
    made = plan([Thing("c"), Thing("a"), Thing("b")], seen("wrong", "right", "wrong"))
    assert [change.id for change in made.changes] == ["c", "b"]
    assert made.total == 3


def test_a_plan_remembers_the_generation_that_it_was_made_from() -> None:
    assert plan([], seen()).generation == "run-7"


def test_a_resource_is_told_of_the_changes_before_it_and_of_no_others() -> None:
    things = [Thing("a"), Thing("b"), Thing("c"), Thing("d")]
    plan(things, seen("wrong", "right", "wrong", "wrong"))
    assert [thing.saw for thing in things] == [[], ["a"], ["a"], ["a", "c"]]


def test_what_cannot_be_ends_the_planning() -> None:
    with pytest.raises(Refusal, match=r"^b cannot be$"):
        plan([Thing("a"), Thing("b"), Thing("c")], seen("wrong", "impossible", "wrong"))


def test_a_resource_without_a_state_is_an_error() -> None:
    things: list[Resource] = [Thing("a"), Thing("b")]
    with pytest.raises(ValueError, match="shorter"):
        plan(things, seen("right"))


def test_a_diff_says_which_side_is_which() -> None:
    assert diff("/etc/motd", "a\nb\n", "a\nc\n").splitlines() == [
        "--- /etc/motd\ton the server",
        "+++ /etc/motd\twanted",
        "@@ -1,2 +1,2 @@",
        " a",
        "-b",
        "+c",
    ]


def test_a_diff_of_the_same_is_empty() -> None:
    assert diff("/etc/motd", "a\n", "a\n") == ""
