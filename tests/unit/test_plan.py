from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

import pytest

from provision.engine.plan import Plan, diff, plan
from provision.engine.probe import Observation
from provision.engine.resource import Change, Phase, Probe, Ref, Resource, State
from provision.errors import PlanError
from provision.resources.file import Directory

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Thing:
    """Right when its state is `right`; notes what was planned before it."""

    name: str
    saw: list[str] = field(default_factory=list)
    phase: Phase = "prepare"

    @property
    def ref(self) -> Ref:
        return Ref("thing", self.name)

    def probe(self) -> Probe:
        return Probe("probe_things", "")

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        self.saw.extend(ref.name for ref in earlier)
        if state == (("impossible",),):
            raise PlanError(f"{self.name} cannot be")
        return None if state == (("right",),) else Change(self.ref, f"make {self.name}", "true", phase=self.phase)


def seen(*states: str) -> Observation:
    return Observation(tuple(State(((state,),)) for state in states), "run-7")


def test_changes_stand_in_the_order_of_the_resources() -> None:
    made = plan([Thing("c"), Thing("a"), Thing("b")], seen("wrong", "right", "wrong"))
    assert [change.ref.name for change in made.changes] == ["c", "b"]
    assert made.total == 3


def test_all_is_prepared_before_anything_is_activated() -> None:
    shop, blog = Thing("shop", phase="rolling"), Thing("blog", phase="rolling")
    made = plan([Thing("a"), shop, Thing("b"), Thing("rest", phase="finish"), blog], seen(*["wrong"] * 5))
    assert [change.ref.name for change in made.changes] == ["a", "b", "shop", "blog", "rest"]
    assert blog.saw == ["a", "shop", "b", "rest"]


def test_a_plan_remembers_the_generation_that_it_was_made_from() -> None:
    assert plan([], seen()).generation == "run-7"


def test_a_resource_is_told_of_the_changes_before_it_and_of_no_others() -> None:
    things = [Thing("a"), Thing("b"), Thing("c"), Thing("d")]
    plan(things, seen("wrong", "right", "wrong", "wrong"))
    assert [thing.saw for thing in things] == [[], ["a"], ["a"], ["a", "c"]]


def test_what_cannot_be_ends_the_planning() -> None:
    with pytest.raises(PlanError, match=r"^b cannot be$"):
        plan([Thing("a"), Thing("b"), Thing("c")], seen("wrong", "impossible", "wrong"))


def test_a_resource_without_a_state_is_an_error() -> None:
    things: list[Resource] = [Thing("a"), Thing("b")]
    with pytest.raises(ValueError, match="shorter"):
        plan(things, seen("right"))


CHANGES = (
    Change(Ref("file", "a"), "write a", "true", "library"),
    Change(Ref("migration", "shop"), "once", "migrate", "library", phase="once", follower_script="mark"),
    Change(Ref("activation", "shop"), "activate shop", "activate shop", "library", phase="rolling", undo="revert shop"),
    Change(Ref("activation", "blog"), "activate blog", "activate blog", "library", phase="rolling", undo="revert blog"),
    Change(Ref("retired", "shop@.service"), "remove", "retire", "library", phase="finish"),
)
PLAN = Plan(CHANGES, 9, "run-7")
MADE = {change.ref for change in CHANGES}


def test_a_part_has_the_changes_of_one_phase_in_their_order() -> None:
    assert PLAN.for_phase("prepare").changes == CHANGES[:1]
    assert PLAN.for_phase("once").changes == CHANGES[1:2]
    assert PLAN.for_phase("rolling").changes == CHANGES[2:4]
    assert PLAN.for_phase("finish").changes == CHANGES[4:]
    assert Plan(CHANGES[:1], 9, "run-7").for_phase("rolling").changes == ()


def test_each_change_is_in_one_part() -> None:
    phases: tuple[Phase, ...] = get_args(Phase)
    assert tuple(change for phase in phases for change in PLAN.for_phase(phase).changes) == CHANGES


def test_the_part_of_no_phase_is_all() -> None:
    assert PLAN.for_phase(None).changes == CHANGES


def test_a_part_is_for_the_probed_generation_or_the_one_of_the_last_part() -> None:
    assert PLAN.for_phase("prepare").generation == "run-7"
    assert PLAN.for_phase("once", "run-8").generation == "run-8"
    assert PLAN.for_phase("once", "").generation == "run-7"


def test_a_part_counts_its_changes_alone() -> None:
    assert (PLAN.for_phase("rolling").total, PLAN.for_phase(None).total) == (2, 5)


def test_what_is_undone_is_undone_from_the_end() -> None:
    undone = PLAN.undone(MADE, "run-8")
    assert undone.changes == (
        Change(Ref("activation", "blog"), "undo: activate blog", "revert blog", "library"),
        Change(Ref("activation", "shop"), "undo: activate shop", "revert shop", "library"),
    )
    assert (undone.total, undone.generation) == (2, "run-8")


def test_what_was_not_made_is_not_undone() -> None:
    assert [change.id for change in PLAN.undone({Ref("activation", "shop")}, "run-8").changes] == ["activation:shop"]


def test_what_cannot_be_undone_stays() -> None:
    assert PLAN.for_phase("prepare").undone(MADE, "run-8").changes == ()
    assert PLAN.for_phase("once").undone(MADE, "run-8").changes == ()
    assert PLAN.for_phase("finish").undone(MADE, "run-8").changes == ()


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


@dataclass(frozen=True)
class Moved(Thing):
    """A thing whose change leaves nothing at a path."""

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        return Change(self.ref, "move it", "true", empties=("/srv/shop",))


def test_what_a_change_empties_is_nothing_to_those_after_it() -> None:
    right = State.of({"type": "directory", "mode": "755", "owner": "root", "group": "root"})
    paths = ("/srv/shop", "/srv/shop/shared", "/srv/shopping")
    states = Observation((right, State(), right, right, right), "run-7")
    made = plan([Directory("/srv/shop"), Moved("away"), *map(Directory, paths)], states)
    assert [change.summary for change in made.changes] == [
        "move it",
        "create /srv/shop/",
        "create /srv/shop/shared/",
    ]
