"""One server: its files over the base image, its boot and its end."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provision.lab import cgroup, network, process
from provision.lab.machine import ENVIRONMENT, LabError, lock, run, until

if TYPE_CHECKING:
    from provision.lab.folder import Folder

BOOT = Path(__file__).with_name("boot.sh")
USERS = ("root", "admin", "ops")
# crypt(5)
SALT = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

NETWORK = """\
[Match]
Name=host0

[Network]
Address={address}/24
Gateway={gateway}
LinkLocalAddressing=no
IPv6AcceptRA=no
"""


@dataclass(frozen=True)
class Server:
    """A server of the lab, by its name."""

    folder: Folder
    name: str

    @property
    def path(self) -> Path:
        """The server's folder."""
        return self.folder.servers / self.name

    @property
    def upper(self) -> Path:
        """Its own layer over the image."""
        return self.path / "upper"

    @property
    def base(self) -> Path:
        """Its image's folder."""
        return (self.path / "base").resolve()

    @property
    def suite(self) -> str:
        """The Debian suite of its image."""
        return self.base.name.rpartition("-")[0]

    @property
    def address(self) -> str:
        """Its address on the bridge."""
        return network.address(number(self.name))

    @property
    def host_key(self) -> Path:
        """Its private host key."""
        return self.upper / "etc/ssh/ssh_host_ed25519_key"


def number(name: str) -> int:
    """The number in a server's name. Raises LabError for a name that no server can have."""
    match = re.fullmatch(r"lab([1-9]\d?)", name)
    if match is None or int(match[1]) > network.MOST:
        raise LabError(f"No server can be called {name!r}: they are lab1 to lab{network.MOST}.")
    return int(match[1])


def servers(folder: Folder) -> list[Server]:
    """The servers that have a disk, running or not."""
    if not folder.servers.is_dir():
        return []
    names = [path.name for path in folder.servers.iterdir() if (path / "base").is_symlink()]
    return [Server(folder, name) for name in sorted(names, key=number)]


def find(folder: Folder, name: str) -> Server:
    """The server of that name. Raises LabError."""
    for server in servers(folder):
        if server.name == name:
            return server
    there = ", ".join(server.name for server in servers(folder)) or "none: invoke lab.up"
    raise LabError(f"No server {name!r} in this lab; there are: {there}.")


def create(server: Server, image: Path) -> None:
    """A fresh disk. The link to the image is made last: without it the server does not exist."""
    discard(server)
    for folder in (server.upper, server.path / "work", server.path / "root"):
        folder.mkdir(parents=True)
    put(server, image, "etc/hostname", f"{server.name}\n")
    put(server, image, "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {server.name}.test {server.name}\n")
    put(server, image, "etc/resolv.conf", f"nameserver {network.GATEWAY}\n")
    cable = NETWORK.format(address=server.address, gateway=network.GATEWAY)
    put(server, image, "etc/systemd/network/10-lab.network", cable)
    put(server, image, "etc/shadow", shadow(server.folder, image), mode=0o640)
    for user in USERS:
        home, ids = account(image, user)
        key = server.folder.key.with_suffix(".pub").read_text()
        put(server, image, f"{home}/.ssh/authorized_keys", key, mode=0o600, owner=ids)
    put(server, image, "etc/ssh/ssh_host_ed25519_key", "")
    server.host_key.unlink()
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"root@{server.name}", "-f", server.host_key)
    (server.path / "base").symlink_to(image)
    pin(server.folder)


def put(
    server: Server, image: Path, name: str, text: str, mode: int = 0o644, owner: tuple[int, int] | None = None
) -> None:
    """Write a file to the server's own layer; folders and replaced files keep the image's mode and owner."""
    for part in [*reversed(Path(name).parents)][1:]:
        above = server.upper / part
        if above.is_dir():
            continue
        above.mkdir(mode=0o700 if owner else 0o755)
        copy_owner(image / part, above, owner)
    file = server.upper / name
    file.write_text(text)
    copy_owner(image / name, file, owner)
    file.chmod(mode)


def copy_owner(source: Path, target: Path, owner: tuple[int, int] | None) -> None:
    """Give `target` the owner and mode of `source`, or `owner` if there is no source."""
    if source.exists():
        status = source.stat()
        os.chown(target, status.st_uid, status.st_gid)
        target.chmod(status.st_mode & 0o7777)
    elif owner is not None:
        os.chown(target, *owner)


def account(image: Path, user: str) -> tuple[str, tuple[int, int]]:
    """Home (without the leading slash) and ids of a user of the image. Raises LabError."""
    for line in (image / "etc/passwd").read_text().splitlines():
        name, _, uid, gid, _, home, _ = line.split(":")
        if name == user:
            return home.lstrip("/"), (int(uid), int(gid))
    raise LabError(f"The image {image} has no user {user}: remove that folder and run invoke lab.up again.")


def shadow(folder: Folder, image: Path) -> str:
    """The image's /etc/shadow, with the password of ops, hashed as Debian does it (yescrypt, which openssl has not)."""
    password = folder.ops_password.read_text().strip()
    salt = "$y$j9T$" + "".join(secrets.choice(SALT) for _ in range(21)) + "."
    hashed = run("perl", "-e", "print crypt(<STDIN>, $ARGV[0])", salt, stdin=password).stdout.strip()
    text = (image / "etc/shadow").read_text()
    return re.sub(r"^ops:[^:]*:", lambda _: f"ops:{hashed}:", text, flags=re.MULTILINE)


