"""What guards find: a warning of the plan, or what stops it; all of it at once in an examination."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from provision.engine.plan import examine, plan
from provision.engine.probe import Observation
from provision.engine.resource import Change, Finding, Level, Probe, Ref, State
from provision.errors import PlanError
from provision.report.console import Console
from provision.report.document import document
from provision.run.result import Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provision.engine.resource import Resource


@dataclass(frozen=True)
class Watched:
    """A guard that finds one thing."""

    level: Level
    what: str = "the moon is full"

    @property
    def ref(self) -> Ref:
        return Ref("watched", self.what)

    def probe(self) -> Probe:
        return Probe("probe_watched", "")

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        return None

    def findings(self, state: State, planned: Mapping[Ref, Change] | None) -> tuple[Finding, ...]:
        return (Finding("moon", self.level, self.what, "wait"),)


@dataclass(frozen=True)
class Thing:
    """A thing that has to be made, or that cannot be."""

    possible: bool = True

    @property
    def ref(self) -> Ref:
        return Ref("thing", "a")

    def probe(self) -> Probe:
        return Probe("probe_things", "")

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if not self.possible:
            raise PlanError("a is in the way", "remove it")
        return Change(self.ref, "make a", "true")


def seen(*resources: Resource) -> Observation:
    return Observation(tuple(State() for _ in resources), "run-7")


def test_a_warning_is_in_the_plan_and_is_no_change() -> None:
    guards: list[Resource] = [Watched("ok"), Watched("warn")]
    made = plan(guards, seen(*guards))
    assert (made.warnings, made.changes) == (("the moon is full: wait",), ())


def test_what_stops_a_run_refuses_its_changes_and_only_warns_where_there_are_none() -> None:
    guards: list[Resource] = [Watched("stop"), Thing()]
    with pytest.raises(PlanError, match=r"^the moon is full: wait$"):
        plan(guards, seen(*guards))
    assert plan(guards[:1], seen(*guards[:1])).warnings == ("the moon is full: wait",)


def test_an_examination_goes_on_after_what_would_stop_a_plan() -> None:
    guards: list[Resource] = [Thing(possible=False), Watched("ok"), Watched("stop", "the sea is low")]
    found = examine(guards, seen(*guards))
    assert [(one.check, one.level, one.what, one.fix) for one in found] == [
        ("thing", "stop", "a is in the way", "remove it"),
        ("moon", "ok", "the moon is full", "wait"),
        ("moon", "stop", "the sea is low", "wait"),
    ]


def test_warnings_are_in_the_document_and_before_the_plan_and_after_what_was_changed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    guards: list[Resource] = [Watched("warn", "[b]\x1b[31mred"), Thing()]
    made = plan(guards, seen(*guards))
    changed = Result("lab1", "changed", changed=1, warnings=made.warnings)
    assert json.loads(document("deploy", [changed], 0.1))["hosts"]["lab1"]["warnings"] == ["[b]\x1b[31mred: wait"]
    console = Console()
    console.planned("lab1", made)
    console.recap([changed, Result("lab2", "ok", warnings=("not again",))])
    said = capsys.readouterr().out
    assert said.count("lab1 ! [b]\\x1b[31mred: wait") == 2
    assert said.index("lab1 !") < said.index("lab1 plan: 1 of 2")
    assert "not again" not in said
