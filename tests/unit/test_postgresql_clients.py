"""PostgreSQL for apps on other hosts: what is planned, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from dataclasses import replace

import pytest

from provision.engine.resource import State
from provision.errors import PlanError
from provision.release.database_login import Databases, LetIn, NoLogin, parse
from provision.resources.postgresql_clients import (
    LIBRARY,
    PostgresDoor,
    PostgresLeft,
    PostgresLogin,
    RemoteLogin,
    ServerKey,
)

VERIFIER = "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy"
ONE = RemoteLogin("shop", "shop_web1", "10.0.0.10", VERIFIER)
SIX = RemoteLogin("shop", "shop_web2", "fd00::10")
SUM = hashlib.sha256(VERIFIER.encode()).hexdigest()
DOOR = PostgresDoor("/etc/folder", (ONE, SIX), "CERTIFICATE")
RIGHT = {"installed": "yes", "ours": "yes", "listens": "yes", "stamp": DOOR.digest}


def lines(text: str) -> dict[str, str]:
    return {"lines": base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    ("state", "what"),
    [
        ({}, "create it"),
        ({"role": "ours", "verifier": "other", "whole": "yes"}, "set its password"),
        ({"role": "ours", "verifier": SUM}, "let it in again"),
        ({"role": "ours", "verifier": SUM, "whole": "yes"}, ""),
    ],
)
def test_a_login_gets_what_it_lacks(state: dict[str, str], what: str) -> None:
    change = PostgresLogin(ONE).plan(State.of(state) if state else State(), {})
    assert (change.summary if change else "") == (f"PostgreSQL's role shop_web1 for shop: {what}" if what else "")
    assert not change or (VERIFIER not in change.script and VERIFIER not in repr(PostgresLogin(ONE)))


@pytest.mark.parametrize(("found", "right"), [("root postgres 640", True), ("", True), ("root root 640", False)])
def test_the_key_is_for_postgresql_alone(found: str, right: bool) -> None:
    change = ServerKey("/etc/key").plan(State.of({"found": found}), {})
    assert (change is None) is right


def test_a_login_whose_password_is_not_known_is_left_alone() -> None:
    assert PostgresLogin(SIX).plan(State(), {}) is None


def test_a_role_of_somebody_elses_is_refused() -> None:
    with pytest.raises(PlanError, match="shop: PostgreSQL has a role shop_web1 that is somebody else's"):
        PostgresLogin(ONE).plan(State.of({"role": "theirs"}), {})


def test_logins_that_the_inventory_has_no_more_are_dropped_at_the_end() -> None:
    state = State.of({"login": "shop_web1"}, {"login": "shop_web9"})
    change = PostgresLeft(("shop_web1",)).plan(state, {})
    assert change
    assert (change.script, change.phase) == ("postgresql_drop_logins shop_web9", "finish")
    assert PostgresLeft(("shop_web1", "shop_web9")).plan(state, {}) is None


@pytest.mark.parametrize(
    ("differs", "steps"),
    [
        ({}, ""),
        (lines(""), "let in apps of other hosts"),
        ({"listens": "no"}, "listen on the network, with a restart"),
        ({"stamp": "old"}, "load its certificate"),
    ],
)
def test_a_door_is_opened_as_far_as_it_is_not(differs: dict[str, str], steps: str) -> None:
    change = DOOR.plan(State.of({**RIGHT, **lines(DOOR.lines), **differs}), {})
    assert (change.summary if change else "") == (f"PostgreSQL: {steps}" if steps else "")


def test_each_login_comes_from_its_address_over_tls() -> None:
    assert DOOR.lines.splitlines() == [
        'hostssl "shop" "shop_web1" 10.0.0.10/32 scram-sha-256',
        'hostssl "shop" "shop_web2" fd00::10/128 scram-sha-256',
    ]


def test_a_postgresql_of_somebody_elses_is_not_opened() -> None:
    with pytest.raises(PlanError, match="PostgreSQL was on this server before the toolkit"):
        DOOR.plan(State.of({"installed": "yes"}), {})
    assert replace(DOOR, allowed=True).plan(State.of({"installed": "yes"}), {})


def test_a_door_is_closed_once() -> None:
    closed = PostgresDoor("/etc/folder")
    change = closed.plan(State.of({**RIGHT, **lines(DOOR.lines)}), {})
    assert change
    assert change.script.startswith(
        "postgresql_close /var/lib/provision/stamps/postgresql-clients /etc/folder listen_addresses"
    )
    assert closed.plan(State.of({"installed": "yes", "ours": "yes", "listens": "no"}), {}) is None


def test_a_server_says_what_it_has_and_a_password_that_is_none_is_made_anew() -> None:
    found = parse(
        [
            {"app": "shop", "password": "p" * 43, "root": base64.b64encode(b"PEM").decode()},
            {"app": "blog", "password": "short; rm", "root": ""},
            {"serves": "yes", "key": "no", "certificate": "", "root": ""},
        ]
    )
    assert (found.logins["shop"].password, found.logins["shop"].root) == ("p" * 43, "PEM")
    assert (found.logins["blog"].password, found.serves, found.certificate) == ("", True, None)
    assert "ppp" not in repr(found)
    assert parse([]) == Databases({})


@pytest.mark.parametrize(
    ("state", "here", "level", "said"),
    [
        ({"asked": "yes", "said": ""}, False, "ok", "PostgreSQL on db1 lets shop in"),
        (
            {"asked": "yes", "said": "FATAL: no"},
            False,
            "stop",
            "(FATAL: no): see that it runs, and deploy db1 together with it",
        ),
        (
            {"asked": "yes", "said": "FATAL: no"},
            True,
            "warn",
            "(FATAL: no): if changes of db1 do not put that right, see that it runs",
        ),
    ],
)
def test_whether_the_other_host_lets_the_app_in_is_found_before(
    state: dict[str, str], here: bool, level: str, said: str
) -> None:
    guard = LetIn("shop", "db1", "10.0.0.20", "shop_web1", here)
    (found,) = guard.findings(State.of(state), {})
    assert (found.level, said in str(found)) == (level, True)
    assert guard.findings(State(), {}) == ()


def test_a_login_that_nobody_needs_is_forgotten_when_the_release_is_gone() -> None:
    change = NoLogin("shop").plan(State.of({"there": "yes"}), {})
    assert change
    assert (change.phase, NoLogin("shop").plan(State(), {})) == ("finish", None)


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        (["FIRST", 'hostssl "shop"', "LAST", "local all"], ["local all"]),
        (["FIRST", 'hostssl "shop"', "local all"], ["local all"]),
        (["FIRST", 'hostssl "shop"', "host mine", "LAST", 'hostssl "mine"'], ["host mine", 'hostssl "mine"']),
        (['hostssl "mine"', "local all"], ['hostssl "mine"', "local all"]),
    ],
    ids=["ours", "the end is gone", "others' among ours", "none of ours"],
)
def test_lines_of_pg_hba_that_others_wrote_stay(lines: list[str], left: list[str]) -> None:
    script = f'root=; {LIBRARY}\nawk -v first=FIRST -v last=LAST "$postgresql_others"'
    done = subprocess.run(["sh", "-c", script], input="\n".join(lines), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == left
