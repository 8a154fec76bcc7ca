"""The apps' Redis: what is planned, and what is refused."""

from __future__ import annotations

import os
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.engine.resource import Change, State
from provision.errors import PlanError
from provision.inventory.cache import FOLDER
from provision.release.cache_status import states
from provision.release.facts import ServerRelease
from provision.release.layout import CacheLayout
from provision.release.settings import settings
from provision.resources import redis
from provision.resources.package import Packages
from provision.resources.redis import STAMP, UNIT, VALKEY_TEXT, Found, Moved, NoRedis, Redis
from provision.roles.cache import engine as engine_of
from provision.roles.cache import refuse_without
from tests.unit.tables import HOST, SHOP, ids

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from provision.resources.redis import Engine
    from tests.unit.tables import MakeFacts, MakeHost

MIB = 1024**2
REDIS = Redis("shop", 64 * MIB, "allkeys-lru", persistent=False)
QUEUE = Redis("shop", 64 * MIB, "noeviction", persistent=True)
VALKEY = Redis("shop", 64 * MIB, "allkeys-lru", persistent=False, engine="valkey")
KEPT = CacheLayout("shop").data
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
    assert (change.summary, change.script) == (f"Redis of shop: {steps}", f"redis_ensure shop {STAMP} redis {how}")


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
    assert f"aclfile {layout.rights}" in REDIS.files[1].content
    assert [one.path for one in (*REDIS.files, REDIS.limits, REDIS.program)] == [
        UNIT,
        layout.settings,
        layout.limits,
        layout.program,
    ]
    assert REDIS.set_at_start["unixsocket"] == layout.socket == f"{FOLDER}/shop/redis.sock"
    lines = REDIS.files[1].content.splitlines()
    assert {"port 0", 'save ""', "maxmemory 67108864", "appendonly no"} <= {*lines}
    assert "MemoryMax=192M" in REDIS.limits.content


def test_each_app_that_declares_one_has_one_before_its_release(make_host: MakeHost, make_known: MakeFacts) -> None:
    text = f"{HOST}apps:\n{SHOP[:-2]}, cache: {{engine: redis, answers: 10m}}}}\n"
    found = ids(roles.everything(make_host(text), *make_known()))
    limits = f"dropin:{CacheLayout('shop').limits}"
    order = [
        found.index(one)
        for one in ("packages:redis", "redis-rights:shop", f"dropin:{UNIT}", "redis:shop", limits, "activation:shop")
    ]
    assert order == sorted(order)
    plain = ids(roles.everything(make_host(), *make_known()))
    assert plain.index("redis:shop") > plain.index("activation:shop")
    for held in (roles.previewed, roles.server):
        assert "redis:shop" not in ids(held(make_host(), *make_known()))
    assert not [each for each in plain if each.startswith("packages:redis") or "provision-redis" in each]


@pytest.mark.parametrize(
    ("written", "version", "there", "engine"),
    [
        ("redis", "12", {}, "redis"),
        ("redis", "13", {}, "valkey"),
        ("redis", "13", {"shop": "redis"}, "redis"),
        ("redis", "13", {"shop": "valkey"}, "valkey"),
        ("redis", "13", {"other": "redis"}, "valkey"),
        ("valkey", "13", {"shop": "redis"}, "valkey"),
        ("redis-server", "13", {"shop": "valkey"}, "redis"),
        ("redis-server", "12", {}, "redis"),
    ],
)
def test_an_app_that_has_an_engine_keeps_it_unless_the_inventory_names_another(
    make_host: MakeHost, make_known: MakeFacts, written: str, version: str, there: dict[str, Engine], engine: Engine
) -> None:
    host = make_host(f"{HOST}apps:\n{SHOP[:-2]}, cache: {written}}}\n")
    found = roles.everything(host, *make_known(caches={app: Found(one) for app, one in there.items()}, version=version))
    (one,) = (each for each in found if isinstance(each, Redis))
    assert one.engine == engine
    names = {"redis": "redis-tools", "valkey": "valkey-tools"}
    assert [each.names for each in found if isinstance(each, Packages) and each.purpose in names] == [(names[engine],)]
    assert bool(one.program.content) == (engine == "valkey")


@pytest.mark.parametrize(
    ("system", "version", "has"),
    [
        ("debian", "11", False),
        ("debian", "12", False),
        ("debian", "13", True),
        ("ubuntu", "22.04", False),
        ("ubuntu", "24.04", True),
    ],
)
def test_valkey_is_refused_where_the_distribution_has_none(
    make_host: MakeHost, make_known: MakeFacts, system: str, version: str, has: bool
) -> None:
    app = make_host(f"{HOST}apps:\n{SHOP[:-2]}, cache: valkey}}\n").apps["shop"]
    facts = make_known(system=system, version=version).facts
    if has:
        assert engine_of(app, facts) == "valkey"
        return
    with pytest.raises(PlanError, match=f"shop: {system} {version} has no Valkey") as refused:
        engine_of(app, facts)
    assert refused.value.fix == "write cache: redis, which is Redis there"


