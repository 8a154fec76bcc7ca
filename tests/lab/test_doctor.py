"""What a deploy needs and a server does not have is said before anything is changed: in the plan, and by the doctor."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from provision import lab
from provision.lab.network import GATEWAY
from tests.lab.conftest import Answer, Controller, shell
from tests.lab.refusals import ADDRESS, APP, DOMAIN, MAIN, SERVER, Declared, refused, untouched

pytest_plugins = ("tests.lab.refusals",)

INSTALL = "export DEBIAN_FRONTEND=noninteractive; apt-get -qq update && apt-get -qq -y install --no-install-recommends"
LIMIT = "/sys/fs/cgroup/memory/memory.limit_in_bytes"
CLOSED = "ufw is closed to port 443: ufw allow 443/tcp"
OUTSIDE = (
    f"{DOMAIN}: this machine cannot connect to port 443 of {ADDRESS} (timed out): a firewall drops it, on the server or before it (the "
    "provider's own, a security group): open 443/tcp there"
)
# nginx, at a port to which another rule leads what comes in for 443.
ELSEWHERE = f"""server {{
    listen 8443 ssl;
    ssl_certificate /etc/ssl/provision/{APP}/fullchain.pem;
    ssl_certificate_key /etc/ssl/provision/{APP}/privkey.pem;
    return 200 elsewhere;
}}
"""
LEADS = "PREROUTING -t nat -p tcp --dport 443 -j REDIRECT --to-ports 8443"
# Four sources of packages beside Debian's: there is none, it does not resolve, it has expired (apt has read it before), and nobody has
# its key. A web server on the server itself has two of them.
WRONG = "/etc/apt/sources.list.d/wrong.list"
MIRROR = "http://127.0.0.1:8099"
SOURCES = f"""
mkdir -p /run/mirror/dists/late /run/mirror/dists/keyless && cd /run/mirror/dists
printf '%s\\n' 'Suite: late' 'Codename: late' 'Date: Mon, 03 Jan 2022 00:00:00 UTC' 'Valid-Until: Mon, 10 Jan 2022 00:00:00 UTC' \\
    'Components: main' SHA256: >late/Release
cp "$(ls /var/lib/apt/lists/*_debian_dists_*_InRelease | head -n 1)" keyless/InRelease
systemd-run -q --unit=mirror python3 -m http.server 8099 --bind 127.0.0.1 --directory /run/mirror
printf '%s\\n' 'deb {MIRROR} nosuch main' 'deb http://nowhere.test/debian bookworm main' 'deb [trusted=yes] {MIRROR} late main' \\
    'deb [signed-by=/usr/share/keyrings/debian-archive-removed-keys.gpg] {MIRROR} keyless main' >{WRONG}
for _ in $(seq 50); do if curl -s {MIRROR}/ >/dev/null; then break; fi; sleep 0.1; done
apt-get -q update 2>&1 || true
cp late/Release /var/lib/apt/lists/127.0.0.1:8099_dists_late_Release
"""
NO_SOURCES = f"rm {WRONG}; systemctl stop mirror; rm -r /run/mirror; rm -f /var/lib/apt/lists/127.0.0.1*"
# A lock as apt takes it, for as long as the unit runs.
APT = 'import fcntl, time; f = open("/var/lib/apt/lists/lock", "w"); fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(600)'


@pytest.fixture(scope="module")
def guarded(bare: Declared) -> Declared:
    """The server with a real ufw that lets SSH and HTTP in."""
    shell(SERVER, f"{INSTALL} ufw; ufw allow 22/tcp; ufw allow 80/tcp; ufw --force enable")
    return bare


def declared(here: Declared, **app: Any) -> Controller:
    """An inventory whose app uses the distribution's Python, which needs no build."""
    return here({"python": "system"} | app)


def checks(answer: Answer, level: str) -> dict[str, str]:
    """What the doctor found of one level, by check."""
    assert answer.host(SERVER)["error"] is None, answer.stdout
    found = [each for each in answer.host(SERVER)["checks"] if each["level"] == level]
    return {each["check"]: f"{each['what']}: {each['fix']}" for each in found}


@contextmanager
def made(how: str, undone: str) -> Iterator[None]:
    """The server as one command makes it, until another undoes that."""
    shell(SERVER, how)
    try:
        yield
    finally:
        shell(SERVER, undone)


