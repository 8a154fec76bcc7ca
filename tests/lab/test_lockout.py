"""Changes to how a server is reached. Whatever goes wrong with one, the server can be logged into again within 60 s, as before."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from provision import lab
from provision.engine.access import confirmed
from provision.engine.resource import Change, Probe, Ref, State
from provision.inventory import load
from provision.lab import network
from provision.run import fleet
from provision.run.request import Request
from provision.run.result import Result
from provision.run.watcher import Silence
from tests.lab.conftest import LAB, SUITE, Controller, sampled, shell
from tests.lab.exposure import exposed
from tests.lab.refusals import ADDRESS, SERVER

SECONDS = 60
# Another 40 s are for campaigns: what follows it is the same as with sshd.
EVERY = "PROVISION_EVERY_STEP" in os.environ
# How long the server waits for a new login in these tests; otherwise it is 40 s.
WAITS = 10
KEYS = "/home/deploy/.ssh/authorized_keys"
RULE = "/etc/sudoers.d/deploy"
STRANGER = "10.213.0.250"
SSHD = "/etc/ssh/sshd_config.d/10-provision.conf"
RULES = "/etc/provision/firewall.nft"
Make = Callable[..., Controller]
# By what goes wrong: the command that does it, what is put back, and what the services do then.
FAULTS = {
    "a setting of sshd that lets nobody in": (
        f"echo 'AllowUsers nobody' >{SSHD}; systemctl reload ssh; sleep 0.5",
        SSHD,
        "systemctl --no-block try-reload-or-restart ssh.service",
    ),
    "a firewall that drops SSH": (
        f"mkdir -p /etc/provision; echo broken >{RULES}; nft add table inet provision;"
        " nft 'add chain inet provision input { type filter hook input priority filter; policy drop; }'",
        RULES,
        "nft delete table inet provision",
    ),
    "a key that is removed": (f": >{KEYS}", KEYS, "true"),
    "sudoers that are broken": (f"echo 'deploy ALL=(ALL' >{RULE}", RULE, "true"),
}


@dataclass(frozen=True)
class Breaks:
    """A change after which nobody can log in and be root."""

    fault: str

    @property
    def ref(self) -> Ref:
        return Ref("breaks", "access")

    def probe(self) -> Probe:
        return Probe("breaks_probe", "breaks_probe() { cat >/dev/null; }\n")

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        command, path, afterwards = FAULTS[self.fault]
        return Change(self.ref, "break it", confirmed(command, (path,), afterwards, WAITS))


@pytest.fixture(scope="module", autouse=True)
def fresh() -> Iterator[None]:
    """A server with a user who is root by sudo."""
    lab.reset(SERVER, SUITE, used=True)
    rule = f"echo 'deploy ALL=(ALL:ALL) NOPASSWD: ALL' >{RULE}; chmod 440 {RULE}"
    shell(SERVER, f"useradd -m -s /bin/bash deploy; {rule}; apt-get update -q >&2; apt-get install -qy nftables >&2")
    key = (LAB / "id_ed25519.pub").read_text().strip()
    shell(SERVER, f"install -d -o deploy -m 700 {KEYS.rpartition('/')[0]}; echo '{key}' >{KEYS}; chown deploy: {KEYS}")
    yield
    lab.reset(SERVER, SUITE)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes inventories in which the user deploy logs in."""
    path = tmp_path / "hard.yml"

    def made(hardening: str = "{}", user: str = "deploy") -> Controller:
        host = (
            f"{{address: {ADDRESS}, user: {user}, agent: false, key: {LAB}/id_ed25519, known_hosts: {LAB}/known_hosts}}"
        )
        path.write_text(f"hosts: {{{SERVER}: {host}}}\nroles: [base]\nhardening: {hardening}\n")
        return Controller(path)

    return made


def state() -> str:
    """What the server has of all that matters here."""
    files = f"{SSHD} {RULES} {KEYS} {RULE} /etc/systemd/system/provision-access.service"
    return shell(SERVER, f"cat {files} 2>&1; nft list tables; ls /var/lib/provision/access/undo 2>&1 || true")


def root(controller: Controller) -> bool:
    """Whether a login succeeds, and is root."""
    words = ("ssh", "-F", "none", "-i", LAB / "id_ed25519", "-o", "BatchMode=yes", "-o", "ConnectTimeout=3")
    known = ("-o", f"UserKnownHostsFile={LAB}/known_hosts")
    ran = subprocess.run((*words, *known, f"deploy@{ADDRESS}", "sudo -n id -u"), capture_output=True, text=True)
    return ran.stdout.strip() == "0"


