"""The apps' Redis, as their users reach it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from provision.release.layout import CacheLayout

if TYPE_CHECKING:
    from provision import inventory
    from provision.checks.conftest import As

pytestmark = [pytest.mark.role("app"), pytest.mark.declares("cache.engine")]


def asks(app: inventory.App, command: str) -> str:
    return f"cd / && $(command -v redis-cli || command -v valkey-cli) -s {CacheLayout(app.name).socket} {command}"


def test_the_app_reaches_its_redis(host: Any, declared: inventory.Host, app: inventory.App) -> None:
    said = host.run(f"runuser -u {app.name} -- sh -c '{asks(app, 'ping')}'")
    assert said.stdout.strip() == "PONG", (
        f"Redis does not let {app.name} in: {(said.stdout + said.stderr).strip()[-300:]}"
    )


def test_nobody_else_reaches_its_redis(declared: inventory.Host, app: inventory.App, succeeds_as: As) -> None:
    users = ("nobody", "www-data", *(name for name in declared.apps if name != app.name))
    path = CacheLayout(app.name).socket
    assert [user for user in users if succeeds_as(user, f"test -w {path}")] == []


def test_its_redis_has_the_memory_and_the_policy_of_the_inventory(
    host: Any, declared: inventory.Host, app: inventory.App
) -> None:
    said = host.check_output(f"{asks(app, 'info memory')} | tr -d '\\r'").splitlines()
    assert {f"maxmemory:{app.cache.limit}", f"maxmemory_policy:{app.cache.policy}"} <= {*said}


def test_the_app_may_not_administer_its_redis(host: Any, declared: inventory.Host, app: inventory.App) -> None:
    for command in ("config get port", "acl list", "module list", "slowlog len", "lastsave"):
        said = host.run(f"runuser -u {app.name} -- sh -c '{asks(app, command)} 2>&1'").stdout
        assert "NOPERM" in said, f"{app.name} may {command} in its Redis"


def test_its_redis_comes_back_after_a_boot(host: Any, declared: inventory.Host, app: inventory.App) -> None:
    assert host.run("systemctl is-enabled --quiet %s", f"provision-redis@{app.name}").rc == 0


def test_its_redis_is_the_engine_of_the_inventory(host: Any, declared: inventory.Host, app: inventory.App) -> None:
    pid = host.check_output("systemctl show -p MainPID --value %s", f"provision-redis@{app.name}")
    program = host.check_output("readlink /proc/%s/exe", pid)
    wanted = {"valkey": ("valkey",), "redis-server": ("redis",)}.get(str(app.cache.engine), ("redis", "valkey"))
    assert program.rpartition("/")[2].startswith(wanted)


@pytest.mark.disruptive
@pytest.mark.usefixtures("lock")
def test_its_redis_comes_back_after_a_sigkill(host: Any, declared: inventory.Host, app: inventory.App) -> None:
    unit = f"provision-redis@{app.name}"
    before = host.check_output("systemctl show -p MainPID --value %s", unit)
    host.check_output("kill -KILL %s", before)
    again = f"for _ in $(seq 100); do {asks(app, 'ping')} 2>/dev/null | grep -q PONG && exit; sleep 0.1; done; exit 1"
    assert host.run(again).rc == 0, f"{unit} was not back within ten seconds"
