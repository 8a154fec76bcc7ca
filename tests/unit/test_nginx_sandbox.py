from __future__ import annotations

import hashlib

import pytest

from provision.engine.resource import State
from provision.resources.nginx_sandbox import CONTENT, NginxSandbox

SUM = hashlib.sha256(CONTENT.encode()).hexdigest()
IN = {"sha256": SUM, "entered": SUM, "confined": "yes"}


@pytest.mark.parametrize(
    ("state", "wanted", "changes"),
    [
        (IN, True, False),
        ({**IN, "confined": "no"}, True, True),
        ({**IN, "entered": ""}, True, True),
        ({**IN, "sha256": "older", "entered": "older"}, True, True),
        ({"sha256": "", "entered": "", "confined": "no"}, True, True),
        ({"sha256": "", "entered": "", "confined": "no"}, False, False),
        ({"sha256": "", "entered": "", "confined": "yes"}, False, False),
        (IN, False, True),
    ],
)
def test_nginx_restarts_only_to_enter_or_leave_a_sandbox_of_ours(
    state: dict[str, str], wanted: bool, changes: bool
) -> None:
    assert bool(NginxSandbox(wanted).plan(State.of(state), {})) is changes


def test_the_plan_says_that_nginx_is_away_for_a_moment() -> None:
    change = NginxSandbox(True).plan(State.of({"sha256": "", "entered": "", "confined": "no"}), {})
    assert change
    assert "restarts, and accepts no connection for a moment" in change.summary