def assert_back(controller: Controller, before: str, since: float) -> None:
    """A login succeeds within 60 s, and soon all is as before."""
    while not root(controller):
        assert time.monotonic() - since < SECONDS, state()
        time.sleep(1)
    while state() != before:
        assert time.monotonic() - since < SECONDS, state()
        time.sleep(1)


def broken(controller: Controller, fault: str) -> Result:
    found = load(controller.inventory)
    (result,) = fleet.run(
        Request("test", found, found.select(SERVER), lambda host, facts, wanted: (Breaks(fault),)), Silence()
    )
    return result


@pytest.mark.parametrize("fault", FAULTS)
def test_a_change_that_locks_all_out_is_taken_back_by_the_server(make: Make, fault: str) -> None:
    controller = make()
    controller.deploy(SERVER)
    assert root(controller)
    before, begun = state(), time.monotonic()
    result = broken(controller, fault)
    assert_back(controller, before, begun)
    assert result.error is not None
    assert "so the server took it back: nobody is locked out" in result.error
    assert any("a new login: " in line for line in result.output), result.output
    assert controller.plan(SERVER).status == 0


def test_the_parts_that_the_inventory_asks_for_are_set_and_go_again(make: Make) -> None:
    before = state()
    controller = make("{ssh: true, firewall: true}")
    planned = controller.plan(SERVER)
    made = controller.deploy(SERVER)
    assert planned.changed(SERVER) == made.changed(SERVER)
    assert {"sshd:settings", "firewall:nftables"} <= set(made.changed(SERVER))
    again = controller.deploy(SERVER).host(SERVER)
    assert (again["changed"], again["execs"]) == (0, 2)
    assert exposed(SERVER) == {}
    sshd = shell(SERVER, "sshd -T").splitlines()
    assert {"passwordauthentication no", "permitrootlogin no", "kbdinteractiveauthentication no"} <= {*sshd}
    password = ("ssh", "-F", "none", "-o", "PubkeyAuthentication=no", "-o", f"UserKnownHostsFile={LAB}/known_hosts")
    refused = subprocess.run((*password, "-o", "BatchMode=yes", f"deploy@{ADDRESS}"), capture_output=True, text=True)
    assert "Permission denied (publickey)" in refused.stderr
    assert failing(controller) == set()
    first = "/etc/ssh/sshd_config.d/00-other.conf"
    loose = (
        f"printf '%s\\n' 'PasswordAuthentication yes' 'PermitRootLogin yes' >{first}; nft delete table inet provision"
    )
    shell(SERVER, loose)
    assert failing(controller) == {
        "sshd_lets_nobody_in_by_password",
        "sshd_lets_root_in_only_where_nobody_else_works",
        "a_firewall_drops_what_it_does_not_let_in",
    }
    assert "another file says so before it" in controller.plan(SERVER).host(SERVER)["error"]
    shell(SERVER, f"rm {first}")
    make().deploy(SERVER)
    assert state() == before


def failing(controller: Controller) -> set[str]:
    """The checks of `verify` that fail."""
    return controller("verify", SERVER, "--json").failing(SERVER)


def test_what_the_firewall_does_not_open_is_closed_and_what_it_closes_is_said_before(make: Make) -> None:
    shell(SERVER, "systemd-run -q --unit other python3 -m http.server 8081")
    try:
        while not reached(8081):
            time.sleep(0.2)
        closing = make("{firewall: true}").plan(SERVER).host(SERVER)
        assert "the firewall closes what is open to others now: 8081 python3: hardening: {open: [8081]}" in str(
            closing["warnings"]
        )
        make("{firewall: true}").deploy(SERVER)
        assert (reached(22), reached(8081)) == (True, False)
        make("{firewall: true, open: [8081]}").deploy(SERVER)
        assert (reached(22), reached(8081)) == (True, True)
        shell(SERVER, "nft insert rule inet provision input tcp dport 9 accept")
        drifted = make("{firewall: true, open: [8081]}").deploy(SERVER)
        assert drifted.changed(SERVER) == ["firewall:nftables"]
        lab.kill(SERVER)
        lab.start(SERVER)
        assert "provision" in shell(SERVER, "nft list tables")
    finally:
        shell(SERVER, "systemctl stop other 2>/dev/null || true")
        make().deploy(SERVER)


def reached(port: int) -> bool:
    """Whether the server's port can be connected to from here."""
    try:
        socket.create_connection((ADDRESS, port), 2).close()
    except OSError:
        return False
    return True


