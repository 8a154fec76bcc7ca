"""What the inventory asks of `hardening` holds on the server as it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from provision.release.layout import Hardened

if TYPE_CHECKING:
    from provision import inventory


@pytest.mark.hardening("ssh")
def test_sshd_lets_nobody_in_by_password(host: Any, declared: inventory.Host) -> None:
    own = {name.lower() for name in declared.hardening.ssh_settings}
    settings = dict(line.split(" ", 1) for line in host.check_output("sshd -T").splitlines() if " " in line)
    for name in {"passwordauthentication", "kbdinteractiveauthentication"} - own:
        assert settings[name] == "no", f"sshd has {name} {settings[name]}"


@pytest.mark.hardening("ssh")
def test_sshd_lets_root_in_only_where_nobody_else_works(host: Any, declared: inventory.Host) -> None:
    if any(name.lower() == "permitrootlogin" for name in declared.hardening.ssh_settings):
        return
    allowed = ("no",) if declared.user != "root" else ("no", "prohibit-password", "without-password")
    said = host.check_output("sshd -T | sed -n 's/^permitrootlogin //p'")
    assert said in allowed, f"sshd has PermitRootLogin {said}"


@pytest.mark.hardening("firewall")
def test_a_firewall_drops_what_it_does_not_let_in(host: Any) -> None:
    if host.run("grep -qs '^ENABLED=yes' /etc/ufw/ufw.conf").rc == 0 or host.service("firewalld").is_running:
        return
    rules = host.run("nft list chain inet provision input")
    assert rules.rc == 0, "the firewall's rules are not loaded"
    assert "policy drop" in rules.stdout, "the firewall lets in what no rule names"


@pytest.mark.hardening("fail2ban")
def test_fail2ban_watches_sshd(host: Any) -> None:
    jail = host.run("fail2ban-client status sshd")
    assert jail.rc == 0, f"fail2ban does not watch sshd: {jail.stdout.strip()}"


@pytest.mark.hardening("updates")
def test_security_updates_come_by_themselves(host: Any) -> None:
    for timer in ("apt-daily.timer", "apt-daily-upgrade.timer"):
        assert host.service(timer).is_running, f"{timer} does not run"
    said = host.check_output("apt-config dump APT::Periodic::Unattended-Upgrade")
    assert '"1"' in said, f"unattended upgrades are off: {said}"


@pytest.mark.hardening("egress")
def test_an_apps_user_reaches_no_metadata_address(host: Any, declared: inventory.Host, app: inventory.App) -> None:
    # The server itself refuses: nobody is asked, or there would be an answer, no route, or silence.
    asks = "LC_ALL=C timeout 5 bash -c 'echo >/dev/tcp/169.254.169.254/80'"
    said = host.run(f"runuser -u {app.name} -- env {asks}").stderr
    assert "Connection refused" in said, f"{app.name} may ask a cloud for this server's secrets"


@pytest.mark.hardening("system")
def test_the_kernels_settings_hold(host: Any) -> None:
    lines = host.check_output(f"grep -v '^#' {Hardened.kernel.path}").splitlines()
    settings = [tuple(map(str.strip, line.lstrip("-").split("="))) for line in lines if "=" in line]
    assert settings
    for name, value in settings:
        # The stars are for the network's interfaces.
        now = host.check_output(f"cat /proc/sys/{name.replace('.', '/')}").split()
        assert {*now} == {value}, f"{name} is not {value}"


@pytest.mark.hardening("system")
def test_no_service_dumps_core_and_the_journal_has_a_limit(host: Any) -> None:
    assert host.check_output("systemctl show -P DefaultLimitCORE") == "0"
    assert "\nSystemMaxUse=" in host.check_output("systemd-analyze cat-config systemd/journald.conf")


@pytest.mark.hardening("system")
def test_the_kernel_loads_no_module_that_is_forbidden(host: Any) -> None:
    names = host.check_output(f"sed -n 's/^install \\([^ ]*\\) .*/\\1/p' {Hardened.modules.path}").split()
    assert names
    for name in names:
        line = f"install {name.replace('-', '[-_]')} /bin/false"
        said = host.run(f"! command -v modprobe >/dev/null || modprobe --show-config 2>/dev/null | grep -xE '{line}'")
        assert said.rc == 0, f"the kernel would load {name}"


@pytest.mark.hardening("auditing")
def test_what_changes_in_the_systems_files_is_noted(host: Any) -> None:
    assert host.service("provision-integrity.timer").is_running, "provision-integrity.timer does not run"
    said = host.check_output("systemctl show -P Result provision-integrity.service")
    assert said == "success", f"the last check failed ({said}): journalctl -u provision-integrity"


@pytest.mark.hardening("nginx")
def test_nginx_runs_in_its_sandbox(host: Any) -> None:
    status = host.check_output("cat /proc/$(systemctl show -P MainPID nginx)/status")
    assert "NoNewPrivs:\t1" in status, "nginx runs as it was before the sandbox: restart it"
    assert host.check_output("systemctl show -P ProtectSystem nginx") == "strict"
