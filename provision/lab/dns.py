"""Names for the servers: every name at or below labN.test is labN's address, and dns.labN.test is what labN's own name server says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.lab import network
from provision.lab.service import Service

if TYPE_CHECKING:
    from provision.lab.folder import Folder

ACME = "acme.test"


def service(folder: Folder) -> Service:
    """dnsmasq, with its configuration written."""
    names = [f"address=/lab{n}.test/{network.address(n)}" for n in range(1, network.MOST + 1)]
    zones = [f"server=/dns.lab{n}.test/{network.address(n)}" for n in range(1, network.MOST + 1)]
    lines = [
        "# Made by invoke lab.up. All other names are asked of this machine's own resolvers.",
        f"listen-address={network.GATEWAY}",
        "bind-interfaces",
        "except-interface=lo",
        "no-hosts",
        "local=/test/",
        f"address=/{ACME}/{network.GATEWAY}",
        *names,
        *zones,
        "user=root",
        "pid-file=",
        "log-facility=-",
    ]
    folder.dns.write_text("\n".join(lines) + "\n")
    return Service("dns", 53, ("dnsmasq", "--keep-in-foreground", f"--conf-file={folder.dns}"))
