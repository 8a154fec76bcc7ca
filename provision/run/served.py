"""Which certificate a host serves, seen from here."""

from dataclasses import dataclass
from functools import partial

from provision.controller import https
from provision.inventory import Host

SECONDS = 10


@dataclass(frozen=True, slots=True)
class Served:
    """After a renewal, an app's certificate (its serial number, hexadecimal, and until when it is good), and what is wrong with what
    clients get.
    """

    app: str
    serial: str
    until: str
    wrong: tuple[str, ...]


def unserved(host: Host, app: str, serial: str) -> tuple[str, ...]:
    """What is wrong with what the host serves under an app's domains, if it is not the certificate of this serial number, which is
    hexadecimal: a line for each domain.

    It is asked at its own address, where DNS may lead to a proxy. Behind a jump host, it cannot be asked from here.
    """
    if host.proxy_jump:
        return ()
    port = host.forwarded.get(443, 443)
    calls = {domain: partial(https.serial, host.address, port, domain) for domain in host.apps[app].asked}
    found = https.together(calls, SECONDS)
    lines = []
    for domain in host.apps[app].asked:
        seen = found.get(domain, "timed out")
        if not isinstance(seen, int):
            lines.append(f"https://{domain}/ at {host.address} could not be asked from here: {seen}")
        elif seen != int(serial, 16):
            lines.append(f"https://{domain}/ at {host.address} serves the certificate {seen:X}, not {serial}")
    return tuple(lines)
