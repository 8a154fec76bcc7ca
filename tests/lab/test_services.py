"""A service runs its current configuration, and keeps the previous one if the new one cannot be used."""

import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from provision.engine.resource import Change, Probe, Ref, Resource, State
from provision.resources.file import Absent, Directory, File
from provision.resources.package import Packages
from provision.resources.service import Service
from tests.lab.conftest import shell
from tests.lab.sample_site import SERVER, Apply, Site, assert_all_is_well, ids, status

pytest_plugins = ("tests.lab.sample_site",)
pytestmark = pytest.mark.usefixtures("site")
WORKERS = "cat /proc/$(cat /run/nginx.pid)/task/*/children"
NGINX_EXTRA = "/etc/nginx/sites-enabled/kinds.conf"


def test_a_service_runs_its_present_configuration(apply: Apply, folder: str) -> None:
    path = "/etc/systemd/system/kinds.service"

    def wanted(seconds: int, content: str) -> tuple[Resource, ...]:
        unit = f"[Service]\nExecStart=/bin/sleep {seconds}\n[Install]\nWantedBy=multi-user.target\n"
        configuration = File(f"{folder}/configuration", content)
        return (File(path, unit), configuration, Service("kinds", (File.ref_to(path), configuration.ref)))

    def process() -> str:
        assert shell(SERVER, "systemctl is-active kinds; systemctl is-enabled kinds") == "active\nenabled"
        return shell(
            SERVER,
            "tr '\\0' ' ' </proc/$(systemctl show -p MainPID --value kinds)/cmdline; stat -c %Y /proc/$(systemctl show -p MainPID --value kinds)",
        )

    first = wanted(4001, "one\n")
    assert ids(apply(*first)) == [str(one.ref) for one in first]
    assert ids(apply(*first)) == []
    pid = shell(SERVER, "systemctl show -p MainPID --value kinds")
    for resources, hand, expected in (
        (wanted(4001, "two\n"), "true", [str(first[1].ref), "service:kinds"]),
        (wanted(4002, "two\n"), "true", [str(first[0].ref), "service:kinds"]),
        (wanted(4002, "two\n"), f"touch {path}; systemctl daemon-reload", ["service:kinds"]),
        (wanted(4002, "two\n"), "systemctl kill -s KILL kinds; sleep 0.2", ["service:kinds"]),
        (
            wanted(4002, "two\n"),
            f"mv {folder}/configuration {folder}/x; cp {folder}/x {folder}/configuration",
            ["service:kinds"],
        ),
    ):
        shell(SERVER, hand)
        assert ids(apply(*resources)) == expected
        assert ids(apply(*resources)) == []
        old, pid = pid, shell(SERVER, "systemctl show -p MainPID --value kinds")
        assert process().startswith("/bin/sleep 400")
        assert pid != old
    shell(SERVER, f"systemctl disable -q --now kinds; rm {path}; systemctl daemon-reload")


@dataclass(frozen=True)
class Killed:
    """Kills the run on the server as a power cut would: nothing after it happens."""

    @property
    def ref(self) -> Ref:
        return Ref("killed", "run")

    def probe(self) -> Probe:
        return Probe("probe_nothing", "probe_nothing() { cat >/dev/null; }\n")

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        return Change(self.ref, "kill the run", 'kill -9 "$(cat "$run/pid")"')


def settled() -> set[str]:
    """nginx's workers, once an earlier reload is complete: it goes on after nginx -s reload has returned."""
    seen: list[set[str]] = []
    deadline = time.monotonic() + 20
    while seen[-3:] != seen[-1:] * 3 or not seen:
        assert time.monotonic() < deadline, seen
        time.sleep(0.2)
        seen.append(set(shell(SERVER, WORKERS).split()))
    return seen[-1]


def test_a_run_killed_between_writing_the_site_and_the_reload_reloads_next_time(apply: Apply) -> None:
    def wanted(content: str) -> tuple[Resource, Resource]:
        return File(NGINX_EXTRA, content, check="nginx -t"), Service(
            "nginx", (File.ref_to(NGINX_EXTRA),), "reload", "nginx -t", stamp="kinds"
        )

    assert ids(apply(*wanted("# one\n"))) == [f"file:{NGINX_EXTRA}", "service:kinds"]
    file, service = wanted("# two\n")
    workers = settled()
    killed = apply(file, Killed(), service)
    assert (killed.status, killed.changed, killed.failed, killed.skipped) == ("failed", 1, 0, 2)
    assert "was ended on the server (killed, or a reboot): run again to finish its work" in str(killed.error)
    assert shell(SERVER, f"cat {NGINX_EXTRA}") == "# two"
    assert set(shell(SERVER, WORKERS).split()) <= workers
    again = apply(file, service)
    assert ids(again) == ["service:kinds"]
    assert again.changes[0].summary == "nginx: reload (its configuration changed since it was loaded)"
    assert set(shell(SERVER, WORKERS).split()) - workers
    assert ids(apply(file, service)) == []
    shell(SERVER, f"rm {NGINX_EXTRA}; nginx -s reload")


