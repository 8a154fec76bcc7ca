"""An app with a Redis, a worker and schedules, by the inventory alone, on a real server."""

import time
from collections.abc import Callable

import pytest

from provision import lab
from provision.engine import apply
from provision.resources.redis import LIBRARY
from tests.lab import cache_rights
from tests.lab.cache_app import COUNT, ENGINE, MAIN, WANTED, WORKER
from tests.lab.cache_libraries import LIBRARIES, NAMES, REQUIREMENTS
from tests.lab.conftest import SUITE, Controller, https, shell
from tests.lab.load import load
from tests.lab.refusals import ADDRESS, APP, DOMAIN, SERVER, Declared
from tests.lab.repository import Repository

pytest_plugins = ("tests.lab.refusals",)

COUNTED = ("done", "scheduled", "hook", "run")
SOCKET = f"/run/provision-redis/{APP}/redis.sock"
UNIT = f"provision-redis@{APP}"
LIMIT = (
    "cd /sys/fs/cgroup; sed -n 's/^0:://p' /proc/{}/cgroup | while read -r group; do"
    ' cat "./$group/memory.max" 2>/dev/null || cat "memory/$group/memory.limit_in_bytes"; done'
)
PACKAGES = "fastapi==0.165.0\nredis\n"
Make = Callable[..., Controller]


