"""What Vagrant prints about its machines, read: pure functions of its output."""

import ipaddress
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """What `vagrant ssh-config` says of a machine. With `keys_only`, the agent's keys are not to be offered."""

    address: str
    port: int
    user: str
    key: Path | None
    keys_only: bool

    @property
    def local(self) -> bool:
        """Whether the machine is reached through a forwarded port of this one."""
        try:
            return ipaddress.ip_address(self.address).is_loopback
        except ValueError:
            return self.address == "localhost"


@dataclass(frozen=True, slots=True)
class VagrantState:
    """Vagrant's machines by name, and for each the guest's ports that have another number on this machine."""

    machines: Mapping[str, Machine]
    ports: Mapping[str, Mapping[int, int]]


def parse(text: str) -> dict[str, Machine]:
    """The machines in the output of `vagrant ssh-config`, by name. Of several keys, the first counts."""
    blocks: dict[str, dict[str, str]] = {}
    block: dict[str, str] = {}
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "Host":
            block = blocks.setdefault(rest.strip(), {})
        elif word:
            block.setdefault(word, rest.strip())
    return {name: _machine(said) for name, said in blocks.items() if "HostName" in said}


def parse_ports(text: str) -> dict[int, int]:
    """This machine's ports by the guest's, in the output of `vagrant port --machine-readable`."""
    found = re.findall(r"^\d+,[^,]*,forwarded_port,(\d+),(\d+)$", text, re.MULTILINE)
    return {int(guest): int(here) for guest, here in found}


def _machine(said: Mapping[str, str]) -> Machine:
    key = said.get("IdentityFile", "")
    return Machine(
        address=said["HostName"],
        port=int(said.get("Port", "22")),
        user=said.get("User", "vagrant"),
        key=Path(" ".join(shlex.split(key)) if key.startswith('"') else key) if key else None,
        keys_only=said.get("IdentitiesOnly") == "yes",
    )
