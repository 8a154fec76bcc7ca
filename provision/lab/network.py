"""The lab's own bridge, address range, route and NAT table."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from provision.lab.machine import LabError, run

BRIDGE = "provlab0"
RANGE = "10.213.0.0/24"
GATEWAY = "10.213.0.1"
TABLE = "provision_lab"
MOST = 20

FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
OWNER = Path("/run/provision-lab.json")

# The route of last resort: once the bridge is gone, packets to the lab do not leave this machine.
FENCE = ("unreachable", RANGE, "metric", "4294967295")

NAT = f"""\
table ip {TABLE} {{}}
delete table ip {TABLE}
table ip {TABLE} {{
    chain nat {{
        type nat hook postrouting priority srcnat
        ip saddr {RANGE} ip daddr != {RANGE} masquerade
    }}
    chain segments {{
        type filter hook forward priority mangle
        iifname {BRIDGE} tcp flags syn tcp option maxseg size set rt mtu
    }}
}}
"""


def address(number: int) -> str:
    """The address of the server with this number."""
    return f"10.213.0.{10 + number}"


def exists(link: str) -> bool:
    """Whether this machine has a network interface of that name."""
    return link in (name for _, name in socket.if_nameindex())


def owner() -> tuple[Path, str] | None:
    """The folder of the lab that owns the network, and the machine's forwarding setting from before."""
    try:
        record = json.loads(OWNER.read_text())
        return Path(record["folder"]), str(record["ip_forward"])
    except (OSError, ValueError, KeyError):
        return None


def up(folder: Path) -> None:
    """Set up the bridge, route and NAT; whatever exists is kept. Raises LabError if the range is in use."""
    held = owner()
    if held is None or held[0] != folder:
        record = {"folder": str(folder), "ip_forward": held[1] if held else FORWARD.read_text().strip()}
        partial = OWNER.with_suffix(".partial")
        partial.write_text(json.dumps(record) + "\n")
        partial.replace(OWNER)
    taken = run("ip", "-o", "-4", "route", "show", RANGE).stdout
    if taken and BRIDGE not in taken and "unreachable" not in taken:
        raise LabError(f"The lab's range {RANGE} is in use on this machine: {taken.strip()}")
    if not exists(BRIDGE):
        run("ip", "link", "add", BRIDGE, "address", "02:00:0a:d5:00:01", "type", "bridge")
    run("ip", "address", "replace", f"{GATEWAY}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    run("ip", "route", "replace", *FENCE)
    run("nft", "-f", "-", stdin=NAT)
    FORWARD.write_text("1\n")


def down() -> None:
    """Remove all of it, and restore forwarding unless other bridges need it."""
    if exists(BRIDGE):
        run("ip", "link", "delete", BRIDGE)
    run("ip", "route", "delete", *FENCE, check=False)
    run("nft", "-f", "-", stdin=f"table ip {TABLE} {{}}\ndelete table ip {TABLE}\n")
    held = owner()
    if held is not None and not others():
        FORWARD.write_text(f"{held[1]}\n")
    OWNER.unlink(missing_ok=True)


def others() -> bool:
    """Whether there are other bridges, such as libvirt's or Docker's, that need forwarding too."""
    return bool(run("ip", "-o", "link", "show", "type", "bridge").stdout)


def unplug(name: str) -> None:
    """Remove the bridge's end of a server's cable, which outlives a killed server for a moment."""
    if exists(f"vb-{name}"):
        run("ip", "link", "delete", f"vb-{name}", check=False)
