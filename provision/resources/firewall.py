"""Firewalls that are closed to what a service needs."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from provision.engine.resource import Change, Finding, Probe, Ref, State
from provision.engine.shell import library

LIBRARY = library(__file__)
# The longest answer that the probe gives; of a longer one, not all is known.
LONGEST = 600
NUMBERS = re.compile(r"(?<![\w.:/-])(\d{1,5})(?:[:-](\d{1,5}))?(?![\w./])")
HARMLESS = re.compile(
    r'-i lo\b|iif(name)? "?lo"?\b|-p (icmp|icmpv6|ipv6-icmp|udp|igmp)\b|\b(icmp|icmpv6|udp|igmp|l4proto (ipv6-)?icmp\w*)\b'
    r"|(--ctstate|--state|ct state) (?!.*\b(new|NEW)\b)"
)
COUNTER = re.compile(r"counter packets \d+ bytes \d+ ?")
FIXES = {
    "ufw": "ufw allow {listed}/tcp",
    "firewalld": "firewall-cmd --permanent {each} && firewall-cmd --reload",
    "nft": "nft insert rule {chain} tcp dport {{ {listed} }} accept, and keep it for the next boot (/etc/nftables.conf)",
    "iptables": "{command} -I INPUT -p tcp -m multiport --dports {listed} -j ACCEPT, and keep it for the next boot",
}


@dataclass(frozen=True, slots=True)
class Firewall:
    """No firewall on the server keeps clients from these TCP ports, IPv4 or IPv6. Never a change; a warning only where it is sure.

    A rule that cannot be read for certain counts as one that opens the ports.
    """

    numbers: tuple[int, ...]

    @property
    def ref(self) -> Ref:
        return Ref("firewall", ",".join(map(str, self.numbers)))

    def probe(self) -> Probe:
        return Probe("firewall_probe", LIBRARY)

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        return None

    def findings(self, state: State, planned: Mapping[Ref, Change] | None) -> tuple[Finding, ...]:
        families = ("4", "6") if state["six"] == "yes" else ("4",)
        closed: dict[tuple[str, str], list[int]] = {}
        for family in families:
            for number in self.numbers:
                tool = closed_by(number, family, state)
                if tool:
                    closed.setdefault((tool, family), []).append(number)
        found = tuple(
            _closed(tool, family, numbers)
            for (tool, family), numbers in closed.items()
            if family == "4" or numbers != closed.get((tool, "4"))
        )
        ports = " and ".join(map(str, self.numbers))
        return found or (Finding("firewall", "ok", f"no firewall on the server is known to close ports {ports}"),)


def _closed(rules: str, family: str, numbers: Sequence[int]) -> Finding:
    tool, _, chain = rules.partition(" ")
    ports = f"port{'s' if len(numbers) > 1 else ''} {' and '.join(map(str, numbers))}"
    fix = FIXES[tool.removesuffix("-legacy")].format(
        listed=",".join(map(str, numbers)),
        each=" ".join(f"--add-port={number}/tcp" for number in numbers),
        command=tool.replace("ip", "ip6", 1) if family == "6" else tool,
        chain=chain,
    )
    return Finding("firewall", "warn", f"{tool} is closed to {ports}{' over IPv6' if family == '6' else ''}", fix)


def closed_by(number: int, family: str, state: State) -> str:
    """The tool whose rules close the port for certain, and its chain (nft: after a blank); empty if none does."""
    for tool, judge in JUDGES.items():
        rules = [
            each["rule"]
            for each in state.records
            if each.get("tool") == tool and each["family"] in ("", family) and "rule" in each
        ]
        closes = judge(number, family, rules) if rules and len(state.records) < LONGEST else False
        if closes:
            return tool if closes is True else f"{tool} {closes}"
    return ""


def _ufw(number: int, family: str, rules: Sequence[str]) -> bool:
    if not {"policy DROP", "policy REJECT"} & set(rules) or (family == "6" and "ipv6 yes" not in rules):
        return False
    for rule in rules:
        if rule.startswith("-A"):
            if covers(rule, number):
                return False
            continue
        action, protocol, port, *_ = (*rule.split(), "", "", "")
        allows = action.split("_")[0] in ("allow", "limit") and protocol in ("tcp", "any")
        if allows and (port == "any" or covers(port.replace(",", " "), number)):
            return False
    return True


def _firewalld(number: int, family: str, rules: Sequence[str]) -> bool:
    services = {80: "http", 443: "https"}
    opens = re.compile(
        rf'service .*name="{services.get(number, number)}"|target="ACCEPT"|zone (trusted|.*accept)|rule ', re.IGNORECASE
    )
    ports = (re.search(r'port="([0-9-]+)"', rule) for rule in rules if rule.startswith("port"))
    return not any(map(opens.search, rules)) and not any(covers(found[1], number) for found in ports if found)


def _nft(number: int, family: str, rules: Sequence[str]) -> str:
    chains = _nft_chains(family, rules)
    return next((name for name, chain in chains.items() if _chain_closes(number, chain)), "")


def _nft_chains(family: str, rules: Iterable[str]) -> dict[str, list[str]]:
    """The rules of the chains that the kernel asks about what comes in, each after the chain's policy; by FAMILY TABLE CHAIN."""
    chains: dict[str, list[str]] = {}
    table = chain = inside = ""
    for rule in rules:
        if named := re.fullmatch(r"(table|chain) ([\w .-]{1,80}) \{", rule):
            table, chain = (named[2], "") if named[1] == "table" else (table, named[2])
            inside = ""
        elif rule == "}":
            inside = ""
        elif rule.startswith("type filter hook input ") and table.split()[0] in (
            "inet",
            {"4": "ip", "6": "ip6"}[family],
        ):
            inside = f"{table} {chain}"
            chains[inside] = ["policy DROP" if "policy drop" in rule else "policy ACCEPT"]
        elif inside and rule:
            chains[inside].append(COUNTER.sub("", rule))
    return chains


