from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest

from provision.engine.resource import State
from provision.resources.user import Group, User

if TYPE_CHECKING:
    from collections.abc import Callable


SHOP = User("shop", "/srv/shop/shared")
NOLOGIN = "/usr/sbin/nologin"


def test_a_group_is_created_where_there_is_none() -> None:
    change = Group("shop").plan(State(), {})
    assert change is not None
    assert (change.id, change.summary) == ("group:shop", "create group shop")
    assert change.script == "groupadd --system shop"
    assert Group("shop").plan(State.of({"exists": "yes"}), {}) is None


def test_a_user_is_created_in_a_group_of_its_own_name_with_no_way_to_log_in() -> None:
    change = SHOP.plan(State(), {})
    assert change is not None
    assert (change.id, change.summary) == ("user:shop", "create user shop")
    assert change.script == f"useradd --system -g shop -M -d /srv/shop/shared -s {NOLOGIN} shop"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (("shop", "/srv/shop/shared", NOLOGIN), None),
        (("users", "/srv/shop/shared", NOLOGIN), "user shop: group users -> shop"),
        (("shop", "/home/shop", NOLOGIN), "user shop: home /home/shop -> /srv/shop/shared"),
        (("shop", "/srv/shop/shared", "/bin/sh"), f"user shop: shell /bin/sh -> {NOLOGIN}"),
        (
            ("users", "/home/shop", NOLOGIN),
            "user shop: group users -> shop, home /home/shop -> /srv/shop/shared",
        ),
    ],
)
def test_a_user_changes_where_it_differs(row: tuple[str, ...], expected: str | None) -> None:
    change = SHOP.plan(State.of(dict(zip(("group", "home", "shell"), row, strict=True))), {})
    assert (change.summary if change else None) == expected
    assert change is None or change.script.startswith("usermod ")


def test_the_probe_sees_groups_that_exist(observe: Callable[..., tuple[State, ...]]) -> None:
    assert observe(Group("root"), Group("no-such-group")) == (State.of({"exists": "yes"}), State())


def test_the_probe_sees_a_users_group_home_and_shell(
    observe: Callable[..., tuple[State, ...]], me: tuple[str, str]
) -> None:
    user = pwd.getpwuid(os.geteuid())
    mine, root, none = observe(User(me[0], "/"), User("root", "/"), User("no-such-user", "/"))
    assert mine == State.of({"group": me[1], "home": user.pw_dir, "shell": user.pw_shell})
    assert root["group"] == "root"
    assert none == ()
