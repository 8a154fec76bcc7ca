"""The kernel's packet filter (nftables): a table of our own, closed to what the server's roles do not need."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from provision.engine.access import confirmed
from provision.engine.plan import diff
from provision.engine.resource import Change, Finding, Probe, Ref, State
from provision.engine.shell import heredoc, library, words
from provision.resources import nftables
from provision.untrusted import line as shown

LIBRARY = library(__file__)
RULES, UNIT = "/etc/provision/firewall.nft", "/etc/systemd/system/provision-firewall.service"
AT_BOOT = "/etc/systemd/system/multi-user.target.wants/provision-firewall.service"
STAMP = "/var/lib/provision/stamps/firewall"
PATHS = (RULES, UNIT, AT_BOOT, STAMP)
SERVICE = nftables.unit("the firewall", f"ExecStart=/usr/sbin/nft -f {RULES}", f"ExecReload=/usr/sbin/nft -f {RULES}")
SUM = hashlib.sha256(SERVICE.encode()).hexdigest()
# Without systemctl, as it also runs before units start.
AFTERWARDS = f"if [ -e {RULES} ]; then nft -f {RULES}; else nft delete table inet provision; fi"
# Where a host's own bridges begin: what comes from there is from its containers and machines.
INSIDE = ("lo", "docker*", "br-*", "virbr*", "lxdbr*", "lxcbr*", "incusbr*", "podman*", "cni*")


@dataclass(frozen=True, slots=True)
class PacketFilter:
    """A table of nftables that lets in SSH, these TCP `ports`, those of UDP in `datagrams`, and to the TCP port of `guarded` its addresses
    alone; nothing if it is not `wanted`.

    SSH's ports are those on which the server's sshd listens, or else `ssh_port`; new connections to it are limited by
    client (30 at once, 30 a minute), and to the networks in `ssh_from`, if there are any. What others filter stays: this is one more
    table. Where ufw or firewalld is in use, that stays the firewall, and there is none of ours. A change stays only if a new login
    succeeds (provision/engine/access.py).
    """

    wanted: bool
    ports: tuple[int, ...] = ()
    ssh_port: int = 22
    ssh_from: tuple[str, ...] = ()
    datagrams: tuple[int, ...] = ()
    guarded: tuple[int, tuple[str, ...]] = (0, ())

    @property
    def ref(self) -> Ref:
        return Ref("firewall", "nftables")

    def probe(self) -> Probe:
        return Probe("packet_filter_probe", LIBRARY, (RULES, STAMP, "yes" if self.wanted else "no", UNIT, SUM))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        before = base64.b64decode(state["content"]).decode(errors="replace")
        if not self.wanted or state["manager"]:
            return self._remove(before) if before else None
        wanted = self._rules(state)
        if before == wanted and state["live"] == "yes" and state["boot"] == "yes":
            return None
        what = "write its rules" if before != wanted else "load its rules again" if before else "load its rules"
        script = heredoc(words("packet_filter_write", *PATHS, SERVICE), wanted.encode())
        return Change(
            self.ref,
            f"firewall: {what}, if a new login succeeds with them",
            confirmed(script, PATHS, AFTERWARDS),
            LIBRARY,
            diff(RULES, before, wanted),
        )

    def _remove(self, before: str) -> Change:
        return Change(
            self.ref,
            f"firewall: remove {RULES} and its table",
            confirmed(words("packet_filter_remove", *PATHS), PATHS, AFTERWARDS),
            LIBRARY,
            diff(RULES, before, ""),
        )

    def findings(self, state: State, planned: Mapping[Ref, Change] | None) -> tuple[Finding, ...]:
        """What this firewall closes that somebody listens to, and why there is none."""
        if not self.wanted:
            return ()
        if state["manager"]:
            tool = shown(state["manager"], 20)
            return (Finding("firewall", "ok", f"{tool} is the server's firewall, and stays that"),)
        if planned is not None and self.ref not in planned:
            return ()
        opened = {*self.ports, *self._ssh_ports(state), self.guarded[0]}
        closes = [one for one in state.all("listens") if int(one.split(" ")[0]) not in opened]
        if not closes:
            return ()
        said = ", ".join(shown(one, 40) for one in closes[:10])
        ports = ", ".join(one.split(" ")[0] for one in closes[:10])
        return (
            Finding(
                "firewall",
                "warn",
                f"the firewall closes what is open to others now: {said}",
                f"hardening: {{open: [{ports}]}} keeps it open",
            ),
        )

    def _ssh_ports(self, state: State) -> tuple[int, ...]:
        return tuple(sorted({int(one) for one in state["ssh"].split()})) or (self.ssh_port,)

    def _rules(self, state: State) -> str:
        four, six = _families(self.ssh_from)
        sources = [
            *((f"        ip saddr != {_set(four)} drop",) if four else ()),
            *((f"        ip6 saddr != {_set(six)} drop",) if six else ()),
            *(("        meta nfproto ipv6 drop",) if four and not six else ()),
            *(("        meta nfproto ipv4 drop",) if six and not four else ()),
        ]
        ports = [
            f"        {protocol} dport {_set(each)} accept"
            for protocol, each in (("tcp", self.ports), ("udp", self.datagrams))
            if each
        ]
        port, addresses = self.guarded
        ports += [
            f"        {family} saddr {_set(each)} tcp dport {port} accept"
            for family, each in zip(("ip", "ip6"), _families(addresses), strict=True)
            if each
        ]
        return TABLE.format(
            # A set with a * in it is refused by the nftables of Debian 11.
            inside="".join(f'        iifname "{name}" accept\n' for name in INSIDE),
            ssh=_set(self._ssh_ports(state)),
            sources="".join(f"{line}\n" for line in sources),
            ports="".join(f"{line}\n" for line in ports),
        )


def _families(addresses: Sequence[str]) -> tuple[list[str], list[str]]:
    """Those of IPv4, and those of IPv6."""
    return [one for one in addresses if ":" not in one], [one for one in addresses if ":" in one]


def _set(items: Sequence[object]) -> str:
    return "{ " + ", ".join(map(str, items)) + " }"


TABLE = """\
# Written by provision. Only this table is replaced; what others filter stays.
table inet provision
delete table inet provision
table inet provision {{
    set clients4 {{
        type ipv4_addr
        size 65535
        flags dynamic, timeout
        timeout 1m
    }}

    set clients6 {{
        type ipv6_addr
        size 65535
        flags dynamic, timeout
        timeout 1m
    }}

    chain input {{
        type filter hook input priority filter; policy drop;
        ct state established,related accept
{inside}        ct state invalid drop
        # ICMP is how hosts learn of errors, sizes and, in IPv6, each other (RFC 4890).
        meta l4proto {{ icmp, ipv6-icmp }} accept
        # Answers to DHCP.
        udp sport 67 udp dport 68 accept
        ip6 saddr fe80::/10 udp dport 546 accept
        tcp dport {ssh} jump ssh
{ports}    }}

    chain ssh {{
{sources}        ct state new add @clients4 {{ ip saddr limit rate over 30/minute burst 30 packets }} drop
        ct state new add @clients6 {{ ip6 saddr and ffff:ffff:ffff:ffff:: limit rate over 30/minute burst 30 packets }} drop
        accept
    }}
}}
"""