def _iptables(number: int, family: str, rules: Sequence[str]) -> bool:
    chain = [re.sub(r"^-P INPUT ", "policy ", rule).removeprefix("-A INPUT ") for rule in rules]
    return _chain_closes(number, chain)


def _chain_closes(number: int, chain: Sequence[str]) -> bool:
    """Whether a chain drops what comes in for a port, and nothing in it may accept that before."""
    for rule in chain[1:]:
        if re.fullmatch(r"(-j )?(drop|reject)( .*)?", rule, re.IGNORECASE):
            return True
        if not _harmless(rule, number):
            return False
    return chain[0] == "policy DROP"


def _harmless(rule: str, number: int) -> bool:
    """Whether a rule for certain accepts nothing new on the port."""
    if re.search(r"!|\b(vmap|jump|goto)\b", rule):
        return False
    if re.search(r"-j (DROP|REJECT|LOG|f2b-\S+)( |$)|\b(drop|reject)\b|^log ", rule) or HARMLESS.search(rule):
        return True
    ports = re.search(r"--dports? (\S+)|tcp dport (\{.*\}|\S+)", rule)
    if not ports:
        return False
    text = ports[1] or ports[2]
    return bool(re.fullmatch(r"[0-9,:{} -]+", text)) and not covers(text.replace(",", " "), number)


def covers(text: str, number: int) -> bool:
    """Whether one of the numbers or ranges (A:B, A-B) in a text is, or has, this one."""
    return any(int(low) <= number <= int(high or low) for low, high in NUMBERS.findall(text))


JUDGES: Mapping[str, Callable[[int, str, Sequence[str]], bool | str]] = {
    "ufw": _ufw,
    "firewalld": _firewalld,
    "iptables": _iptables,
    "iptables-legacy": _iptables,
    "nft": _nft,
}