def test_another_engine_is_a_restart_under_its_own_name() -> None:
    assert VALKEY.plan(state(VALKEY, {"engine": "valkey"}), {}) is None
    change = planned(state(VALKEY, {"engine": "redis"}), VALKEY)
    assert change.summary == "Valkey of shop: restart (Valkey in the place of Redis; what it holds is lost)"
    assert change.script == f"redis_ensure shop {STAMP} valkey restart"


@pytest.mark.parametrize(
    ("found", "persistent", "summary"),
    [
        ({}, True, ""),
        ({"engine": "valkey", "runs": "valkey"}, True, ""),
        ({"engine": "redis", "runs": "valkey", "kept": KEPT}, True, ""),
        (
            {"engine": "redis", "runs": "redis", "kept": KEPT},
            True,
            "what it holds goes along; it does not answer meanwhile",
        ),
        ({"engine": "redis", "runs": "redis"}, False, "what it holds is lost"),
        ({"engine": "redis", "kept": KEPT}, False, f"what it holds is lost, and {KEPT} is removed"),
        ({"engine": "redis"}, True, ""),
        ({"engine": "redis", "kept": KEPT, "moved": "yes"}, True, ""),
    ],
)
def test_what_one_engine_holds_goes_along_to_the_other_or_is_said_to_be_lost(
    found: dict[str, str], persistent: bool, summary: str
) -> None:
    change = Moved("shop", "valkey", persistent).plan(State.of(found), {})
    assert (change.summary if change else "") == (
        f"cache of shop: Valkey in the place of Redis: {summary}" if summary else ""
    )
    assert change is None or change.script == f"redis_move shop {'yes' if persistent else 'no'}"


def test_what_an_engine_that_does_not_run_has_left_is_not_given_to_the_other() -> None:
    with pytest.raises(PlanError, match="cannot read what is in") as refused:
        Moved("shop", "valkey", persistent=True).plan(State.of({"engine": "redis", "kept": KEPT}), {})
    assert refused.value.fix.startswith("deploy once with engine: redis-server, and then with this one")


def test_the_server_puts_back_the_same_unit(call: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert call([redis], "redis_valkey").stdout == VALKEY_TEXT


def test_root_s_own_files_say_which_engine_there_is(
    call: Callable[..., subprocess.CompletedProcess[str]], root: Path
) -> None:
    for path in (
        "etc/provision/redis/one.conf",
        "etc/provision/redis/two.conf",
        "var/lib/private/provision-redis/left/x",
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("")
    unit = root / "etc/systemd/system/provision-redis@two.service.d"
    unit.mkdir(parents=True)
    (unit / "engine.conf").write_text(VALKEY_TEXT)
    said = call([redis], "cache_facts").stdout.splitlines()
    assert said == [
        "cache\tapp=one\tengine=redis\tthere=yes",
        "cache\tapp=two\tengine=valkey\tthere=yes",
        "cache\tapp=left\tengine=redis\tthere=no",
    ]


def test_a_release_that_ran_with_a_redis_is_not_rolled_back_to_without(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    text = f"{HOST}apps:\n{SHOP[:-2]}, cache: redis}}\n"
    cached, plain = make_host(text).apps["shop"], make_host().apps["shop"]
    ran = ServerRelease("shop", "20261121T230500-0123456", "0" * 40, "", "good", settings(cached))
    for app, there in (
        (plain, {"shop": Found("redis")}),
        (cached, {}),
        (cached, {"shop": Found("redis", there=False)}),
    ):
        with pytest.raises(PlanError, match="ran with a Redis of its own, which is not there any more"):
            refuse_without(app, ran, make_known(caches=there).facts)
    refuse_without(cached, ran, make_known(caches={"shop": Found("valkey")}).facts)
    for kept in ("", "{", settings(plain)):
        refuse_without(plain, replace(ran, settings=kept), make_known().facts)


def test_status_says_what_each_holds_and_believes_nothing_else() -> None:
    said = "what=cache\tapp=shop\tengine=valkey\tversion=8.1.1\tanswers=yes\tused=1572864\tlimit=67108864"
    found = states(
        [said, said.replace("shop", "blog").replace("yes", "no").replace("1572864", "²"), "app=x\thealth=200"]
    )
    assert {*found} == {"shop", "blog"}
    assert found["shop"].line("web1", "shop") == "web1: shop: Valkey 8.1.1 holds 1.5 of 64 MiB"
    assert found["blog"].used is None
    assert (
        found["blog"].line("web1", "blog").startswith("web1: blog: its Valkey 8.1.1 does not answer: systemctl status")
    )


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_redis_is_asked_with_the_apps_group_which_reaches_no_other(
    call: Callable[..., subprocess.CompletedProcess[str]], stand_in: Callable[[str, str], Path], root: Path
) -> None:
    for each in (root, *root.parents[:3]):
        each.chmod(0o755)
    stand_in("redis-cli", "id -u; id -G")
    asked = call([redis], f"PATH={root}/bin:$PATH; redis_ask nobody")
    assert asked.stdout.split() == ["65534", "65534"]
