from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from provision.engine.resource import Change, Ref, State
from provision.resources.packet_filter import PacketFilter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WEB = PacketFilter(True, (80, 443))
RIGHT = {"manager": "", "live": "yes", "boot": "yes", "ssh": "22"}
SS = """\
LISTEN 0 128 0.0.0.0:2222 0.0.0.0:* users:(("sshd",pid=1,fd=3))
LISTEN 0 128 [::]:2222 [::]:* users:(("sshd",pid=1,fd=4))
LISTEN 0 128 127.0.0.1:5432 0.0.0.0:* users:(("postgres",pid=2,fd=3))
LISTEN 0 128 *:3306 *:* users:(("mariadbd",pid=3,fd=3))
"""


def state(content: str = "", *, listens: tuple[str, ...] = (), **more: Any) -> State:
    encoded = {"content": base64.b64encode(content.encode()).decode()}
    return State.of(encoded, {**RIGHT, **more}, *({"listens": one} for one in listens))


def rules(wanted: PacketFilter, **more: Any) -> str:
    """The rules that the server gets, from the diff of its plan."""
    change = wanted.plan(state(**more), {})
    assert change is not None
    return "".join(f"{line[1:]}\n" for line in change.diff.splitlines()[3:])


def test_only_what_is_named_is_let_in() -> None:
    text = rules(WEB)
    assert "policy drop" in text
    assert [line.strip() for line in text.splitlines() if "tcp dport" in line] == [
        "tcp dport { 22 } jump ssh",
        "tcp dport { 80, 443 } accept",
    ]
    assert WEB.plan(state(text), {}) is None


def test_a_guarded_port_is_open_to_its_addresses_alone() -> None:
    guarded = PacketFilter(True, (), guarded=(5432, ("10.0.0.10", "fd00::10", "10.0.0.11")))
    assert [line.strip() for line in rules(guarded).splitlines() if "5432" in line] == [
        "ip saddr { 10.0.0.10, 10.0.0.11 } tcp dport 5432 accept",
        "ip6 saddr { fd00::10 } tcp dport 5432 accept",
    ]
    assert guarded.findings(state(listens=("5432 postgres",)), {guarded.ref: Change(guarded.ref, "", "")}) == ()


def test_datagrams_are_let_in_only_where_http3_needs_them() -> None:
    assert "udp dport { 443 }" not in rules(WEB)
    assert "        udp dport { 443 } accept\n" in rules(PacketFilter(True, (80, 443), datagrams=(443,)))


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (("10.0.0.0/8",), ["ip saddr != { 10.0.0.0/8 } drop", "meta nfproto ipv6 drop"]),
        (("fd00::/8",), ["ip6 saddr != { fd00::/8 } drop", "meta nfproto ipv4 drop"]),
        (("10.0.0.0/8", "fd00::/8"), ["ip saddr != { 10.0.0.0/8 } drop", "ip6 saddr != { fd00::/8 } drop"]),
    ],
)
def test_ssh_is_for_some_networks_only(sources: tuple[str, ...], expected: list[str]) -> None:
    text = rules(PacketFilter(True, ssh_from=sources))
    assert [
        line.strip() for line in text.splitlines() if (line.endswith(" drop") and "!=" in line) or "nfproto" in line
    ] == expected


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"live": "no"}, "load its rules again"),
        ({"boot": "no"}, "load its rules again"),
        ({"ssh": "22 2222"}, "write its rules"),
    ],
)
def test_drift_is_seen(more: dict[str, Any], what: str) -> None:
    change = WEB.plan(state(rules(WEB), **more), {})
    assert change is not None
    assert change.summary == f"firewall: {what}, if a new login succeeds with them"


def test_another_firewall_stays_the_servers() -> None:
    assert WEB.plan(state(manager="ufw"), {}) is None
    (found,) = WEB.findings(state(manager="ufw"), {})
    assert str(found) == "ufw is the server's firewall, and stays that"
    gone = WEB.plan(state(rules(WEB), manager="ufw"), {})
    assert gone is not None
    assert gone.summary == "firewall: remove /etc/provision/firewall.nft and its table"


def test_what_it_closes_is_said_once() -> None:
    seen = state(listens=("22 sshd", "443 nginx", "3306 mariadbd"))
    planned = {WEB.ref: Change(Ref("a", "b"), "", "")}
    (found,) = WEB.findings(seen, planned)
    assert str(found) == (
        "the firewall closes what is open to others now: 3306 mariadbd: hardening: {open: [3306]} keeps it open"
    )
    assert WEB.findings(seen, {}) == ()
    assert PacketFilter(True, (80, 443, 3306)).findings(seen, planned) == ()


def test_the_probe_tells_where_sshd_listens_and_what_is_open(
    stand_in: Callable[[str, str], Path], observe: Callable[..., Any]
) -> None:
    stand_in("ss", f"cat <<'END'\n{SS}END")
    stand_in("systemctl", "exit 1")
    (found, none) = observe(WEB, PacketFilter(False))
    assert (found["ssh"], found["manager"], found["live"], found["boot"]) == ("2222", "", "no", "no")
    assert found.all("listens") == ("2222 sshd", "3306 mariadbd")
    assert none.all("ssh") == ()
