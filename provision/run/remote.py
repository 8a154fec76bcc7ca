"""testinfra's way to a host: OpenSSH, configured to connect as Fabric does, and root as everywhere else."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from testinfra.backend.base import CommandResult
from testinfra.backend.ssh import SshBackend
from testinfra.host import Host as Remote

from provision.controller import become
from provision.engine.shell import quote
from provision.inventory import Host


@contextlib.contextmanager
def connections(hosts: Sequence[Host], password: str | None) -> Iterator[dict[str, Remote]]:
    """testinfra's hosts, by name. All commands for a host share one SSH connection, until the context ends."""
    with tempfile.TemporaryDirectory(prefix="provision-") as folder:
        backends = {}
        for number, host in enumerate(hosts):
            config = Path(folder, f"{number}.conf")
            config.touch(0o600)
            config.write_text(ssh_config(host))
            backends[host.name] = Backend(host, config, Path(folder, str(number)), password)
        try:
            yield {name: backend.get_remote() for name, backend in backends.items()}
        finally:
            for backend in backends.values():
                backend.close()


def ssh_config(host: Host) -> str:
    """The ssh_config(5) with which OpenSSH reaches the host as Fabric does; the user's own is included after it."""
    lines = [f"User {host.user}", f"Port {host.port}"]
    if host.key:
        lines.append(f"IdentityFile {_path(host.key)}")
    if not host.agent:
        lines.append("IdentityAgent none")
    if host.proxy_jump:
        lines.append(f"ProxyJump {host.proxy_jump}")
    known = [f"UserKnownHostsFile {_path(host.known_hosts)}", "GlobalKnownHostsFile none"] if host.known_hosts else []
    return "\n".join(
        (
            f"Host {host.address}",
            *(f"    {line}" for line in lines),
            "Host *",
            *(f"    {line}" for line in known),
            "    BatchMode yes",
            "    StrictHostKeyChecking yes",
            "    LogLevel ERROR",
            f"    ConnectTimeout {host.connect_timeout}",
            "    ServerAliveInterval 5",
            "    ServerAliveCountMax 4",
            "Include ~/.ssh/config",
            "",
        )
    )


def _path(path: Path) -> str:
    return '"' + str(path.absolute()).replace("%", "%%") + '"'


class Backend(SshBackend):  # type: ignore[misc]
    """testinfra's SSH backend, which gives sudo the password it needs and says in one line that a connection ended.

    `control` is the socket of the shared connection (ControlPath).
    """

    def __init__(self, host: Host, config: Path, control: Path, password: str | None) -> None:
        hostspec = f"[{host.address}]" if ":" in host.address else host.address
        super().__init__(
            hostspec,
            str(config),
            timeout=host.connect_timeout,
            controlpath=quote(str(control)),
            sudo=become.uses_sudo(host),
        )
        self._name = host.name
        self._config = config
        self._control = control
        self._password = password if become.needs_password(host) else None

    def get_remote(self) -> Remote:
        """The host that checks talk to."""
        remote = Remote(self)
        self.set_host(remote)
        return remote

    def get_sudo_command(self, command: str, sudo_user: str | None) -> str:
        """The command, run by root; `sudo_user` is not used."""
        return f"{become.sudo(self._password is not None)} /bin/sh -c {quote(command)}"

    def run_local(self, command: str, *args: str) -> CommandResult:
        """Run ssh on this machine, with the password, if any, on its standard input."""
        line = self.encode(self.quote(command, *args))
        stdin = "" if self._password is None else f"{self._password}\n"
        done = subprocess.run(line, shell=True, input=stdin.encode(), capture_output=True, check=False)
        return self.result(done.returncode, line, done.stdout, done.stderr)

    def run_ssh(self, command: str) -> CommandResult:
        """Run a command on the host. Ends pytest with status 1 where the connection ends."""
        try:
            return super().run_ssh(command)
        except RuntimeError as error:
            said = error.args[0].stderr.strip().splitlines() or ["the connection ended"]
            pytest.exit(f"{self._name}: ssh: {said[-1]}", returncode=1)

    def close(self) -> None:
        """End the shared connection, if there is one."""
        if self._control.exists():
            words = ["ssh", "-F", str(self._config), "-o", f"ControlPath={self._control}", "-O", "exit", self.host.name]
            subprocess.run(words, capture_output=True, check=False)
