"""The lab as a whole: up, down, status, and one server at a time."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from provision.lab import acme, cgroup, dns, folder, git, image, network, process, server, service, source
from provision.lab.machine import LabError, as_root, lock, require, run
from provision.lab.server import Server

if TYPE_CHECKING:
    from provision.lab.folder import Folder

PARALLEL = 8
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_EACH = 8


@dataclass(frozen=True)
class Line:
    """One server or service: its name, running or stopped, and its address."""

    name: str
    state: str
    detail: str


@dataclass(frozen=True)
class Status:
    """The lab's folder, servers and services."""

    folder: Path
    servers: tuple[Line, ...]
    services: tuple[Line, ...]


@dataclass(frozen=True)
class Mirrors:
    """The mirrors that replace the internet: pyenv's commit, and whether CPython's source is there."""

    pyenv_revision: str
    python: bool


@as_root
def up(count: int = 1, suite: str = "bookworm") -> None:
    """Create and boot those of lab1 to labCOUNT that are missing or stopped; running servers are left alone. Raises LabError."""
    require()
    if not 1 <= count <= network.MOST:
        raise LabError(f"A lab has 1 to {network.MOST} servers, not {count}.")
    image.place(suite)
    if count * INOTIFY_EACH > int(INOTIFY.read_text()):
        print(f"lab: for {count} servers, first: sysctl fs.inotify.max_user_instances=1024; else services fail")
    begun = time.monotonic()
    here = folder.current()
    with lock("lab"):
        claim(here)
        unmount(here)
        here.create()
        base = image.ensure(suite)
        server.keys(here)
        network.up(here.path)
        service.start(here, dns.service(here))
        wanted = [Server(here, f"lab{number}") for number in range(1, count + 1)]
        there = [one.name for one in server.servers(here)]
        for one in wanted:
            if one.name not in there:
                server.create(one, base)
        booting = [one for one in server.servers(here) if one in wanted and not server.running(one)]
        with ThreadPoolExecutor(PARALLEL) as pool:
            mirrored = pool.submit(mirrors, here)
            certified = pool.submit(authority, here)
            list(pool.map(server.boot, booting))
            states = list(pool.map(lambda one: server.wait(one, timeout=60 if one in booting else 15), wanted))
            certified.result()
            write(here, mirrored.result())
        for one, state in zip(wanted, states, strict=True):
            if state != "running":
                print(f"lab: {one.name} is {state}: invoke lab.ssh --name {one.name}, then systemctl --failed")
    count = len(server.servers(here))
    print(f"lab: {count} {'server' if count == 1 else 'servers'} up in {time.monotonic() - begun:.1f} s", flush=True)


def claim(here: Folder) -> None:
    """Allow one lab on this machine: raises LabError while another folder's lab runs; ends the remains of a deleted one."""
    held = network.owner()
    if held is not None and held[0] == here.path and here.run.is_dir():
        return
    if held is not None and held[0] != here.path and (held[0] / "run").is_dir() and cgroup.processes():
        other = held[0].parent if held[0].name == ".lab" else held[0]
        raise LabError(f"Another lab runs on this machine, from {held[0]}.\nEnd it: cd {other} && invoke lab.down")
    if not cgroup.end():
        raise LabError(f"Processes of a former lab do not end: {sorted(cgroup.processes())}")


def authority(here: Folder) -> None:
    """Start the ACME authority, and fetch its root."""
    service.start(here, acme.service(here))
    acme.root(here)


def mirrors(here: Folder) -> Mirrors | None:
    """Start the git remotes, and the mirrors where the internet is out of reach."""
    git.project(here, here.path)
    service.start(here, git.service(here))
    with ThreadPoolExecutor(2) as pool:
        github, python_org = pool.submit(git.reachable, here), pool.submit(source.reachable)
        if github.result() and python_org.result():
            return None
    try:
        revision = git.pyenv(here, github.result())
    except LabError as problem:
        print(f"lab: no mirror of pyenv and CPython: {problem}", flush=True)
        return None
    try:
        source.fill(here, python_org.result())
        service.start(here, source.service(here))
    except LabError as problem:
        print(f"lab: no mirror of CPython: {problem}", flush=True)
        return Mirrors(revision, python=False)
    return Mirrors(revision, python=True)