def keys(folder: Folder) -> None:
    """The lab's one key pair and the password of ops."""
    if not folder.key.exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "provision lab", "-f", folder.key)
    if not folder.ops_password.exists():
        folder.ops_password.touch(mode=0o600)
    if not folder.ops_password.read_text():
        folder.ops_password.write_text(secrets.token_urlsafe(12) + "\n")


def pin(folder: Folder) -> None:
    """Write the known_hosts file of all servers."""
    with lock("known-hosts", timeout=30):
        lines = []
        for server in servers(folder):
            public = server.host_key.with_suffix(".pub").read_text().split()
            lines.append(f"{server.address},{server.name},{server.name}.test {public[0]} {public[1]}\n")
        partial = folder.known_hosts.with_suffix(".partial")
        partial.write_text("".join(lines))
        partial.replace(folder.known_hosts)
        folder.hand_over()


def discard(server: Server) -> None:
    """Set the disk aside at once and delete it in the background."""
    if server.path.exists():
        server.folder.trash.mkdir(exist_ok=True)
        old = server.folder.trash / f"{server.name}-{time.time_ns()}"
        server.path.rename(old)
        subprocess.run(["setsid", "--fork", "rm", "-rf", old], check=True, timeout=10)


def boot(server: Server) -> None:
    """Start the server; `wait` for it afterwards. Raises LabError."""
    if not server.base.is_dir():
        raise LabError(f"{server.name}'s base image is gone: {server.base}. Run invoke lab.down, then lab.up.")
    end(server)
    network.unplug(server.name)
    groups = cgroup.create(server.name)
    words = (
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        BOOT,
        server.path,
        server.name,
        network.BRIDGE,
    )
    process.spawn(server.folder, server.name, *words, *groups)


def running(server: Server) -> bool:
    """Whether the server has a process 1."""
    return process.alive(server.folder, server.name) is not None and leader(server) is not None


def leader(server: Server) -> int | None:
    """The server's process 1, by its id on this machine."""
    for pid in cgroup.processes(server.name):
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        if re.search(r"^NSpid:\s+\d+\s+1$", status, re.MULTILINE):
            return pid
    return None


def wait(server: Server, timeout: float = 60) -> str:
    """Wait until SSH answers and the boot is over, at most `timeout` seconds; returns the word of `systemctl is-system-running`. Raises LabError."""
    state = ""

    def ready() -> bool:
        nonlocal state
        if process.alive(server.folder, server.name) is None:
            raise LabError(f"{server.name} died while booting:\n{process.said(server.folder, server.name)}")
        if leader(server) is None:
            return False
        state = execute(server, "systemctl is-system-running", timeout=10).stdout.strip()
        return state in ("running", "degraded") and greeted(server)

    if not until(ready, timeout):
        log = server.folder.log / f"{server.name}.log"
        seen = f"{state or 'booting'}, {'SSH answers' if greeted(server) else 'SSH does not answer'}"
        raise LabError(f"{server.name} is not ready after {timeout:.0f} s: {seen}.\nIts console: {log}")
    return state


def greeted(server: Server) -> bool:
    """Whether SSH answers. It is greeted back, so that the server logs no error."""
    try:
        with socket.create_connection((server.address, 22), timeout=1) as connection:
            connection.sendall(b"SSH-2.0-lab\r\n")
            with connection.makefile("rb") as answer:
                return answer.readline().startswith(b"SSH-") and bool(answer.read1())
    except OSError:
        return False


def execute(server: Server, command: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Run a shell command in the server as root, without SSH, for at most `timeout` seconds. Raises LabError."""
    pid = leader(server)
    if pid is None:
        raise LabError(f"{server.name} is not running: invoke lab.up")
    words = ["nsenter", "--all", "--target", str(pid), "--root", "--wd", "env", "-i"]
    words += [
        "HOME=/root",
        "USER=root",
        "LC_ALL=C.UTF-8",
        f"PATH={os.defpath}:/usr/local/sbin:/usr/sbin:/sbin",
    ]
    try:
        return subprocess.run(
            [*words, "sh", "-c", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            env=ENVIRONMENT,
            # A command that ends its process group (kill 0, where no process was found) must not end this machine's, too.
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"No answer from {server.name} within {timeout:.0f} s: {shlex.quote(command)}") from None


def stop(server: Server, timeout: float = 30) -> None:
    """Power off in order; after `timeout` seconds, pull the plug. Raises LabError."""
    pid = leader(server)
    if pid is not None:
        os.kill(pid, signal.SIGRTMIN + 4)
        until(lambda: process.alive(server.folder, server.name) is None, timeout)
    end(server)


def end(server: Server) -> None:
    """Pull the plug: every process of the server is gone when this returns."""
    process.end(server.folder, server.name, signals=(signal.SIGKILL,))
    if not cgroup.end(server.name):
        raise LabError(f"{server.name}'s processes do not end: {sorted(cgroup.processes(server.name))}")


def reboot(server: Server) -> str:
    """Reboot and wait. Returns what `wait` returns. Raises LabError."""
    pid = leader(server)
    execute(server, "systemctl reboot", timeout=30)
    if not until(lambda: leader(server) not in (pid, None), timeout=60):
        raise LabError(f"{server.name} did not reboot within 60 s: {process.said(server.folder, server.name)}")
    return wait(server)
