"""An app with Valkey on Debian 13, which has both; and from one engine to the other, with what it holds."""

from collections.abc import Callable, Iterator

import pytest
import yaml

from provision import lab
from provision.engine import apply
from provision.resources.redis import LIBRARY
from tests.lab import cache_rights
from tests.lab.cache_app import COUNT, MAIN, WANTED, WORKER
from tests.lab.conftest import SUITE, Controller, https, shell
from tests.lab.refusals import APP, DOMAIN, SERVER, Declared
from tests.lab.repository import Repository

pytest_plugins = ("tests.lab.refusals",)

SOCKET = f"/run/provision-redis/{APP}/redis.sock"
UNIT = f"provision-redis@{APP}"
PROGRAM = f"/etc/systemd/system/{UNIT}.service.d/engine.conf"
DATA = f"/var/lib/private/provision-redis/{APP}"
QUEUE = {"memory": "32M", "persistent": True}
PLAIN = "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get('/health')\ndef health():\n    return 1\n"
Make = Callable[..., Controller]


@pytest.fixture(scope="module")
def make(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Inventories for the app, which may connect nowhere, on a server that was bare."""
    requirements = "fastapi==0.165.0\nredis\n"
    repository.commit(
        {"main.py": MAIN, "worker.py": WORKER, "count.py": COUNT, "requirements.txt": requirements, "plain.py": PLAIN}
    )
    lab.reset(SERVER, "trixie", used=True)
    declared = Declared(tmp_path_factory.mktemp("inventory"), repository)
    yield lambda **changes: declared(WANTED | {"cache": "redis"} | changes, hardening={"egress": True})
    lab.reset(SERVER, SUITE, used=True)


def renamed(make: Make, name: str, old: str, **changes: object) -> Controller:
    """The app under another name."""
    top = yaml.safe_load(make(**changes).inventory.read_text())
    path = make().inventory.with_name("renamed.yml")
    path.write_text(yaml.safe_dump(top | {"apps": {name: top["apps"][APP] | {"renamed_from": old}}}))
    return Controller(path)


def asked(path: str, *options: str) -> str:
    """What the site says."""
    return https(SERVER, path, DOMAIN, *options).stdout


def client(command: str, user: str = "root") -> str:
    return shell(
        SERVER,
        f"cd /; runuser -u {user} -- $(command -v valkey-cli || command -v redis-cli) -s {SOCKET} {command} 2>&1; true",
    )


def runs() -> str:
    """The program that runs."""
    return shell(SERVER, f"readlink /proc/$(systemctl show -p MainPID --value {UNIT})/exe")


def change(one: Controller, kind: str) -> str:
    """What the plan says of a change."""
    found = [each["summary"] for each in one.plan(SERVER).host(SERVER)["changes"] if each["id"] == f"{kind}:{APP}"]
    return found[0] if found else ""


def settled(one: Controller) -> None:
    """Nothing is left to do, at the price of two execs."""
    again = one("deploy", SERVER, "--json").host(SERVER)
    assert (again["changed"], again["execs"]) == (0, 2), again["changes"]


def filled() -> None:
    """One of each kind of value."""
    for command in (
        "rpush jobs.later a b c",
        "hset hash key value",
        "zadd zset 2 two",
        "sadd set member",
        "xadd stream 1-1 key value",
        "xgroup create stream group 0",
        "set expires soon ex 100000",
    ):
        assert "ERR" not in client(command)


def holds() -> list[str]:
    """What of it is there."""
    said = [
        client(one) for one in ("lrange jobs.later 0 -1", "hget hash key", "zscore zset two", "sismember set member")
    ]
    return [*said, client("xinfo groups stream").split()[1], str(int(client("ttl expires")) > 90000)]


HELD = ["a\nb\nc", "value", "2", "1", "group", "True"]


def test_a_new_app_with_cache_redis_has_valkey_where_there_is_that(make: Make) -> None:
    make().deploy(SERVER)
    assert runs() == "/usr/bin/valkey-check-rdb"
    assert [asked("/visits", "-X", "POST") for _ in range(2)] == ["1", "2"]
    assert asked("/parts") == f'["unix://{SOCKET}","redis+socket://{SOCKET}","{{other}}"]'
    settled(make())
    settled(make(cache="valkey"))
    assert make()("verify", SERVER, "--json", "--only", "cache").failing(SERVER) == set()
    (row,) = make()("status", SERVER, "--json").host(SERVER)["status"]
    found = row["cache"]
    assert (found["engine"], found["answers"], found["limit"]) == ("valkey", True, 64 * 1024**2)
    assert found["version"].startswith("8.1."), found
    assert 0 < found["used"] < found["limit"]


def test_it_is_as_closed_as_redis_is(make: Make) -> None:
    assert shell(SERVER, "ss -Hlntu | grep -c ':6379' || true") == "0"
    assert (
        shell(
            SERVER,
            "dpkg -l valkey-server redis-server redis-tools 2>/dev/null | grep ^ii; systemctl is-active valkey-server; true",
        )
        == "inactive"
    )
    assert shell(SERVER, f"runuser -u {APP} -- test -w {SOCKET} && echo yes") == "yes"
    for user in ("nobody", "www-data", "admin", f"{APP}-build"):
        assert "Permission denied" in client("ping", user)
    said = shell(SERVER, f"systemd-analyze security --no-pager {UNIT} | tail -n 1")
    assert float(said.split(":")[1].split()[0]) <= 1.5, said


def test_the_app_may_use_its_data_and_administer_nothing(make: Make) -> None:
    cache_rights.confined(SERVER, APP)
    visits = asked("/visits")
    assert make().plan(SERVER).status == 0
    shell(SERVER, cache_rights.admin(APP, "acl setuser default +@all"))
    assert change(make(), "redis-rights").endswith("and only root administer it, while it runs")
    make().deploy(SERVER)
    cache_rights.confined(SERVER, APP)
    assert asked("/visits") == visits
    settled(make())


@pytest.mark.long
def test_status_says_that_it_is_down(make: Make) -> None:
    shell(SERVER, f"systemctl stop {UNIT}")
    (row,) = make()("status", SERVER, "--json").host(SERVER)["status"]
    assert (row["cache"]["engine"], row["cache"]["answers"]) == ("valkey", False)
    said = make()("status", SERVER)
    assert f"{APP}: its Valkey does not answer" in said.stdout + said.stderr
    make().deploy(SERVER)
    assert client("ping", APP) == "PONG"


@pytest.mark.long
def test_what_a_hand_changed_is_put_right(make: Make) -> None:
    for damage, fixed in (
        (f"rm {PROGRAM}; systemctl daemon-reload", [f"dropin:{PROGRAM}"]),
        (f"rm {PROGRAM}; systemctl daemon-reload; systemctl restart {UNIT} || true", [f"dropin:{PROGRAM}", f"redis:{APP}"]),
        (f"chmod 755 /run/provision-redis/{APP}", [f"redis:{APP}"]),
    ):  # fmt: skip
        shell(SERVER, damage)
        changed = {each for each in make().deploy(SERVER).changed(SERVER) if each != f"activation:{APP}"}
        assert changed in ({*fixed}, {"packages:valkey", *fixed}), damage
        assert (runs(), client("ping", APP)) == ("/usr/bin/valkey-check-rdb", "PONG"), damage
        settled(make())


@pytest.mark.long
def test_a_queue_goes_along_from_one_engine_to_the_other_and_back(make: Make) -> None:
    queue = make(cache={"engine": "redis", **QUEUE})
    queue.deploy(SERVER)
    cache_rights.unlocked(SERVER, APP)
    filled()
    for engine, program in (("redis-server", "redis"), ("valkey", "valkey"), ("redis-server", "redis")):
        other = make(cache={"engine": engine, **QUEUE})
        assert "in the place of" in (said := change(other, "redis-engine")), said
        assert "what it holds goes along" in said
        other.deploy(SERVER)
        assert (runs(), holds()) == (f"/usr/bin/{program}-check-rdb", HELD)
        cache_rights.confined(SERVER, APP)
        settled(other)
        assert other("verify", SERVER, "--json", "--only", "cache").failing(SERVER) == set()
    # An app that has Redis keeps it.
    settled(queue)


@pytest.mark.long
def test_what_valkey_does_not_have_stays_with_redis(make: Make) -> None:
    assert client("hset fields a 1") == "1"
    assert client("hexpire fields 100000 FIELDS 1 a") == "1"
    error = make(cache={"engine": "valkey", **QUEUE})("deploy", SERVER, "--json").host(SERVER)
    assert "valkey cannot read what it holds, and the other engine goes on with it" in str(error), error
    assert (runs(), holds(), client("hget fields a")) == ("/usr/bin/redis-check-rdb", HELD, "1")
    settled(make(cache={"engine": "redis", **QUEUE}))
    client("del fields")


@pytest.mark.long
def test_a_run_that_ends_between_is_finished_by_the_next(make: Make) -> None:
    other = make(cache={"engine": "valkey", **QUEUE})
    shell(SERVER, f"{apply.LIBRARY}{LIBRARY}\nredis_move {APP} yes")
    assert change(other, "redis-engine") == ""
    other.deploy(SERVER)
    assert (runs(), holds()) == ("/usr/bin/valkey-check-rdb", HELD)
    settled(other)


@pytest.mark.long
def test_without_the_key_the_data_stays_and_only_its_engine_reads_it(make: Make) -> None:
    without: dict[str, object] = {
        "cache": None,
        "processes": {},
        "schedules": {},
        "hooks": {},
        "environment": {},
        "module": "plain:app",
    }
    answer = make(**without)("deploy", SERVER, "--json")
    assert answer.status == 0, answer.stdout
    assert shell(SERVER, f"ls -d {DATA} /run/provision-redis /etc/provision/redis 2>/dev/null || true") == DATA
    refused = make(cache={"engine": "redis-server", **QUEUE}).plan(SERVER).host(SERVER)["error"]
    assert f"cannot read what is in {DATA}" in refused, refused
    make(cache={"engine": "redis", **QUEUE}).deploy(SERVER)
    assert (runs(), holds()) == ("/usr/bin/valkey-check-rdb", HELD)


@pytest.mark.long
def test_a_cache_of_the_other_engine_begins_empty_and_the_plan_says_so(make: Make) -> None:
    other = make(cache="redis-server")
    assert "what it holds is lost" in change(other, "redis-engine")
    assert DATA in change(other, "redis-engine")
    other.deploy(SERVER)
    assert (runs(), client("dbsize")) == ("/usr/bin/redis-check-rdb", client("dbsize"))
    assert holds()[0] == ""
    settled(other)


@pytest.mark.long
def test_under_another_name_the_app_begins_with_an_empty_cache_and_a_queue_is_refused(make: Make) -> None:
    queue = renamed(make, "visitors", APP, cache={"engine": "valkey", **QUEUE}).plan(SERVER).host(SERVER)["error"]
    assert "would not come along" in queue, queue
    asked("/visits", "-X", "POST")
    other = renamed(make, "visitors", APP)
    other.deploy(SERVER)
    assert asked("/visits", "-X", "POST") == "1"
    assert '"unix:///run/provision-redis/visitors/redis.sock"' in asked("/parts")
    assert shell(SERVER, f"ls -d /run/provision-redis/{APP} /etc/provision/redis/{APP}.conf 2>/dev/null || true") == ""
    settled(other)
    back = renamed(make, APP, "visitors")
    back.deploy(SERVER)
    assert (asked("/visits"), runs()) == ("0", "/usr/bin/valkey-check-rdb")
    settled(back)


@pytest.mark.long
def test_it_goes_with_the_app(make: Make) -> None:
    make(cache={"engine": "valkey", **QUEUE}).deploy(SERVER)
    removed = make()("remove", SERVER, "--app", APP, "--with-data", APP, "--yes", "--json")
    assert removed.status == 0, removed.stdout
    there = "/var/lib/private/provision-redis /etc/provision/redis /run/provision-redis /etc/systemd/system/*redis* /var/lib/provision/stamps/redis*"
    assert shell(SERVER, f"ls -d {there} 2>/dev/null || true") == ""