def test_the_doctor_names_all_that_would_stop_a_deploy_to_a_bare_server_and_each_stops_it(guarded: Declared) -> None:
    controller = declared(guarded, domains=[DOMAIN, "nowhere.test"])
    small = "mount -t tmpfs -o size=90m,nr_inodes=50,noexec small /srv"
    with made(f"apt-mark hold nginx; {small}", "apt-mark unhold nginx; umount /srv"), untouched():
        answer = controller("doctor", SERVER, "--json")
        assert (answer.status, answer.document["ok"], answer.host(SERVER)["execs"]) == (1, False, 2)
        stops, warnings = checks(answer, "stop"), checks(answer, "warn")
        assert stops["packages"].startswith("nginx: not installed, and apt was told to leave it so")
        assert stops["packages"].endswith(": apt-mark unhold nginx")
        assert (
            stops["certificate"] == f"{APP}: nowhere.test does not resolve: add a DNS record that points to {ADDRESS}"
        )
        assert stops["disk"].startswith(
            f"no program can run in /srv/{APP}: /srv is mounted noexec: mount -o remount,exec"
        )
        assert warnings["firewall"] == CLOSED
        assert warnings["disk"].startswith("about 220 MB are needed on /srv, and 90 MB are free: ")
        assert "apt-mark unhold nginx" in refused(controller("deploy", SERVER, "--json"))
    with made("mount -t tmpfs -o noexec small /srv", "umount /srv"), untouched():
        assert "/srv is mounted noexec" in refused(declared(guarded)("deploy", SERVER, "--json"))
    with made("mount -t tmpfs -o nr_inodes=50 small /srv", "umount /srv"):
        (warning, _) = sorted(declared(guarded).plan(SERVER).host(SERVER)["warnings"])
        assert warning.startswith("about 9000 files more are needed on /srv, and it has inodes for 49: ")


def test_a_deploy_behind_a_closed_firewall_warns_of_it_and_so_does_each_plan(guarded: Declared) -> None:
    answer = declared(guarded).deploy(SERVER)
    assert answer.host(SERVER)["warnings"] == [CLOSED, OUTSIDE]
    again = declared(guarded).plan(SERVER)
    host = again.host(SERVER)
    assert (again.status, host["warnings"], host["changes"], host["execs"]) == (0, [CLOSED], [], 2)
    assert f"{SERVER} ! {CLOSED}" in declared(guarded)("plan", SERVER).stdout
    shell(SERVER, "ufw allow 443/tcp")
    assert declared(guarded).plan(SERVER).host(SERVER)["warnings"] == []


def test_of_a_healthy_server_the_doctor_says_so_and_leaves_it_as_it_is(guarded: Declared) -> None:
    with untouched():
        answer = declared(guarded)("doctor", SERVER)
    assert (answer.status, answer.stdout.splitlines()[-1]) == (0, f"{SERVER} ✓ nothing would stop a deploy"), (
        answer.stdout
    )
    assert {line.split()[1] for line in answer.stdout.splitlines()[:-1]} == {"ok"}
    named = {line.split()[2] for line in answer.stdout.splitlines()[:-1]}
    assert {"server", "ports", "disk", "apt", "clock", "firewall", "memory", "dns", "outside"} <= named


def test_a_hop_that_is_closed_to_the_controller_alone_is_named_after_an_activation_and_by_the_doctor(
    guarded: Declared,
) -> None:
    controller = declared(guarded)
    # The server itself connects, and so does everybody else.
    closed = f"deny proto tcp from {GATEWAY} to any port 443"
    with made(f"ufw insert 1 {closed}", f"ufw delete {closed}"):
        answer = controller("restart", SERVER)
        assert (answer.status, f"{SERVER} ! {OUTSIDE}" in answer.stdout) == (0, True), answer.stdout
        assert controller.deploy(SERVER).host(SERVER)["warnings"] == [], "nothing was activated"
        assert checks(controller("doctor", SERVER, "--json"), "warn") == {"outside": OUTSIDE}


def test_a_release_whose_clients_get_something_else_is_an_error_though_the_server_itself_gets_it(
    guarded: Declared,
) -> None:
    site, controller = "/etc/nginx/conf.d/elsewhere.conf", declared(guarded)
    shell(SERVER, f"cat >{site} <<'END'\n{ELSEWHERE}END\nnginx -t && systemctl reload nginx; ufw allow 8443/tcp")
    with made(
        f"iptables -A {LEADS}", f"iptables -D {LEADS}; rm {site}; systemctl reload nginx; ufw delete allow 8443/tcp"
    ):
        error = refused(controller("restart", SERVER, "--json"))
        assert error.startswith(
            f"the release is activated, and not all of its clients get it: {APP}: https://{DOMAIN} at {ADDRESS} answers this machine "
            "with 200, from something else than 20"
        )
        doctor = controller("doctor", SERVER, "--json")
        assert (doctor.status, "from something else" in checks(doctor, "warn")["outside"]) == (0, True)
    again = controller("restart", SERVER, "--json")
    assert (again.status, again.host(SERVER)["warnings"]) == (0, [])