def write(here: Folder, found: Mirrors | None) -> None:
    """Write lab.yml and app.env, which inventories/lab.yml uses."""
    content: dict[str, object] = {
        "known_hosts": here.known_hosts.name,
        "key": here.key.name,
        "user": "admin",
        "tls": {
            "issuer": acme.DIRECTORY,
            "issuer_ca": here.api_ca.name,
            "root_ca": here.root_ca.name,
            "email": "ops@lab.test",
        },
    }
    if found is not None:
        content["mirrors"] = {"pyenv": git.url("pyenv.git"), "pyenv_revision": found.pyenv_revision} | (
            {"python": source.URL} if found.python else {}
        )
    content["hosts"] = {one.name: {"address": one.address} for one in server.servers(here)}
    if not here.app_env.exists():
        here.app_env.touch(0o600)
        here.app_env.write_text(f"SECRET_KEY={secrets.token_hex(32)}\n")
    partial = here.inventory.with_suffix(".partial")
    partial.write_text(yaml.safe_dump(content, sort_keys=False, width=120))
    partial.replace(here.inventory)
    here.hand_over()


@as_root
def down() -> None:
    """Remove the servers and everything else that the lab put on this machine, except the cached images. Raises LabError."""
    require()
    with lock("lab"):
        here = folder.current()
        claim(here)
        remove(here)


def remove(here: Folder) -> None:
    """End all that belongs to the lab, and remove its files. Raises LabError."""
    if here.run.is_dir():
        with ThreadPoolExecutor(PARALLEL) as pool:
            list(pool.map(lambda record: process.end(here, record.stem), here.run.glob("*.json")))
    if not cgroup.end():
        raise LabError(f"Processes of the lab do not end: {sorted(cgroup.processes())}")
    network.down()
    for left in Path("/run/systemd/nspawn").glob("*/lab[0-9]*"):
        shutil.rmtree(left, ignore_errors=True)
    unmount(here)
    here.remove()


def unmount(here: Folder) -> None:
    """Unmount what others mounted in the lab's folder; the servers' own mounts end with them."""
    inside = f"{here.path.resolve()}/"
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        place = line.split()[1].replace("\\040", " ")
        if place.startswith(inside):
            run("umount", "--lazy", place)


def status() -> Status:
    """What the lab has, and what of it is running. Raises LabError."""
    here = folder.current()
    hosts = tuple(
        Line(one.name, "running" if server.running(one) else "stopped", f"{one.address} {one.suite}")
        for one in server.servers(here)
    )
    ports = {"dns": 53, "acme": acme.PORT, "git": git.PORT, "python": source.PORT}
    names = [name for name in ports if (here.run / f"{name}.json").exists()]
    services = tuple(
        Line(name, "running" if process.alive(here, name) else "stopped", f"{network.GATEWAY}:{ports[name]}")
        for name in names
    )
    return Status(here.path, hosts, services)


@as_root
def reset(name: str, suite: str | None = None, used: bool = False) -> None:
    """Replace a server by a bare one with the same name and a new host key; if `used`, by one that has some of the packages that
    deploys install, which saves their time. Raises LabError.
    """
    one = server.find(folder.current(), name)
    base = image.ensure(suite or one.suite, used)
    server.end(one)
    server.create(one, base)
    server.boot(one)
    server.wait(one)


@as_root
def stop(name: str) -> None:
    """Power a server off in order. Raises LabError."""
    server.stop(server.find(folder.current(), name))


@as_root
def start(name: str) -> None:
    """Boot a server unless it runs, and wait for SSH. Raises LabError."""
    one = server.find(folder.current(), name)
    if not server.running(one):
        server.boot(one)
    server.wait(one)


@as_root
def kill(name: str) -> None:
    """Cut a server's power. Raises LabError."""
    server.end(server.find(folder.current(), name))


@as_root
def reboot(name: str) -> None:
    """Reboot a server and wait for SSH. Raises LabError."""
    server.reboot(server.find(folder.current(), name))


@as_root
def shell(name: str, command: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Run a shell command in a server as root, from outside and without SSH."""
    return server.execute(server.find(folder.current(), name), command, timeout)


def ssh(name: str, user: str = "admin", command: str | None = None) -> int:
    """Open an SSH session in the terminal; returns its exit status. Raises LabError."""
    here = folder.current()
    one = server.find(here, name)
    words = ["ssh", "-F", os.devnull, "-i", str(here.key), "-o", "IdentitiesOnly=yes"]
    words += ["-o", f"UserKnownHostsFile={here.known_hosts}", "-o", "StrictHostKeyChecking=yes"]
    words += [f"{user}@{one.address}", *([command] if command else [])]
    return subprocess.run(words, check=False).returncode
