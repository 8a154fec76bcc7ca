"""What an app may do in its Redis: what is planned, and what the server writes."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.engine.resource import State
from provision.release.layout import CacheLayout
from provision.resources import redis, redis_rights
from provision.resources.redis_rights import OLD_RULE, RULE, Rights
from tests.unit.tables import HOST, SHOP

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.tables import MakeFacts, MakeHost

RIGHT = {"written": "yes", "active": "active", "administered": "yes", "loaded": "yes"}


@pytest.mark.parametrize(
    ("state", "when", "how"),
    [
        (RIGHT, None, ""),
        ({"written": "yes", "active": "failed"}, None, ""),
        ({"active": "inactive"}, "", "later"),
        (RIGHT | {"written": ""}, ", while it runs", "now"),
        (RIGHT | {"loaded": ""}, ", while it runs", "now"),
        ({"active": "active", "administered": "yes"}, ", while it runs", "now"),
        ({"active": "active"}, ", from its next start", "later"),
    ],
)
def test_rights_are_given_to_what_runs_if_root_may_and_otherwise_to_what_starts(
    state: dict[str, str], when: str | None, how: str
) -> None:
    change = Rights("shop", engine="valkey").plan(State.of(state), {})
    if when is None:
        assert change is None
        return
    assert change is not None
    assert change.summary == f"Valkey of shop: the app may use what it holds, and only root administer it{when}"
    assert change.script == f"redis_rights shop '{RULE}' {how}"


@pytest.mark.parametrize(
    ("system", "version", "rule"),
    [
        ("debian", "11", OLD_RULE),
        ("debian", "12", RULE),
        ("debian", "13", RULE),
        ("ubuntu", "22.04", OLD_RULE),
        ("ubuntu", "24.04", RULE),
    ],
)
def test_no_rule_names_what_its_redis_does_not_know(
    make_host: MakeHost, make_known: MakeFacts, system: str, version: str, rule: str
) -> None:
    host = make_host(f"{HOST}apps:\n{SHOP[:-2]}, cache: redis}}\n")
    found = roles.everything(host, *make_known(system=system, version=version))
    assert [each.rule for each in found if isinstance(each, Rights)] == [rule]


def test_what_administers_is_taken_from_all_rules() -> None:
    for rule in (RULE, OLD_RULE):
        words = rule.split()
        assert words.index("+@all") < words.index("-@admin") < words.index("-@dangerous") < words.index("+info")
    assert not {"&*", "+sort_ro", "+client"} & {*OLD_RULE.split()}


def test_redis_reads_the_hash_of_the_password_alone(
    call: Callable[..., subprocess.CompletedProcess[str]], root: Path
) -> None:
    secret = "0123456789abcdef" * 4
    path = root / CacheLayout("shop").password.removeprefix("/")
    path.parent.mkdir(parents=True)
    path.write_text(f"{secret}\n")
    said = call([redis, redis_rights], f"redis_rights_text shop {RULE!r}; redis_rights_text shop {OLD_RULE!r}").stdout
    hashed = sha256(secret.encode()).hexdigest()
    assert said.splitlines() == [
        f"user provision on #{hashed} ~* &* +@all",
        f"user default on nopass {RULE}",
        f"user provision on #{hashed} ~* +@all",
        f"user default on nopass {OLD_RULE}",
    ]


def test_a_file_that_has_no_password_is_none(call: Callable[..., subprocess.CompletedProcess[str]], root: Path) -> None:
    path = root / CacheLayout("shop").password.removeprefix("/")
    assert call([redis], "redis_password shop").stdout == ""
    path.parent.mkdir(parents=True)
    path.write_text("CONFIG SET dir /\n")
    assert call([redis], "redis_password shop").stdout == ""


def test_root_logs_in_by_a_pipe_and_what_that_is_answered_is_no_answer(
    call: Callable[..., subprocess.CompletedProcess[str]], stand_in: Callable[[str, str], Path], root: Path
) -> None:
    secret = "0123456789abcdef" * 4
    path = root / CacheLayout("nobody").password.removeprefix("/")
    path.parent.mkdir(parents=True)
    path.write_text(f"{secret}\n")
    stand_in("setpriv", 'echo "(error) $*$(env)"; cat')
    said = call([redis], f"PATH={root}/bin:$PATH; echo PING | redis_ask nobody").stdout
    assert secret not in said.partition("AUTH")[0]
    assert said.splitlines()[-2:] == [f"AUTH provision {secret}", "PING"]
