"""`hardening`: the system's settings and its updates on a real server, which is as it was before when they are asked for no longer."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision import lab
from tests.lab.conftest import Answer, Controller, shell
from tests.lab.listing import changed, listing
from tests.lab.refusals import lab_values

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab2")
NET = "/proc/sys/net/ipv4/conf"
TIMERS = "systemctl is-enabled apt-daily.timer apt-daily-upgrade.timer; systemctl is-active apt-daily.timer apt-daily-upgrade.timer; true"
# Each is what somebody did to the server, and the change that mends it.
DRIFT = {
    f"echo 1 >{NET}/host0/accept_redirects": "kernel:/etc/sysctl.d/zz-provision.conf",
    "echo >>/etc/systemd/journald.conf.d/zz-provision.conf": "dropin:/etc/systemd/journald.conf.d/zz-provision.conf",
    "rm /etc/security/limits.d/zz-provision.conf": "dropin:/etc/security/limits.d/zz-provision.conf",
}


@dataclass(frozen=True)
class Hardening:
    """Provisions the server with one role and no app; what it had as a bare one."""

    folder: Path
    bare: set[str]
    kernel: str

    def controller(self, **parts: Any) -> Controller:
        """One whose inventory asks for these parts."""
        content = lab_values()
        content["hosts"] = {SERVER: content["hosts"][SERVER] | {"roles": ["base"]}}
        content["hardening"] = parts
        for key in ("apps", "tls"):
            content.pop(key, None)
        path = self.folder / "hardened.yml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return Controller(path)

    def __call__(self, **parts: Any) -> Answer:
        """Provision it; that must succeed."""
        answer = self.controller(**parts)("provision", SERVER, "--json")
        assert answer.status == 0, answer.stdout + answer.stderr
        return answer


@pytest.fixture(scope="module")
def provision(tmp_path_factory: pytest.TempPathFactory) -> Hardening:
    """For a server that has been reset."""
    lab.reset(SERVER)
    return Hardening(tmp_path_factory.mktemp("inventory"), listing(SERVER), values())


def values() -> str:
    """All values of the kernel's network."""
    return shell(SERVER, "grep -rs . /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf /proc/sys/net/ipv4/tcp_* | sort")


def test_the_system_is_set_once_mended_after_each_drift_and_put_back(provision: Hardening) -> None:
    provision()
    before, kernel = listing(SERVER), values()
    first = provision(system=True).host(SERVER)
    assert len(first["changes"]) == 6
    (said,) = first["warnings"]
    assert "kernel.kptr_restrict" in said
    assert "net." not in said
    assert shell(SERVER, f"cat {NET}/all/accept_redirects {NET}/host0/log_martians") == "0\n1"
    assert "kptr" not in shell(SERVER, "cat /etc/sysctl.d/zz-provision.conf")
    again = provision(system=True).host(SERVER)
    assert (again["changes"], again["execs"], again["warnings"]) == ([], 2, [])
    shell(SERVER, "; ".join(DRIFT))
    assert provision(system=True).changed(SERVER) == list(DRIFT.values())
    assert len(provision().changed(SERVER)) == 6
    assert provision().changed(SERVER) == []
    assert values() == kernel
    assert [line for line in changed(SERVER, before).splitlines() if "/run/provision/" not in line] == []


def test_services_and_logins_dump_no_core_and_a_login_says_what_manages_the_server(provision: Hardening) -> None:
    provision(system=True)
    dumps = shell(SERVER, "systemd-run -q --pipe sh -c 'ulimit -Hc'; su - admin -c 'ulimit -Hc'")
    assert dumps.split() == ["0", "0"]
    assert "managed by provision" in shell(SERVER, "cat /etc/motd.d/*")


def test_verify_finds_settings_that_do_not_hold(provision: Hardening) -> None:
    provision(system=True)
    verify = provision.controller(system=True)
    assert verify("verify", SERVER, "--json").failing(SERVER) == set()
    shell(SERVER, f"echo 0 >{NET}/host0/log_martians; rm /etc/systemd/journald.conf.d/zz-provision.conf")
    wrong = {"the_kernels_settings_hold", "no_service_dumps_core_and_the_journal_has_a_limit"}
    assert verify("verify", SERVER, "--json").failing(SERVER) == wrong
    shell(SERVER, f"echo 1 >{NET}/host0/log_martians")


def test_security_updates_are_installed_by_day_until_they_are_asked_for_no_longer(provision: Hardening) -> None:
    provision()
    before = shell(SERVER, TIMERS)
    provision(updates=True, reboot="04:00")
    again = provision(updates=True, reboot="04:00").host(SERVER)
    assert (again["changes"], again["execs"]) == ([], 2)
    assert shell(SERVER, TIMERS) == "enabled\nenabled\nactive\nactive"
    said = shell(SERVER, "unattended-upgrade --dry-run --debug 2>&1 | grep '^Allowed origins are'; apt-config dump")
    assert said.count("Debian-Security") == 4
    assert "label=Debian," not in said
    assert 'Unattended-Upgrade::Automatic-Reboot-Time "04:00";' in said
    assert 'APT::Periodic::Unattended-Upgrade "1";' in said
    assert provision(updates=True).changed(SERVER) == ["dropin:/etc/apt/apt.conf.d/zz-provision"]
    assert 'Unattended-Upgrade::Automatic-Reboot "false";' in shell(SERVER, "apt-config dump")
    assert len(provision().changed(SERVER)) == 3
    assert provision().changed(SERVER) == []
    assert shell(SERVER, TIMERS) == before
    assert lab.shell(SERVER, "ls /etc/apt/apt.conf.d/zz-provision").returncode == 2


def test_status_names_what_waits_for_a_reboot(provision: Hardening) -> None:
    shell(SERVER, "touch /run/reboot-required; echo linux-image-amd64 >/run/reboot-required.pkgs")
    controller = provision.controller(updates=True)
    waiting = controller("status", SERVER, "--json").host(SERVER)["waiting"]
    assert waiting == {"reboot": True, "packages": ["linux-image-amd64"], "services": []}
    assert "an update waits for a reboot (linux-image-amd64)" in controller("status", SERVER).stderr
    shell(SERVER, "rm /run/reboot-required*")
    assert controller("status", SERVER, "--json").host(SERVER)["waiting"]["reboot"] is False


def test_the_toolkit_leaves_nothing_of_it(provision: Hardening) -> None:
    provision(system=True, updates=True)
    answer = provision.controller(system=True, updates=True)("remove", SERVER, "--yes", "--json")
    assert answer.status == 0, answer.stdout + answer.stderr
    assert values() == provision.kernel
    assert changed(SERVER, provision.bare) == ""
