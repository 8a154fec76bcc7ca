from __future__ import annotations

import hashlib

import pytest

from provision.engine.resource import State
from provision.resources.nginx_sandbox import ROOTED, ROOTLESS, NginxSandbox, content

SUM, ROOTS = (hashlib.sha256(content(each).encode()).hexdigest() for each in (ROOTLESS, ROOTED))
SITE = "/etc/nginx/sites-enabled/blog"
IN = {"sha256": SUM, "entered": SUM, "confined": "yes"}


@pytest.mark.parametrize(
    ("state", "wanted", "changes"),
    [
        (IN, True, False),
        ({**IN, "confined": "no"}, True, True),
        ({**IN, "others": SITE}, True, True),
        ({**IN, "sha256": ROOTS, "entered": ROOTS, "others": SITE}, True, False),
        ({**IN, "sha256": ROOTS, "entered": ROOTS}, True, True),
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


def test_where_others_have_sites_the_main_process_stays_roots_and_the_plan_says_whose() -> None:
    out = {"sha256": "", "entered": "", "confined": "no", "others": f"{SITE}|/etc/nginx/conf.d/a.conf|"}
    change = NginxSandbox(True).plan(State.of(out), {})
    assert change
    assert change.summary.startswith(f"nginx enters a sandbox (as root, because of {SITE}): it restarts")
    assert ROOTS in change.script
    going = frozenset((SITE, "/etc/nginx/conf.d/a.conf"))
    alone = NginxSandbox(True, going).plan(State.of(out), {})
    assert alone
    assert SUM in alone.script
