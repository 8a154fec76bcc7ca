"""Where Vagrant's machines answer, and with which keys.

`vagrant ssh-config` takes seconds, so its output is kept in .vagrant/provision until the next `vagrant` command. A
machine's host key is pinned there at the first contact. A machine that was destroyed and made again has another id: it is
another machine, and is pinned anew.
"""

import json
import os
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from provision.controller.machines import Machine, VagrantState, parse, parse_ports
from provision.errors import Unreachable, VagrantError
from provision.inventory import Host, known_as

SECONDS = 120


def located(hosts: Sequence[Host], inventory: Path) -> tuple[Host, ...]:
    """The hosts, in order; those with `connect: vagrant` have their machine's present address, port, user and keys.

    Raises VagrantError where Vagrant is not installed, knows no such machine, does not run it, or does not answer
    within 120 seconds.
    """
    names = [host.name for host in hosts if host.connect == "vagrant"]
    if not names:
        return tuple(hosts)
    folder = project(inventory, os.environ)
    dotfiles = folder / os.environ.get("VAGRANT_DOTFILE_PATH", ".vagrant")
    ids = {name: machine_id(dotfiles, name) for name in names}
    for name, one in ids.items():
        if not one:
            raise VagrantError(f"{name}: Vagrant has made no such machine: vagrant up {name}, in {folder}")
    kept = dotfiles / "provision"
    state = _state(folder, kept, ids)
    return tuple(_located(host, state, kept, ids[host.name]) if host.name in ids else host for host in hosts)


def project(inventory: Path, environ: Mapping[str, str]) -> Path:
    """The Vagrantfile's folder: VAGRANT_CWD, or the nearest that has one, from the inventory's folder upwards.

    Raises VagrantError.
    """
    if environ.get("VAGRANT_CWD"):
        return Path(environ["VAGRANT_CWD"]).absolute()
    below = inventory.absolute().parent
    for folder in (below, *below.parents):
        if (folder / "Vagrantfile").is_file():
            return folder
    raise VagrantError(f"{inventory}: connect: vagrant, and there is no Vagrantfile in {below} or above it")


def machine_id(dotfiles: Path, name: str) -> str:
    """The provider's id of a machine, new after each `vagrant destroy`; empty where there is no such machine."""
    found = sorted((dotfiles / "machines" / name).glob("*/id"))
    return " ".join(filter(None, (file.read_text().strip() for file in found)))


def pin(file: Path, id_: str, machine: Machine) -> None:
    """Write a known_hosts file with the machine's host key under its present address.

    The key is asked for only where the file has none for this id. Raises Unreachable.
    """
    lines = file.read_text().splitlines() if file.is_file() else []
    keys = [line.split()[1:3] for line in lines[1:] if len(line.split()) > 2] if lines[:1] == [f"# {id_}"] else []
    if not keys:
        # Only the first contact needs SSH here.
        from provision.controller.connection import host_key

        keys = [host_key(machine.address, machine.port).split()]
    name = known_as(machine.address, machine.port)
    wanted = [f"# {id_}", *(" ".join((name, *key)) for key in keys)]
    if lines != wanted:
        _write(file, "\n".join(wanted) + "\n")


def _located(host: Host, state: VagrantState, kept: Path, id_: str) -> Host:
    machine = state.machines[host.name]
    known = kept / f"{host.name}.known_hosts"
    try:
        pin(known, id_, machine)
    except Unreachable as problem:
        raise VagrantError(f"{host.name}: {problem}: vagrant up {host.name}") from None
    reached = {"address": machine.address, "port": machine.port, "user": machine.user, "key": machine.key}
    agent = host.agent and not machine.keys_only
    forwarded = dict(state.ports.get(host.name, {}))
    return host.model_copy(update={**reached, "agent": agent, "known_hosts": known, "forwarded": forwarded})


def _state(folder: Path, kept: Path, ids: Mapping[str, str]) -> VagrantState:
    """What Vagrant said last, where that still holds; otherwise what it says now."""
    file = kept / "ssh-config.json"
    try:
        known = json.loads(file.read_text())
    except (OSError, ValueError):
        known = {}
    if not known or known.get("mark") != _mark(ids):
        said = _ssh_config(folder, ids)
        local = [name for name, machine in parse(said).items() if machine.local]
        ports = {name: _vagrant(folder, "port", "--machine-readable", name).stdout for name in local}
        # These commands move the mark too.
        known = {"mark": _mark(ids), "ssh_config": said, "ports": ports}
        _write(file, json.dumps(known))
    return VagrantState(parse(known["ssh_config"]), {name: parse_ports(text) for name, text in known["ports"].items()})


def _mark(ids: Mapping[str, str]) -> list[object]:
    """A value that changes with each `vagrant up`, `reload`, `halt` or `destroy` of any machine."""
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


def _write(file: Path, text: str) -> None:
    """Replace a file as a whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    partial.write_text(text)
    partial.replace(file)