def test_a_configuration_that_nginx_refuses_is_not_loaded(apply: Apply) -> None:
    workers = settled()
    refused = apply(
        File(NGINX_EXTRA, "nonsense\n"), Service("nginx", (File.ref_to(NGINX_EXTRA),), "reload", "nginx -t", "kinds")
    )
    assert refused.error == "nginx goes on with the configuration that it has: nginx -t refused the new one"
    assert any("nonsense" in line or NGINX_EXTRA in line for line in refused.output)
    assert set(shell(SERVER, WORKERS).split()) <= workers
    assert status() == "200"
    shell(SERVER, f"rm {NGINX_EXTRA}")


def test_a_configuration_that_nginx_cannot_use_is_not_taken_for_loaded(apply: Apply) -> None:
    """nginx -t passes, and so does the reload; only then does nginx find that another program has the port."""
    workers = settled()
    file = File(NGINX_EXTRA, "server { listen 22; }\n", check="nginx -t")
    service = Service("nginx", (File.ref_to(NGINX_EXTRA),), "reload", "nginx -t", "kinds")
    for expected in ([str(file.ref), str(service.ref)], [str(service.ref)]):
        failed = apply(file, service)
        assert failed.error == (
            "nginx goes on with the configuration that it has: 10 s after its reload its old processes still accept connections"
        )
        assert any("bind() to 0.0.0.0:22 failed (98: Address already in use)" in line for line in failed.output)
        assert [change.id for change in failed.changes] == expected
        assert set(shell(SERVER, WORKERS).split()) <= workers
        assert status() == "200"
    assert ids(apply(File(NGINX_EXTRA, "# right\n", check="nginx -t"), service)) == [str(file.ref), str(service.ref)]
    assert set(shell(SERVER, WORKERS).split()) - workers
    shell(SERVER, f"rm {NGINX_EXTRA}; nginx -s reload")


def test_a_reload_does_not_wait_for_those_who_are_still_served(apply: Apply) -> None:
    """A client with an open connection, such as a websocket, keeps its old worker, which accepts no others."""
    shell(SERVER, "head -c 60000 /dev/zero >/var/www/slow")
    file = "server {{ listen 8099; root /var/www; limit_rate 1000; }} # {}\n"
    resources = [
        (
            File(NGINX_EXTRA, file.format(number)),
            Service("nginx", (File.ref_to(NGINX_EXTRA),), "reload", "nginx -t", "kinds"),
        )
        for number in ("one", "two")
    ]
    apply(*resources[0])
    address = f"http://10.213.0.{10 + int(SERVER.removeprefix('lab'))}:8099/slow"
    client = subprocess.Popen(["curl", "-s", "-m", "60", "-o", "/dev/null", address])
    try:
        time.sleep(1)
        answer = apply(*resources[1])
        assert (answer.error, client.poll()) == (None, None)
        assert "shutting down" in shell(SERVER, f"for one in $({WORKERS}); do cat /proc/$one/cmdline; done")
    finally:
        client.kill()
        client.wait()
        shell(SERVER, f"rm /var/www/slow {NGINX_EXTRA}; nginx -s reload")


def test_the_number_of_resources_does_not_change_the_round_trips(apply: Apply, folder: str) -> None:
    many = tuple(File(f"{folder}/{number}", f"content of {number}\n") for number in range(100))
    mixed = (*many, Directory(folder), Absent(f"{folder}/none"), Service("nginx"), Packages("one", ("curl",)))
    assert apply(*mixed[:1]).execs == 3
    assert apply(*mixed[:1]).execs == 2
    created = apply(*mixed)
    assert (len(ids(created)), created.execs) == (99, 3)
    again = apply(*mixed)
    assert (ids(again), again.ok, again.execs) == ([], 104, 2)


def test_the_server_is_as_the_inventory_says_after_all_of_this(site: Site) -> None:
    assert_all_is_well(site)
