"""Firewalls that are closed to what is needed are named; where it is not sure, nothing is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provision.engine.resource import State
from provision.resources.firewall import Firewall

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provision.engine.resource import State as Seen

WEB = Firewall((80, 443))
UFW = ("policy DROP", "ipv6 yes")
ANYWHERE = "0.0.0.0/0 any 0.0.0.0/0"
NFT = ("table inet filter {", "chain input {", "type filter hook input priority filter; policy drop;")


def said(tool: str, *rules: str, six: bool = False, family: str = "4") -> list[str]:
    """What is warned of where a tool has these rules."""
    records = [{"tool": tool, "family": family, "rule": rule} for rule in rules]
    state = State.of({"six": "yes" if six else "no"}, *records)
    return [str(one) for one in WEB.findings(state, {}) if one.level != "ok"]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ((f"allow tcp 22 {ANYWHERE} in", f"allow tcp 80 {ANYWHERE} in"), ["443: ufw allow 443/tcp"]),
        ((f"allow tcp 22 {ANYWHERE} in",), ["ports 80 and 443: ufw allow 80,443/tcp"]),
        ((f"allow tcp 80,443 {ANYWHERE} Nginx%20Full - in",), []),
        ((f"allow any 1:1024 {ANYWHERE} in",), []),
        ((f"limit tcp 80 {ANYWHERE} in", "allow_log tcp 443 0.0.0.0/0 any 10.0.0.0/8 in_eth0"), []),
        ((f"allow any any {ANYWHERE} in",), []),
        ((f"allow udp 443 {ANYWHERE} in", f"allow tcp 80 {ANYWHERE} in"), ["443: ufw allow 443/tcp"]),
        ((f"deny tcp 443 {ANYWHERE} in", f"allow tcp 80 {ANYWHERE} in"), ["443: ufw allow 443/tcp"]),
        (("-A ufw-before-input -p tcp -m multiport --dports 80,443 -j ACCEPT",), []),
    ],
)
def test_ufw_is_closed_to_what_no_rule_of_its_own_lets_in(rules: tuple[str, ...], expected: list[str]) -> None:
    found = said("ufw", *UFW, *rules)
    assert [line.removeprefix("ufw is closed to ").removeprefix("port ") for line in found] == expected


def test_ufw_that_lets_everything_in_by_default_is_no_obstacle() -> None:
    assert said("ufw", "policy ACCEPT") == []


def test_what_is_closed_over_ipv6_alone_is_named_where_the_server_has_an_address() -> None:
    records = [{"tool": "ufw", "family": "", "rule": rule} for rule in UFW]
    records += [{"tool": "ufw", "family": "4", "rule": f"allow tcp {port} {ANYWHERE} in"} for port in (80, 443)]
    records += [{"tool": "ufw", "family": "6", "rule": "allow tcp 80 ::/0 any ::/0 in"}]
    for six, expected in (("yes", ["ufw is closed to port 443 over IPv6: ufw allow 443/tcp"]), ("no", [])):
        found = WEB.findings(State.of({"six": six}, *records), {})
        assert [str(one) for one in found if one.level != "ok"] == expected


@pytest.mark.parametrize(
    ("rules", "closed"),
    [
        (("zone public", "zone ", 'service name="ssh"/'), [80, 443]),
        (("zone public", 'service name="http"/', 'port port="443" protocol="tcp"/'), []),
        (("zone public", 'port port="8000-9000" protocol="tcp"/', 'service name="http"/'), [443]),
        (("zone trusted", 'zone target="ACCEPT"'), []),
    ],
)
def test_firewalld_is_closed_to_what_no_zone_lets_in(rules: tuple[str, ...], closed: list[int]) -> None:
    found = " ".join(said("firewalld", *rules, family=""))
    assert [port for port in (80, 443) if f"--add-port={port}/tcp" in found] == closed


@pytest.mark.parametrize(
    ("rules", "closed"),
    [
        (("ct state established,related accept", 'iif "lo" accept', "tcp dport 22 accept"), True),
        (("tcp dport { 22, 80 } accept", "icmp type echo-request accept"), False),
        (("tcp dport { 22, 80-90, 443 } counter packets 1 bytes 60 accept",), False),
        (("tcp dport @open accept",), False),
        (("jump others",), False),
        (('iifname "eth0" accept',), False),
        (("ip saddr 10.0.0.0/8 tcp dport 22 accept", "counter packets 5 bytes 300 drop"), True),
        (("ct state new,established accept",), False),
        (("ct state vmap { established : accept, new : drop }",), False),
    ],
)
def test_nft_is_closed_only_where_each_rule_is_understood(rules: tuple[str, ...], closed: bool) -> None:
    found = " ".join(said("nft", *NFT, *rules, "}", "}", family=""))
    assert ("nft insert rule inet filter input tcp dport { 80,443 } accept, and keep" in found) == closed


def test_an_nft_chain_for_what_goes_out_or_through_closes_nothing() -> None:
    assert said("nft", NFT[0], "chain forward {", "type filter hook forward priority filter; policy drop;", "}") == []


@pytest.mark.parametrize(
    ("rules", "closed"),
    [
        # As a cloud's image comes.
        (
            (
                "-P INPUT ACCEPT",
                "-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT",
                "-A INPUT -p icmp -j ACCEPT",
                "-A INPUT -i lo -j ACCEPT",
                "-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT",
                "-A INPUT -j REJECT --reject-with icmp-host-prohibited",
            ),
            True,
        ),
        (("-P INPUT DROP", "-A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd"), True),
        (("-P INPUT DROP", "-A INPUT -p tcp -m multiport --dports 22,80:443 -j ACCEPT"), False),
        (("-P INPUT DROP", "-A INPUT -j MINE"), False),
        (("-P INPUT ACCEPT", "-A INPUT -p tcp -m tcp --dport 3306 -j DROP"), False),
    ],
)
def test_iptables_is_closed_only_where_each_rule_is_understood(rules: tuple[str, ...], closed: bool) -> None:
    found = " ".join(said("iptables", *rules))
    assert ("iptables -I INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT" in found) == closed


def test_the_older_iptables_is_judged_and_opened_by_itself() -> None:
    records = [{"tool": "iptables", "family": family, "rule": "-P INPUT ACCEPT"} for family in "46"]
    records += [{"tool": "iptables-legacy", "family": family, "rule": "-P INPUT DROP"} for family in "46"]
    found = [str(one) for one in Firewall((443,)).findings(State.of({"six": "yes"}, *records), {})]
    assert [line.partition(" -I")[0] for line in found] == ["iptables-legacy is closed to port 443: iptables-legacy"]
    over_six = [each for each in records if each["family"] == "6"]
    (found_6,) = Firewall((443,)).findings(State.of({"six": "yes"}, *over_six), {})
    assert str(found_6).startswith("iptables-legacy is closed to port 443 over IPv6: ip6tables-legacy -I INPUT ")


def test_of_too_many_rules_nothing_is_said() -> None:
    assert said("ufw", *UFW, *(f"deny tcp 22 10.0.0.{n % 250} any 0.0.0.0/0 in" for n in range(700))) == []


def test_the_probe_reads_ufws_own_files(observe: Callable[..., tuple[Seen, ...]], root: Path) -> None:
    files = {
        "etc/ufw/ufw.conf": "ENABLED=yes\nLOGLEVEL=low\n",
        "etc/default/ufw": 'IPV6=yes\nDEFAULT_INPUT_POLICY="DROP"\n',
        "etc/ufw/user.rules": f"*filter\n### tuple ### allow tcp 80 {ANYWHERE} in\n-A ufw-user-input -p tcp --dport 80 -j ACCEPT\n",
        "proc/net/if_inet6": "fe800000000000000000000000000001 02 40 20 80 host0\n00000000000000000000000000000001 01 80 00 80 lo\n",
    }
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (state,) = observe(WEB)
    assert [str(one) for one in WEB.findings(state, {})] == ["ufw is closed to port 443: ufw allow 443/tcp"]
    (root / "proc/net/if_inet6").write_text("20010db8000000000000000000000001 02 40 00 80 host0\n")
    (state,) = observe(WEB)
    assert state["six"] == "yes"
    (root / "etc/ufw/ufw.conf").write_text("ENABLED=no\n")
    (state,) = observe(WEB)
    assert "ufw" not in state.all("tool")


def test_the_probe_reads_the_zones_of_a_firewalld_that_runs(
    observe: Callable[..., tuple[Seen, ...]], root: Path, stand_in: Callable[[str, str], Path]
) -> None:
    stand_in("systemctl", "exit 0")
    zone = '<?xml version="1.0"?>\n<zone>\n  <short>Public</short>\n  <service name="ssh"/>\n  <service name="http"/>\n</zone>\n'
    files = {
        "etc/firewalld/firewalld.conf": "# a line\nDefaultZone=public\n",
        "usr/lib/firewalld/zones/public.xml": zone,
    }
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (state,) = observe(WEB)
    (found,) = WEB.findings(state, {})
    assert str(found) == (
        "firewalld is closed to port 443: firewall-cmd --permanent --add-port=443/tcp && firewall-cmd --reload"
    )
    (root / "etc/firewalld/zones").mkdir()
    (root / "etc/firewalld/zones/public.xml").write_text(zone.replace("ssh", "https"))
    (state,) = observe(WEB)
    assert [one.level for one in WEB.findings(state, {})] == ["ok"]


@pytest.mark.parametrize(
    ("files", "asked"),
    [
        # A kernel as distributions have it, before anybody used a firewall.
        ({"proc/modules": "ext4 1 2 - Live 0x0\nnf_tables_other 1 0 - Live 0x0\n"}, []),
        (
            {"proc/modules": "nf_tables 1 2 - Live 0x0\n"},
            ["nft list ruleset", "iptables-nft -S INPUT", "ip6tables-nft -S INPUT"],
        ),
        (
            {"proc/modules": "ip_tables 1 2 - Live 0x0\n", "proc/net/ip_tables_names": "nat\nfilter\n"},
            ["iptables-legacy -S INPUT"],
        ),
        ({"proc/modules": "ip_tables 1 2 - Live 0x0\n", "proc/net/ip_tables_names": "nat\n"}, []),
        (
            {
                "proc/modules": "ext4 1 2 - Live 0x0\n",
                "lib/modules/6.1.0-1/modules.builtin": "kernel/net/netfilter/nf_tables.ko\n",
                "proc/net/ip6_tables_names": "filter\n",
            },
            [
                "nft list ruleset",
                "iptables-nft -S INPUT",
                "ip6tables-nft -S INPUT",
                "ip6tables-legacy -S INPUT",
            ],
        ),
        # A kernel that can load nothing.
        ({}, ["nft list ruleset", "iptables-nft -S INPUT", "ip6tables-nft -S INPUT"]),
    ],
)
def test_a_tool_is_asked_only_where_that_makes_the_kernel_load_nothing(
    files: dict[str, str],
    asked: list[str],
    observe: Callable[..., tuple[Seen, ...]],
    root: Path,
    stand_in: Callable[[str, str], Path],
) -> None:
    for path, text in {"proc/sys/kernel/osrelease": "6.1.0-1\n", **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    names = [f"{name}{kind}" for name in ("iptables", "ip6tables") for kind in ("", "-nft", "-legacy")]
    for name in ("nft", *names):
        stand_in(name, f'echo "{name} $*" >>{root}/asked; echo "-P INPUT DROP"')
    (state,) = observe(WEB)
    found = (root / "asked").read_text().splitlines() if asked else []
    assert found == asked
    assert (root / "asked").exists() == bool(asked)
    assert bool([one for one in WEB.findings(state, {}) if one.level == "warn"]) == bool(asked)
