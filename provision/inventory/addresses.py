"""DNS names, IP addresses and web addresses. Each function returns the value in its usual form or raises ValueError."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
ASKED = "provision"
"""What stands for the star where a name below a wildcard is asked."""


def domain(value: str) -> str:
    """A DNS name in lower case, its international labels encoded (RFC 1035, RFC 3490)."""
    if "*" in value:
        raise ValueError(
            f'"{value}" is not a DNS name; a wildcard is all names one level below a domain: *.shop.example.com'
        )
    if "://" in value or "/" in value:
        raise ValueError(f'"{value}" is a URL; write the DNS name alone')
    if is_ip(value):
        raise ValueError(f"{value} is an IP address; write a DNS name that points to it")
    try:
        name = value.rstrip(".").lower()
        name = name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        name = ""
    if len(name) > 253 or not re.fullmatch(rf"({LABEL}\.)*{LABEL}", name) or name.rpartition(".")[2].isdigit():
        raise ValueError(f'"{value}" is not a DNS name; write for example shop.example.com')
    return name


def site_name(value: str) -> str:
    """A DNS name, or a wildcard for all names one level below one (RFC 9525, 6.3), in lower case."""
    below = value.removeprefix("*.")
    if below == value:
        return domain(value)
    name = domain(below)
    if "." not in name:
        raise ValueError(f'"{value}" is a wildcard for a whole top-level domain; write for example *.shop.example.com')
    return f"*.{name}"


def site_names(value: list[str]) -> list[str]:
    """A site's names. Raises ValueError if the first, which is the site's own address, is a wildcard."""
    if value and value[0].startswith("*"):
        raise ValueError(f"a wildcard has no address of its own; write a name before it, such as {value[0][2:]}")
    return value


def concrete(name: str) -> str:
    """A name that a site's name covers: itself, or one below a wildcard."""
    return f"{ASKED}{name[1:]}" if name.startswith("*") else name


def is_ip(value: str) -> bool:
    """Whether the value is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def ip_address(value: str) -> str:
    """One IP address."""
    if not is_ip(value):
        raise ValueError(f'"{value}" is not an IP address; write for example 10.0.0.10')
    return str(ipaddress.ip_address(value))


def network(value: str) -> str:
    """A network such as 10.0.0.0/8, or one address."""
    try:
        ipaddress.ip_network(value)
    except ValueError:
        hint = "" if "/" in value else ", or an address"
        raise ValueError(f'"{value}" is not a network; write for example 10.0.0.0/8{hint}') from None
    return value


def ssh_address(value: str) -> str:
    """What SSH connects to: a DNS name or an IP address, without user and port."""
    value = value.removeprefix("[").removesuffix("]")
    if is_ip(value):
        return value
    user, at, rest = value.rpartition("@")
    if at and user:
        raise ValueError(f'"{value}" names a user; write user: {user} and address: {rest}')
    host, colon, port = value.rpartition(":")
    if colon and port.isdigit() and ":" not in host:
        raise ValueError(f'"{value}" names a port; write port: {port} and address: {host}')
    if not re.fullmatch(r"(?!-)[A-Za-z0-9_.-]{1,253}", value) or re.fullmatch(r"[\d.]+", value):
        raise ValueError(f'"{value}" is neither a DNS name nor an IP address; write for example 203.0.113.10')
    return value


def web_address(value: str) -> str:
    """An http or https URL that needs no quotes."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or re.search(r"[\s'\"\\]", value):
        raise ValueError("not a web address; write https://HOST/PATH")
    return value


def without_password(value: str) -> str:
    """A URL that names no user."""
    if "@" in urlsplit(value).netloc:
        raise ValueError("a password here would be seen on the server; let the mirror know servers by their address")
    return value