def test_what_a_new_release_lacks_is_named_before_it_is_made(guarded: Declared) -> None:
    used = int(shell(SERVER, f"sed -n 's/^total_rss //p' {LIMIT.rpartition('/')[0]}/memory.stat"))
    changed = declared(guarded, environment={"GREETING": "hello"})
    with made(f"echo {used + 60_000_000} >{LIMIT}", f"echo -1 >{LIMIT}"):
        warned = changed.plan(SERVER)
        assert warned.status == 2
        (warning,) = warned.host(SERVER)["warnings"]
        assert f"{APP} uses " in warning
        assert warning.endswith("use fewer workers, or stop the old one first with --stop-first")
        assert declared(guarded).plan(SERVER).host(SERVER)["warnings"] == []
        doctor = declared(guarded)("doctor", SERVER, "--json")
        # What is free differs by what the probe itself takes.
        (said,) = checks(doctor, "warn").values()
        assert (doctor.status, *re.split(r"\d+ MB are free", said)) == (0, *re.split(r"\d+ MB are free", warning))
    guarded.repository.commit({"main.py": f"{MAIN}\n# Another.\n"})
    bound = "mount --bind /srv /srv && mount -o remount,bind,ro /srv"
    with untouched(), made(bound, "umount --lazy /srv"):
        error = refused(declared(guarded)("deploy", SERVER, "--json"))
    assert (
        error
        == f"/srv/{APP} cannot be written: /srv is mounted read-only: see why in dmesg, then mount -o remount,rw /srv"
    )


def test_a_clock_that_is_off_and_a_busy_apt_are_named(guarded: Declared) -> None:
    late = "/usr/local/sbin/date"
    with made(
        f'printf \'#!/bin/sh\\nexec /bin/date -d "400 days ago" "$@"\\n\' >{late}; chmod +x {late};'
        f" systemd-run -q --unit=busy python3 -c '{APT}'; sleep 1",
        f"rm {late}; systemctl stop busy",
    ):
        answer = declared(guarded)("doctor", SERVER, "--json")
    assert answer.status == 0
    warnings = checks(answer, "warn")
    assert "days behind this machine's" in warnings["clock"]
    assert warnings["apt"].startswith("another program is using apt, and a deploy waits for it: ")
    assert "python3 -c import fcntl" in warnings["apt"]
    assert lab.shell(SERVER, f"test -e {late}").returncode


def test_sources_of_packages_that_cannot_be_read_are_named_and_stop_nothing_that_is_elsewhere(
    guarded: Declared,
) -> None:
    with made(SOURCES, NO_SOURCES):
        with untouched():
            answer = declared(guarded)("doctor", SERVER, "--json")
        assert (answer.status, declared(guarded).plan(SERVER).host(SERVER)["warnings"]) == (0, [])
        found = {each["what"] for each in answer.host(SERVER)["checks"] if each["level"] == "warn"}
        assert {said.partition(" [IP")[0].partition(" NO_PUBKEY")[0] for said in found} == {
            f"apt cannot read {MIRROR} nosuch: 404  File not found",
            "apt cannot read http://nowhere.test/debian bookworm: Could not resolve 'nowhere.test'",
            f"apt cannot read {MIRROR} late: its Release file is expired",
            f"apt cannot read {MIRROR} keyless: The following signatures couldn't be verified because the public key is not available:",
        }
        deployed = guarded({"python": "system"}, packages=["bc"]).deploy(SERVER).host(SERVER)
        assert {warning.partition(": apt-get")[0] for warning in deployed["warnings"]} == {
            f"apt has not read its source {MIRROR} nosuch",
            "apt has not read its source http://nowhere.test/debian bookworm",
            f"apt has not read its source {MIRROR} keyless",
            f"what apt has of {MIRROR} late has expired, and its last try brought nothing newer",
        }
    shell(SERVER, "dpkg --purge bc")


def test_sources_that_apt_does_not_understand_stop_a_deploy_that_installs_packages_and_no_other(
    guarded: Declared,
) -> None:
    with made(f"echo 'dab http://example.com x main' >{WRONG}", f"rm {WRONG}"), untouched():
        said = f"apt cannot read its list of sources: Type 'dab' is not known on line 1 in source list {WRONG}: correct that file"
        assert refused(guarded({"python": "system"}, packages=["bc"])("deploy", SERVER, "--json")).startswith(said)
        answer = declared(guarded)("doctor", SERVER, "--json")
        assert (answer.status, [*checks(answer, "stop")]) == (1, ["sources"])
        assert checks(answer, "stop")["sources"].startswith(said)
        assert declared(guarded).plan(SERVER).status == 0