def test_whoever_fails_to_log_in_again_and_again_is_kept_out(make: Make, stranger: tuple[str, ...]) -> None:
    make("{fail2ban: true}").deploy(SERVER)
    assert make("{fail2ban: true}").plan(SERVER).changed(SERVER) == []
    # What anybody but root logs is not believed.
    forged = f"Accepted publickey for eve from {STRANGER} port 1 ssh2"
    shell(SERVER, f"setpriv --reuid=nobody --regid=nogroup --clear-groups logger -t sshd '{forged}'")
    deadline = time.monotonic() + 60
    while "Connection refused" not in (said := subprocess.run(stranger, capture_output=True, text=True).stderr):
        assert time.monotonic() < deadline, said
        time.sleep(0.2)
    for _ in range(8):
        mine = (*stranger[:5], *stranger[7:])
        assert "Permission denied" in subprocess.run(mine, capture_output=True, text=True).stderr
    time.sleep(2)
    assert root(make())
    make().deploy(SERVER)
    assert "Permission denied" in subprocess.run(stranger, capture_output=True, text=True).stderr


@pytest.fixture
def stranger() -> Iterator[tuple[str, ...]]:
    """A login that fails, from an address of this machine's that nothing else uses."""
    place = ("dev", network.BRIDGE)
    subprocess.run(("ip", "address", "add", f"{STRANGER}/24", *place), check=True)
    options = ("-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")
    # A connection that is cut off by the ban would wait.
    yield (
        "timeout",
        "10",
        "ssh",
        "-F",
        "none",
        "-b",
        STRANGER,
        *options,
        "-o",
        "ConnectTimeout=5",
        f"eve@{ADDRESS}",
        "true",
    )
    subprocess.run(("ip", "address", "delete", f"{STRANGER}/24", *place), check=True)


def test_the_inventorys_keys_are_the_only_ones_that_let_its_user_in(make: Make, tmp_path: Path) -> None:
    own = (LAB / "id_ed25519.pub").read_text().strip()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    shell(SERVER, f"echo '{(tmp_path / 'other.pub').read_text().strip()}' >>{KEYS}")
    login = ("ssh", "-F", "none", "-i", tmp_path / "other", "-o", "BatchMode=yes", f"deploy@{ADDRESS}", "true")
    words = (*login[:3], "-o", f"UserKnownHostsFile={LAB}/known_hosts", *login[3:])
    assert subprocess.run(words, capture_output=True).returncode == 0
    make(f"{{ssh: true, ssh_keys: ['{own}']}}").deploy(SERVER)
    assert subprocess.run(words, capture_output=True).returncode == 255
    make().deploy(SERVER)
    assert subprocess.run(words, capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("hardening", "error"),
    [
        ("{ssh: true, ssh_settings: {AllowUsers: nobody}}", "so the server took it back: nobody is locked out"),
        ("{ssh: true, ssh_settings: {AllowUser: nobody}}", "sshd refuses its new settings, so they were taken back"),
        *([("{firewall: true, ssh_from: [192.0.2.0/24]}", "so the server took it back: nobody is locked out")] * EVERY),
    ],
    ids=["sshd lets nobody in", "sshd refuses it", *["a firewall without us"] * EVERY],
)
def test_what_an_inventory_says_wrongly_of_access_is_taken_back(make: Make, hardening: str, error: str) -> None:
    make().deploy(SERVER)
    before, begun = state(), time.monotonic()
    answer = make(hardening)("deploy", SERVER, "--json")
    assert answer.status == 1
    assert error in answer.host(SERVER)["error"]
    assert_back(make(), before, begun)
    assert make().plan(SERVER).changed(SERVER) == []


@pytest.mark.parametrize("fault", sampled(["controller killed", "reboot"]))
def test_a_change_that_nobody_confirmed_is_taken_back_in_time_or_at_the_boot(make: Make, fault: str) -> None:
    make().deploy(SERVER)
    before = state()
    controller = make("{ssh: true, firewall: true, ssh_from: [192.0.2.0/24]}")
    process = controller.start("deploy", SERVER, "--json")
    while "provision" not in shell(SERVER, "nft list tables 2>/dev/null || true"):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    begun = time.monotonic()
    process.kill()
    process.communicate()
    if fault == "reboot":
        lab.kill(SERVER)
        lab.start(SERVER)
    assert_back(make(), before, begun)
    if fault == "reboot":
        assert time.monotonic() - begun < 60
    make().deploy(SERVER)
