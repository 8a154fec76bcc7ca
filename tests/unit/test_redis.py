"""The apps' Redis: what is planned, and what is refused."""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.engine.resource import Change, State
from provision.errors import PlanError
from provision.inventory.cache import FOLDER
from provision.release.layout import CacheLayout
from provision.resources import redis
from provision.resources.redis import STAMP, UNIT, NoRedis, Redis
from tests.unit.tables import HOST, SHOP, ids

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.unit.tables import MakeFacts, MakeHost

MIB = 1024**2
REDIS = Redis("shop", 64 * MIB, "allkeys-lru", persistent=False)
QUEUE = Redis("shop", 64 * MIB, "noeviction", persistent=True)
RUNS = {"active": "active", "enabled": "enabled", "stamp": STAMP, "folder": "750 shop"}


def state(one: Redis, differs: Mapping[str, str] = MappingProxyType({})) -> State:
    """That of one that is right but for what differs."""
    settings = {f"set.{key}": value for key, value in (one.set_live | one.set_at_start).items()}
    return State.of(RUNS | settings | dict(differs))


def planned(found: State, one: Redis = REDIS) -> Change:
    change = one.plan(found, {})
    assert change is not None
    return change


def test_one_that_is_right_is_left_alone() -> None:
    assert REDIS.plan(state(REDIS), {}) is None
    assert QUEUE.plan(state(QUEUE), {}) is None


@pytest.mark.parametrize(
    ("found", "steps", "how"),
    [
        (State(), "enable, start", "restart"),
        (State.of({"active": "failed", "enabled": "masked"}), "unmask, start", "restart"),
        (state(REDIS, {"enabled": "disabled"}), "enable", "live"),
        (state(REDIS, {"folder": "755 shop"}), "let nobody else in", "live"),
        (state(REDIS, {"stamp": "other"}), "restart (its unit changed; what it holds is lost)", "restart"),
        (state(REDIS, {"program": "old"}), "restart (its program was updated; what it holds is lost)", "restart"),
        (State.of(RUNS), "restart (it does not say that it has its configuration; what it holds is lost)", "restart"),
        (
            state(REDIS, {"set.maxmemory": str(32 * MIB)}),
            "maxmemory 33554432 -> 67108864, while it runs",
            "live maxmemory 67108864",
        ),
        (
            state(REDIS, {"set.appendonly": "yes", "set.maxmemory-policy": "noeviction"}),
            "maxmemory-policy noeviction -> allkeys-lru, appendonly yes -> no, while it runs",
            "live maxmemory-policy allkeys-lru appendonly no",
        ),
        (state(REDIS, {"set.save": "1\x1b"}), r"save 1\x1b -> none, while it runs", "live save ''"),
    ],
)
def test_what_can_be_set_while_it_runs_needs_no_restart(found: State, steps: str, how: str) -> None:
    change = planned(found)
    assert (change.summary, change.script) == (f"Redis of shop: {steps}", f"redis_ensure shop {STAMP} {how}")


def test_a_new_unit_is_a_restart_and_a_queue_is_read_again() -> None:
    unit = Change(QUEUE.files[0].ref, "", "")
    change = QUEUE.plan(state(QUEUE), {unit.ref: unit})
    assert unit.ref.name == UNIT
    assert change is not None
    assert change.summary == "Redis of shop: restart (its unit changed; what it holds is read again)"


def test_less_memory_than_what_nothing_may_be_forgotten_of_is_refused() -> None:
    used = {"set.maxmemory": str(128 * MIB), "used": str(100 * MIB)}
    with pytest.raises(PlanError, match=r"shop: its Redis holds 101 MiB, may hold 64 MiB by cache\.memory"):
        QUEUE.plan(state(QUEUE, used), {})
    assert planned(state(REDIS, used)).summary.endswith("-> 67108864, while it runs")


def test_one_that_is_gone_is_not_asked_for_and_one_that_is_there_goes_last() -> None:
    assert NoRedis("shop").plan(State(), {}) is None
    change = NoRedis("shop").plan(State.of({"there": "yes", "kept": CacheLayout("shop").data}), {})
    assert change is not None
    assert change.phase == "finish"
    assert change.summary == "Redis of shop: stop and remove; /var/lib/private/provision-redis/shop stays"


def test_its_files_are_where_the_tables_say(make_host: MakeHost, make_known: MakeFacts) -> None:
    layout = CacheLayout("shop")
    assert [one.path for one in (*REDIS.files, REDIS.limits)] == [UNIT, layout.settings, layout.limits]
    assert REDIS.set_at_start["unixsocket"] == layout.socket == f"{FOLDER}/shop/redis.sock"
    lines = REDIS.files[1].content.splitlines()
    assert {"port 0", 'save ""', "maxmemory 67108864", "appendonly no"} <= {*lines}
    assert "MemoryMax=192M" in REDIS.limits.content


def test_each_app_that_declares_one_has_one_before_its_release(make_host: MakeHost, make_known: MakeFacts) -> None:
    text = f"{HOST}apps:\n{SHOP[:-2]}, cache: {{engine: redis, answers: 10m}}}}\n"
    found = ids(roles.everything(make_host(text), *make_known()))
    limits = f"dropin:{CacheLayout('shop').limits}"
    order = [found.index(one) for one in ("packages:redis", f"dropin:{UNIT}", "redis:shop", limits, "activation:shop")]
    assert order == sorted(order)
    plain = ids(roles.everything(make_host(), *make_known()))
    assert plain.index("redis:shop") > plain.index("activation:shop")
    for held in (roles.previewed, roles.server):
        assert "redis:shop" not in ids(held(make_host(), *make_known()))
    assert not [each for each in plain if each.startswith("packages:redis") or "provision-redis" in each]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_redis_is_asked_with_the_apps_group_which_reaches_no_other(
    call: Callable[..., subprocess.CompletedProcess[str]], stand_in: Callable[[str, str], Path], root: Path
) -> None:
    for each in (root, *root.parents[:3]):
        each.chmod(0o755)
    stand_in("redis-cli", "id -u; id -G")
    asked = call([redis], f"PATH={root}/bin:$PATH; redis_ask nobody")
    assert asked.stdout.split() == ["65534", "65534"]
