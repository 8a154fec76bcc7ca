"""testinfra's way to a host: OpenSSH, configured to connect as Fabric does, and root as everywhere else."""

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, NoReturn

import pytest
from testinfra.backend.base import CommandResult
from testinfra.backend.ssh import SshBackend
from testinfra.host import Host as Remote

from provision.controller import become
from provision.engine.shell import quote
from provision.errors import ConnectionLost
from provision.inventory import Host
from provision.untrusted import line as shown
from provision.untrusted import visible

SECONDS = 60
LONGEST = 1 << 17


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


def heard(command: bytes, stdin: bytes = b"", seconds: float = SECONDS) -> tuple[int, bytes, bytes]:
    """A command's exit status, and what it prints on both channels, without control characters.

    Raises ConnectionLost where it prints more than 128 KB on one of them, or takes longer than it may.
    """
    reasons: list[str] = []
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, shell=True, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
    assert process.stdin
    assert process.stdout
    assert process.stderr

    def end(reason: str) -> None:
        reasons.append(reason)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def read(stream: IO[bytes]) -> bytes:
        said = stream.read(LONGEST)
        if stream.read(1):
            end(f"it says more than an answer has ({LONGEST >> 10} KB)")
        return said

    timer = threading.Timer(seconds, end, [f"it did not answer within {seconds:.0f} seconds"])
    timer.start()
    with process, ThreadPoolExecutor(2) as readers:
        try:
            said = [readers.submit(read, stream) for stream in (process.stdout, process.stderr)]
            with contextlib.suppress(BrokenPipeError), process.stdin:
                process.stdin.write(stdin)
            out, errors = (one.result() for one in said)
        except BaseException:
            end("interrupted")
            raise
        finally:
            timer.cancel()
    if reasons:
        raise ConnectionLost(reasons[0])
    return process.returncode, _harmless(out), _harmless(errors)


def _harmless(said: bytes) -> bytes:
    return visible(said.decode(errors="replace")).encode()


class Backend(SshBackend):  # type: ignore[misc]
    """testinfra's SSH backend, which gives sudo the password it needs, and believes no answer to be short or harmless.

    `control` is the socket of the shared connection (ControlPath). Once the server has not answered, it is asked nothing more: each
    further check fails with the reason, and the other hosts' checks go on.
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
        self._lost = ""

    def get_remote(self) -> Remote:
        """The host that checks talk to."""
        remote = Remote(self)
        self.set_host(remote)
        return remote

    def get_sudo_command(self, command: str, sudo_user: str | None) -> str:
        """The command, run by root; `sudo_user` is not used."""
        return f"{become.sudo(self._password is not None)} /bin/sh -c {quote(command)}"

    def run_local(self, command: str, *args: str) -> CommandResult:
        """Run ssh on this machine, with the password, if any, on its standard input. Fails the check where there is no answer."""
        if self._lost:
            self._fail(self._lost)
        line = self.encode(self.quote(command, *args))
        try:
            return self.result(*self._heard(line))
        except ConnectionLost as error:
            self._fail(str(error))

    def _heard(self, line: bytes) -> tuple[int, bytes, bytes, bytes]:
        stdin = "" if self._password is None else f"{self._password}\n"
        status, out, errors = heard(line, stdin.encode())
        return status, line, out, errors

    def run_ssh(self, command: str) -> CommandResult:
        """Run a command on the host. Fails the check where the connection ends."""
        try:
            return super().run_ssh(command)
        except RuntimeError as error:
            said = error.args[0].stderr.strip().splitlines() or ["the connection ended"]
            self._fail(f"ssh: {shown(said[-1], 200)}")

    def _fail(self, reason: str) -> NoReturn:
        self._lost = reason
        pytest.fail(f"{self._name}: {reason}", pytrace=False)

    def close(self) -> None:
        """End the shared connection, if there is one."""
        if self._control.exists():
            words = ["ssh", "-F", str(self._config), "-o", f"ControlPath={self._control}", "-O", "exit", self.host.name]
            subprocess.run(words, capture_output=True, check=False, timeout=SECONDS)
