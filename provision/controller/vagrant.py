"""Where Vagrant's machines answer, and with which keys: asked of Vagrant, kept for as long as that stays true.

`vagrant ssh-config` takes seconds, so its answer is kept in .vagrant/provision until the next `vagrant` command. A
machine's host key is pinned there at the first contact. A machine that was destroyed and made again has another id: it is
another machine, and pinned anew.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import secrets
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provision.controller import ssh
from provision.errors import Unreachable, VagrantError
from provision.inventory import Host, known_as

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SECONDS = 120


@dataclass(frozen=True, slots=True)
class Machine:
    """What `vagrant ssh-config` says of a machine."""

    address: str
    port: int
    user: str
    key: Path | None
    keys_only: bool


@dataclass(frozen=True, slots=True)
class VagrantState:
    """What Vagrant said: the machines, and their ports that have another number on this machine."""

    machines: Mapping[str, Machine]
    ports: Mapping[str, Mapping[int, int]]


def located(hosts: Sequence[Host], inventory: Path) -> tuple[Host, ...]:
    """The hosts, each machine of Vagrant's with the address, port, user and keys that it has now. Raises VagrantError."""
    names = [host.name for host in hosts if host.connect == "vagrant"]
    if not names:
        return tuple(hosts)
    folder = project(inventory, os.environ)
    state = folder / os.environ.get("VAGRANT_DOTFILE_PATH", ".vagrant")
    ids = {name: machine_id(state, name) for name in names}
    for name, one in ids.items():
        if not one:
            raise VagrantError(f"{name}: Vagrant has made no such machine: vagrant up {name}, in {folder}")
    answer = _answer(folder, state / "provision", ids)
    return tuple(
        _located(host, answer, state / "provision", ids[host.name]) if host.name in ids else host for host in hosts
    )


def project(inventory: Path, environ: Mapping[str, str]) -> Path:
    """The folder of the Vagrantfile: the inventory's, or the nearest above it. VAGRANT_CWD is another one."""
    if environ.get("VAGRANT_CWD"):
        return Path(environ["VAGRANT_CWD"]).absolute()
    below = inventory.absolute().parent
    for folder in (below, *below.parents):
        if (folder / "Vagrantfile").is_file():
            return folder
    raise VagrantError(f"{inventory}: connect: vagrant, and there is no Vagrantfile in {below} or above it")


def machine_id(state: Path, name: str) -> str:
    """What a provider calls the machine; another one after each `vagrant destroy`. Empty where there is none."""
    found = sorted((state / "machines" / name).glob("*/id"))
    return " ".join(filter(None, (file.read_text().strip() for file in found)))


def parse(text: str) -> dict[str, Machine]:
    """The machines in what `vagrant ssh-config` printed. Of several keys, the first."""
    blocks: dict[str, dict[str, str]] = {}
    block: dict[str, str] = {}
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "Host":
            block = blocks.setdefault(rest.strip(), {})
        elif word:
            block.setdefault(word, rest.strip())
    machines = {}
    for name, said in blocks.items():
        if "HostName" in said:
            key = said.get("IdentityFile", "")
            machines[name] = Machine(
                address=said["HostName"],
                port=int(said.get("Port", "22")),
                user=said.get("User", "vagrant"),
                key=Path(" ".join(shlex.split(key)) if key.startswith('"') else key) if key else None,
                keys_only=said.get("IdentitiesOnly") == "yes",
            )
    return machines


def parse_ports(text: str) -> dict[int, int]:
    """The server's ports and this machine's, in what `vagrant port --machine-readable` printed."""
    found = re.findall(r"^\d+,[^,]*,forwarded_port,(\d+),(\d+)$", text, re.MULTILINE)
    return {int(guest): int(here) for guest, here in found}


def _located(host: Host, answer: VagrantState, folder: Path, id_: str) -> Host:
    machine = answer.machines[host.name]
    known = folder / f"{host.name}.known_hosts"
    try:
        pin(known, id_, machine)
    except Unreachable as problem:
        raise VagrantError(f"{host.name}: {problem}: vagrant up {host.name}") from None
    reached = {"address": machine.address, "port": machine.port, "user": machine.user, "key": machine.key}
    agent = host.agent and not machine.keys_only
    forwarded = dict(answer.ports.get(host.name, {}))
    return host.model_copy(update={**reached, "agent": agent, "known_hosts": known, "forwarded": forwarded})


def pin(file: Path, id_: str, machine: Machine) -> None:
    """A known_hosts file with the machine's host key under its present address. Raises Unreachable."""
    lines = file.read_text().splitlines() if file.is_file() else []
    keys = [line.split()[1:3] for line in lines[1:] if len(line.split()) > 2] if lines[:1] == [f"# {id_}"] else []
    if not keys:
        keys = [ssh.host_key(machine.address, machine.port).split()]
    name = known_as(machine.address, machine.port)
    wanted = [f"# {id_}", *(" ".join((name, *key)) for key in keys)]
    if lines != wanted:
        _write(file, "\n".join(wanted) + "\n")


def _answer(folder: Path, place: Path, ids: Mapping[str, str]) -> VagrantState:
    file = place / "ssh-config.json"
    try:
        kept = json.loads(file.read_text())
    except (OSError, ValueError):
        kept = {}
    if not kept or kept.get("mark") != _mark(ids):
        said = _ssh_config(folder, ids)
        near = [name for name, machine in parse(said).items() if _loopback(machine.address)]
        ports = {name: _vagrant(folder, "port", "--machine-readable", name).stdout for name in near}
        # Vagrant notes each of its commands, these too.
        kept = {"mark": _mark(ids), "ssh_config": said, "ports": ports}
        _write(file, json.dumps(kept))
    return VagrantState(parse(kept["ssh_config"]), {name: parse_ports(text) for name, text in kept["ports"].items()})


def _mark(ids: Mapping[str, str]) -> list[object]:
    """What is another value after `vagrant up`, `reload`, `halt` or `destroy` of any machine."""
    home = Path(os.environ.get("VAGRANT_HOME") or Path.home() / ".vagrant.d")
    try:
        noted = (home / "data/machine-index/index").stat().st_mtime_ns
    except OSError:
        return [secrets.token_hex(8)]
    return [noted, dict(ids)]


def _ssh_config(folder: Path, names: Mapping[str, str]) -> str:
    done = _vagrant(folder, "ssh-config", *names)
    there = parse(done.stdout)
    for name in names:
        if name not in there:
            if "not yet ready for SSH" in done.stderr:
                raise VagrantError(f"{name} is not running: vagrant up {name}, in {folder}")
            said = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
            raise VagrantError(f"{name}: vagrant ssh-config: {said}")
    return done.stdout


def _vagrant(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ("vagrant", *words),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise VagrantError("connect: vagrant, and there is no vagrant on this machine: install it first") from None
    except subprocess.TimeoutExpired:
        raise VagrantError(f"vagrant {words[0]} has not answered for {SECONDS} seconds: try it by hand") from None


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    beside.write_text(text)
    beside.replace(file)