@pytest.fixture(scope="module")
def declared(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Declared:
    """Inventories for a server that was bare."""
    repository.commit({"main.py": MAIN, "worker.py": WORKER, "count.py": COUNT, "requirements.txt": PACKAGES})
    lab.reset(SERVER, SUITE, used=True)
    return Declared(tmp_path_factory.mktemp("inventory"), repository)


@pytest.fixture(scope="module")
def make(declared: Declared) -> Make:
    """Inventories for the app."""
    return lambda **changes: declared(WANTED | changes)


def asked(path: str, *options: str) -> str:
    """What the site says."""
    return https(SERVER, path, DOMAIN, *options).stdout


def counted(name: str, more: int, seconds: float = 15) -> None:
    """Wait until the site has counted so many of something."""
    deadline = time.monotonic() + seconds
    while f'"{name}":{more}' not in (said := asked("/counts")) and time.monotonic() < deadline:
        time.sleep(0.3)
    assert int(said.partition(f'"{name}":')[2].split(",")[0].strip("}")) >= more, said


def redis(command: str, user: str = "root") -> str:
    return shell(SERVER, f"cd /; runuser -u {user} -- redis-cli -s {SOCKET} {command} 2>&1")


def administer(command: str) -> str:
    return cache_rights.administer(SERVER, APP, command)


def returns(seconds: float = 15) -> None:
    """Wait until it answers again."""
    shell(
        SERVER,
        f"for _ in $(seq {int(seconds * 5)}); do redis-cli -s {SOCKET} ping 2>/dev/null | grep -q PONG && exit; sleep 0.2; done; exit 1",
    )


def settled(make: Make, **changes: object) -> None:
    """Nothing is left to do, at the price of two execs."""
    again = make(**changes)("deploy", SERVER, "--json").host(SERVER)
    assert (again["changed"], again["execs"]) == (0, 2), again["changes"]


def test_the_first_deploy_makes_it_and_the_next_changes_nothing(make: Make) -> None:
    answer = make().deploy(SERVER)
    assert f"redis:{APP}" in answer.changed(SERVER)
    assert [asked("/visits", "-X", "POST") for _ in range(3)] == ["1", "2", "3"]
    assert asked("/parts") == f'["unix://{SOCKET}","redis+socket://{SOCKET}","{{other}}"]'
    asked("/jobs", "-X", "POST")
    assert make()("run", SERVER, "--app", APP, "--command", "python count.py run").status == 0
    for name in COUNTED:
        counted(name, 1)
    settled(make)
    assert make()("verify", SERVER, "--json", "--only", "cache").failing(SERVER) == set()
    (row,) = make()("status", SERVER, "--json").host(SERVER)["status"]
    found = row["cache"]
    assert (found["engine"], found["answers"], found["limit"]) == ("redis", True, 32 * 1024**2)
    assert found["version"].startswith(("5.", "6.", "7.", "8.")), found
    assert f"{SERVER}: {APP}: Redis {found['version']} holds" in make()("status", SERVER).stdout


@pytest.mark.skipif(SUITE == "trixie", reason="Debian 13 has Valkey")
def test_valkey_is_refused_where_there_is_none(make: Make) -> None:
    error = make(cache="valkey").plan(SERVER).host(SERVER)["error"]
    assert error.startswith(f"{APP}: debian 1")
    assert "has no Valkey" in error
    assert "write cache: redis" in error


def test_nothing_listens_on_a_port_and_no_other_user_gets_in(make: Make) -> None:
    assert shell(SERVER, "ss -Hlntu | grep -c ':6379' || true") == "0"
    assert shell(SERVER, f"runuser -u {APP} -- test -w {SOCKET} && echo yes") == "yes"
    for user in ("nobody", "www-data", "admin", f"{APP}-build"):
        assert "Permission denied" in redis("ping 2>&1; true", user)


def test_the_app_may_use_its_data_and_administer_nothing(make: Make) -> None:
    cache_rights.confined(SERVER, APP)
    assert make().plan(SERVER).status == 0
    assert administer("acl whoami") == "provision"
    places = f"/etc/provision/redis/{APP}"
    assert shell(SERVER, f"stat -c '%a %U %G' {places}.password {places}.acl") == f"600 root root\n640 root {APP}"
    secret = shell(SERVER, f"cat {places}.password")
    assert (
        shell(SERVER, f"journalctl -o cat | grep -c {secret} || true; grep -rl {secret} /etc /var/lib/provision")
        == f"0\n{places}.password"
    )


def test_another_release_has_what_it_holds_and_so_has_a_rollback(make: Make, repository: Repository) -> None:
    repository.commit({"main.py": MAIN.replace('"first"', '"second"')})
    with load(ADDRESS, DOMAIN, 60) as seen:
        make().deploy(SERVER)
    assert (seen.failed, seen.failures[:3]) == (0, [])
    assert (asked("/version"), asked("/visits")) == ('"second"', "3")
    assert make()("rollback", SERVER, "--yes", "--json").status == 0
    assert (asked("/version"), asked("/visits")) == ('"first"', "3")
    make().deploy(SERVER)


def test_it_comes_back_by_itself_after_a_kill(make: Make) -> None:
    shell(SERVER, f"kill -9 $(systemctl show -p MainPID --value {UNIT})")
    returns()
    assert asked("/visits", "-X", "POST") == "1"
    before = asked("/counts")
    asked("/jobs", "-X", "POST")
    counted("done", int(before.partition('"done":')[2].split(",")[0]) + 1)
    assert make().plan(SERVER).status == 0


def test_another_memory_is_set_while_it_runs_and_nothing_is_lost(make: Make) -> None:
    visits = asked("/visits", "-X", "POST")
    process = shell(SERVER, f"systemctl show -p MainPID --value {UNIT}")
    for memory, size in (("128M", 128), ("16M", 16)):
        more = make(cache={"engine": ENGINE, "memory": memory})
        (change,) = (each for each in more.plan(SERVER).host(SERVER)["changes"] if each["id"] == f"redis:{APP}")
        assert change["summary"].endswith(f"-> {size * 1024**2}, while it runs"), change
        more.deploy(SERVER)
        assert administer("config get maxmemory").split()[-1] == str(size * 1024**2)
        limit = LIMIT.format(process)
        assert shell(SERVER, limit) == str((2 * size + 64) * 1024**2)
        settled(make, cache={"engine": ENGINE, "memory": memory})
    make().deploy(SERVER)
    assert (asked("/visits"), shell(SERVER, f"systemctl show -p MainPID --value {UNIT}")) == (visits, process)


def test_one_that_the_app_could_administer_loses_nothing(make: Make) -> None:
    """Nor does one whose rights a hand has changed."""
    files = f"/etc/provision/redis/{APP}"
    cache_rights.unlocked(SERVER, APP)
    process = shell(SERVER, f"systemctl show -p MainPID --value {UNIT}")
    visits = asked("/visits", "-X", "POST")
    for damage, fixed in (
        ("true", [f"redis-rights:{APP}", f"dropin:{files}.conf"]),
        (f"sed -i 's/-@admin//' {files}.acl", [f"redis-rights:{APP}"]),
        (f"{cache_rights.admin(APP, 'acl setuser default +config')}", [f"redis-rights:{APP}"]),
    ):
        shell(SERVER, damage)
        (change,) = (each for each in make().plan(SERVER).host(SERVER)["changes"] if each["id"] == fixed[0])
        assert change["summary"].endswith("and only root administer it, while it runs"), damage
        assert make().deploy(SERVER).changed(SERVER) == fixed, damage
        cache_rights.confined(SERVER, APP)
        settled(make)
    assert administer("acl users").split() == ["default", "provision"]
    assert (asked("/visits"), shell(SERVER, f"systemctl show -p MainPID --value {UNIT}")) == (visits, process)


@pytest.mark.long
def test_one_that_root_may_not_administer_any_more_starts_again(make: Make) -> None:
    shell(SERVER, f"rm /etc/provision/redis/{APP}.password")
    assert make().deploy(SERVER).changed(SERVER) == [f"redis-rights:{APP}", f"redis:{APP}"]
    cache_rights.confined(SERVER, APP)
    settled(make)


@pytest.mark.long
def test_libraries_have_all_that_they_call(make: Make, repository: Repository) -> None:
    repository.commit({"libraries.py": LIBRARIES, "requirements.txt": PACKAGES + REQUIREMENTS})
    make().deploy(SERVER)
    administer("acl log reset")
    for name in NAMES:
        done = make()("run", SERVER, "--app", APP, "--command", f"python libraries.py {name}")
        assert done.status == 0, done.stdout + done.stderr
    assert administer("acl log") == ""
    repository.commit({"requirements.txt": PACKAGES})
    make().deploy(SERVER)


@pytest.mark.long
def test_what_a_hand_changed_is_put_right(make: Make) -> None:
    settings, limits = f"/etc/provision/redis/{APP}.conf", f"/etc/systemd/system/{UNIT}.service.d/provision.conf"
    for damage, fixed in (
        (
            f"sed -i 's/^port 0/port 6379/' {settings}; echo MemoryMax=1G >>{limits}; chmod 755 /run/provision-redis/{APP};"
            f" {cache_rights.admin(APP, 'config set maxmemory 0')}",
            [f"dropin:{settings}", f"redis:{APP}", f"dropin:{limits}"],
        ),
        (f"systemctl mask -q --now {UNIT}", [f"redis:{APP}"]),
        (f"systemctl disable -q --now {UNIT}", [f"redis:{APP}"]),
    ):
        shell(SERVER, damage)
        assert make().plan(SERVER).status == 2, damage
        # Without its Redis, the app is unhealthy, and is activated again.
        changed = [each for each in make().deploy(SERVER).changed(SERVER) if each != f"activation:{APP}"]
        assert changed == fixed, damage
        assert redis("ping", APP) == "PONG", damage
        assert shell(SERVER, f"stat -c '%a %G' /run/provision-redis/{APP}") == f"750 {APP}"
    assert make().plan(SERVER).status == 0


@pytest.mark.long
def test_a_queue_survives_a_restart_and_a_power_cut(make: Make) -> None:
    cache = {"engine": ENGINE, "memory": "32M", "persistent": True}
    make(cache=cache).deploy(SERVER)
    settled(make, cache=cache)
    assert administer("config get maxmemory-policy").split()[-1] == "noeviction"
    before = int(asked("/visits", "-X", "POST"))
    time.sleep(2)
    lab.kill(SERVER)
    lab.start(SERVER)
    deadline = time.monotonic() + 60
    while not (after := asked("/visits")).isdigit():
        assert time.monotonic() < deadline, after
        time.sleep(0.5)
    assert int(after) == before
    assert make(cache=cache).plan(SERVER).status == 0


@pytest.mark.long
def test_less_memory_than_a_queue_needs_is_refused(make: Make) -> None:
    shell(SERVER, f"redis-cli -s {SOCKET} setrange large 20000000 x >/dev/null")
    small = make(cache={"engine": ENGINE, "memory": "8M", "persistent": True})
    error = small("deploy", SERVER, "--json").host(SERVER)["error"]
    assert error.startswith(f"{APP}: its Redis holds ")
    assert "may hold 8 MiB by cache.memory" in error
    redis("del large")


@pytest.mark.long
def test_two_apps_under_supervisor_that_may_connect_nowhere_have_one_each(declared: Declared) -> None:
    values = {"source": declared.repository.url, "module": "main:app", "workers": 1, **WANTED}
    values |= {
        "process_manager": "supervisor",
        "schedules": {"tick": {"at": "*:*", "run": "python count.py scheduled"}},
    }
    names = {APP: DOMAIN, "other": f"other.{SERVER}.test"}
    apps = {app: values | {"domains": [name]} for app, name in names.items()}
    both = declared(apps=apps, hardening={"egress": True})
    both.deploy(SERVER)
    assert https(SERVER, "/visits", names["other"], "-X", "POST").stdout == "1"
    for user, app in ((APP, "other"), ("other", APP)):
        said = f"cd /; runuser -u {user} -- redis-cli -s /run/provision-redis/{app}/redis.sock get visits 2>&1; true"
        assert "Permission denied" in shell(SERVER, said)
    https(SERVER, "/jobs", names["other"], "-X", "POST")
    assert both("run", SERVER, "--app", "other", "--command", "python count.py run").status == 0
    deadline = time.monotonic() + 90
    while any(f'"{name}":0' in (said := https(SERVER, "/counts", names["other"]).stdout) for name in COUNTED):
        assert time.monotonic() < deadline, said
        time.sleep(1)
    again = both("deploy", SERVER, "--json").host(SERVER)
    assert (again["changed"], again["execs"]) == (0, 2), again["changes"]
    assert both("verify", SERVER, "--json", "--only", "cache").failing(SERVER) == set()
    assert both("remove", SERVER, "--app", "other", "--with-data", "other", "--yes", "--json").status == 0
    returns()


@pytest.mark.long
def test_an_instance_of_the_distributions_is_left_alone(make: Make) -> None:
    install = "DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends redis-server >/dev/null"
    shell(SERVER, f"{install} && redis-cli set theirs kept")
    make(cache={"engine": ENGINE, "memory": "48M"}).deploy(SERVER)
    assert make().deploy(SERVER).status == 0
    assert shell(SERVER, "redis-cli get theirs; systemctl is-enabled redis-server") == "kept\nenabled"
    shell(SERVER, "DEBIAN_FRONTEND=noninteractive apt-get -qq -y purge redis-server >/dev/null")
    assert redis("ping", APP) == "PONG"


@pytest.mark.long
def test_a_redis_that_was_taken_over_leads_root_to_no_other(make: Make) -> None:
    """It has put a link in the place of its socket, after the plan was made."""
    good, other = make().deploy(SERVER), "/run/other-redis.sock"
    assert good.status == 0, good.stderr
    starts = f"exec -a redis-server redis-check-rdb --port 0 --unixsocket {other} --unixsocketperm 700 --maxmemory 7mb"
    asks = f"redis-cli -s {other} config get maxmemory | tail -n 1"
    shell(
        SERVER, f"systemd-run -q --unit=other-redis bash -c '{starts}'; until {asks} | grep 7340032; do sleep 0.1; done"
    )
    try:
        shell(SERVER, f"ln -sfn {other} {SOCKET}")
        setting = f"app={APP}; echo 'CONFIG SET maxmemory 9mb' | redis_ask {APP}"
        assert shell(SERVER, f"{apply.LIBRARY}{LIBRARY}\n{setting}") == ""
        assert shell(SERVER, asks) == "7340032"
    finally:
        shell(SERVER, f"systemctl stop other-redis; systemctl restart {UNIT}")
    assert make().plan(SERVER).status == 0


def test_without_the_key_it_goes_and_its_data_stays(make: Make, repository: Repository) -> None:
    data, cache = f"/var/lib/private/provision-redis/{APP}", {"engine": ENGINE, "persistent": True}
    make(cache=cache).deploy(SERVER)
    asked("/visits", "-X", "POST")
    repository.commit(
        {
            "main.py": "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get('/health')\ndef health():\n    return 1\n"
        }
    )
    without: dict[str, object] = {"cache": None, "processes": {}, "schedules": {}, "hooks": {}, "environment": {}}
    answer = make(**without).deploy(SERVER)
    (change,) = (each for each in answer.host(SERVER)["changes"] if each["id"] == f"redis:{APP}")
    assert change["summary"] == f"Redis of {APP}: stop and remove; {data} stays"
    settled(make, **without)
    left = f"ls -d {data} /etc/provision/redis /run/provision-redis /etc/systemd/system/*redis* /etc/systemd/system/*/*redis* 2>/dev/null || true"
    assert shell(SERVER, left) == data
    back = make(**without)("rollback", SERVER, "--yes", "--json").host(SERVER)["error"]
    assert "ran with a Redis of its own, which is not there any more" in back, back
    back = make(cache=cache)("rollback", SERVER, "--yes", "--json").host(SERVER)["error"]
    assert "deploy, and roll back then" in back, back
    repository.commit({"main.py": MAIN})
    make(cache=cache).deploy(SERVER)
    assert int(asked("/visits")) > 0


@pytest.mark.long
def test_it_goes_with_the_app_and_what_it_wrote_with_the_apps_data(make: Make) -> None:
    there = "ls -d /var/lib/private/provision-redis/* /etc/provision/redis /run/provision-redis /etc/systemd/system/*redis* 2>/dev/null || true"
    assert make()("remove", SERVER, "--app", APP, "--yes", "--json").status == 0
    assert shell(SERVER, there) == f"/var/lib/private/provision-redis/{APP}"
    removed = make()("remove", SERVER, "--app", APP, "--with-data", APP, "--yes", "--json")
    assert removed.status == 0, removed.stdout
    assert shell(SERVER, there) == ""
