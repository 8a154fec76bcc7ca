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
NOTICE = "Authorized users only: access to this private system is monitored."
# Each is what somebody did to the server, and the change that mends it.
DRIFT = {
    f"echo 1 >{NET}/host0/accept_redirects": "kernel:/etc/sysctl.d/zz-provision.conf",
    "echo >>/etc/systemd/journald.conf.d/zz-provision.conf": "dropin:/etc/systemd/journald.conf.d/zz-provision.conf",
    "rm /etc/security/limits.d/zz-provision.conf": "dropin:/etc/security/limits.d/zz-provision.conf",
    "echo >/etc/issue.net": "notice:/etc/issue.net",
    "sed -i /sctp/d /etc/modprobe.d/zz-provision.conf": "modules:/etc/modprobe.d/zz-provision.conf",
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
    kernel = values()
    assert len(provision(system=True).changed(SERVER)) == 10
    assert len(provision().changed(SERVER)) == 9, "the packages stay until the toolkit goes"
    before = listing(SERVER)
    first = provision(system=True, notice=NOTICE).host(SERVER)
    assert len(first["changes"]) == 10
    assert shell(SERVER, "cat /etc/issue; cat /etc/issue.net") == f"{NOTICE}\n{NOTICE}"
    (said,) = first["warnings"]
    assert "kernel.kptr_restrict" in said
    assert "net." not in said
    assert shell(SERVER, f"cat {NET}/all/accept_redirects {NET}/host0/log_martians") == "0\n1"
    assert "kptr" not in shell(SERVER, "cat /etc/sysctl.d/zz-provision.conf")
    again = provision(system=True, notice=NOTICE).host(SERVER)
    assert (again["changes"], again["execs"], again["warnings"]) == ([], 2, [])
    shell(SERVER, "; ".join(DRIFT))
    assert sorted(provision(system=True, notice=NOTICE).changed(SERVER)) == sorted(DRIFT.values())
    assert len(provision().changed(SERVER)) == 10
    assert provision().changed(SERVER) == []
    assert values() == kernel
    assert [line for line in changed(SERVER, before).splitlines() if "/run/provision/" not in line] == []


def test_services_and_logins_dump_no_core_and_a_login_says_what_manages_the_server(provision: Hardening) -> None:
    provision(system=True)
    dumps = shell(SERVER, "systemd-run -q --pipe sh -c 'ulimit -Hc'; su - admin -c 'ulimit -Hc'")
    assert dumps.split() == ["0", "0"]
    assert "managed by provision" in shell(SERVER, "cat /etc/motd.d/*")


def test_an_idle_shell_ends_and_a_poor_password_is_refused(provision: Hardening) -> None:
    provision(system=True)
    assert (
        shell(SERVER, "su - admin -c 'bash -lc \"echo \\$TMOUT\"'; TMUX=1 bash -lc 'echo ${TMOUT-none}'")
        == "3600\nnone"
    )
    changing = "su tester -c 'printf \"old-Passw0rd.of.ours\\n%s\\n%s\\n\" NEW NEW | passwd'"
    shell(SERVER, "useradd tester")
    for new, good in (("stapled-42-Batteries", True), ("aaaaaaaaaaaaaa", False), ("Sh0rt.pw", False)):
        shell(SERVER, "echo tester:old-Passw0rd.of.ours | chpasswd")
        assert (lab.shell(SERVER, changing.replace("NEW", new)).returncode == 0) is good, new
    shell(SERVER, "userdel -f tester 2>/dev/null")


@pytest.mark.long
def test_what_changed_in_the_systems_files_stands_in_the_journal_once(provision: Hardening) -> None:
    provision()
    before = listing(SERVER)
    assert provision(auditing=True).changed(SERVER) == ["packages:auditing", "integrity:provision-integrity.timer"]
    again = provision(auditing=True).host(SERVER)
    assert (again["changes"], again["execs"]) == ([], 2)
    look = "systemctl start provision-integrity; journalctl -q -o cat -u provision-integrity --since '-10min'"
    shell(
        SERVER,
        "systemctl start provision-integrity; touch /etc/cron.d/odd; cp /bin/true /usr/bin/odd; echo '# odd' >>/usr/bin/ldd",
    )
    said = shell(SERVER, look)
    for told in ("/etc/cron.d/odd", "/usr/bin/odd", "/usr/bin/ldd", "debsums: changed file /usr/bin/ldd"):
        assert told in said
    shell(SERVER, "rm /etc/cron.d/odd /usr/bin/odd; sed -i '$d' /usr/bin/ldd")
    controller = provision.controller(auditing=True)
    assert controller("verify", SERVER, "--json").failing(SERVER) == set()
    assert "provision-integrity" not in controller("audit", SERVER).stdout
    shell(SERVER, "systemctl stop provision-integrity.timer")
    assert controller("verify", SERVER, "--json").failing(SERVER) == {"what_changes_in_the_systems_files_is_noted"}
    assert provision(auditing=True).changed(SERVER) == ["integrity:provision-integrity.timer"]
    assert provision().changed(SERVER) == ["integrity:provision-integrity.timer"]
    assert provision().changed(SERVER) == []
    left = [line for line in changed(SERVER, before).splitlines() if "/run/provision/" not in line]
    assert not [line for line in left if "integrity" in line or "/etc/provision" in line], left


def test_verify_finds_settings_that_do_not_hold(provision: Hardening) -> None:
    provision(system=True)
    verify = provision.controller(system=True)
    assert verify("verify", SERVER, "--json").failing(SERVER) == set()
    shell(SERVER, f"echo 0 >{NET}/host0/log_martians; rm /etc/systemd/journald.conf.d/zz-provision.conf")
    wrong = {"the_kernels_settings_hold", "no_service_dumps_core_and_the_journal_has_a_limit"}
    assert verify("verify", SERVER, "--json").failing(SERVER) == wrong
    shell(SERVER, f"echo 1 >{NET}/host0/log_martians")


@pytest.mark.long
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
    provision(system=True, updates=True, auditing=True)
    answer = provision.controller(system=True, updates=True, auditing=True)("remove", SERVER, "--yes", "--json")
    assert answer.status == 0, answer.stdout + answer.stderr
    assert values() == provision.kernel
    assert changed(SERVER, provision.bare) == ""
