"""What the inventory asks of `hardening` holds on the server as it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

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
