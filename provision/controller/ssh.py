"""One connection to a host: run a script and get its output, or its lines as they come; move large files."""

import base64
import hashlib
import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import paramiko
from fabric import Config, Connection
from paramiko.ssh_exception import (
    AuthenticationException,
    BadHostKeyException,
    NoValidConnectionsError,
    PasswordRequiredException,
    SSHException,
)

from provision.engine.shell import quote, words
from provision.errors import AccessDenied, ConnectionLost, Unreachable
from provision.inventory import Host

# What Paramiko logs of a connection that ends is said by an exception, in words for people.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)

SCRIPT_SECONDS = 300
DEAD_MILLISECONDS = 20_000


@dataclass(frozen=True, slots=True)
class Output:
    """What a script printed, and its exit status (-1 where the connection ended first)."""

    stdout: str
    stderr: str
    status: int


def _fingerprint(key: paramiko.PKey) -> str:
    """As ssh-keygen -l prints it."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"{key.get_name()} SHA256:{digest}"


def host_key(address: str, port: int, seconds: float = 10) -> str:
    """The host key that a server shows, as a known_hosts file has it: type and key. Raises Unreachable."""
    try:
        with socket.create_connection((address, port), seconds) as connection:
            transport = paramiko.Transport(connection)
            try:
                transport.start_client(timeout=seconds)
                key = transport.get_remote_server_key()
            finally:
                transport.close()
    except (OSError, EOFError, SSHException) as error:
        raise Unreachable(f"{address} port {port} does not answer ({_reason(error)})") from None
    return f"{key.get_name()} {key.get_base64()}"


class _UnknownKey(paramiko.MissingHostKeyPolicy):
    """No key is trusted at first sight. `known` is the file that has those that are."""

    def __init__(self, known: str) -> None:
        self.known = known

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        address, _, port = hostname.removeprefix("[").partition("]:")
        scan = f"ssh-keyscan -p {port} {address}" if port else f"ssh-keyscan {address}"
        raise Unreachable(
            f"the host key of {hostname}, {_fingerprint(key)}, is not known: compare it with the server's own, "
            f"then {scan} >>{self.known}"
        )


def agent_has_keys() -> bool:
    """Whether an SSH agent runs on this machine, with a key at least."""
    try:
        agent = paramiko.Agent()
        keys = agent.get_keys()
        agent.close()
    except (SSHException, OSError):
        return False
    return bool(keys)


class Agent:
    """This machine's SSH agent, which answers a server until it is closed."""

    def __init__(self) -> None:
        self._closed = False

    def close(self) -> None:
        """What is asked from now on has no answer."""
        self._closed = True

    def __call__(self, channel: paramiko.Channel) -> None:
        """The server asks, on a channel of its own."""
        agent = socket.socket(socket.AF_UNIX)
        try:
            if self._closed:
                raise ConnectionRefusedError
            agent.connect(os.environ.get("SSH_AUTH_SOCK", ""))
        except OSError:
            agent.close()
            channel.close()
            return
        for source, sink in ((channel, agent), (agent, channel)):
            threading.Thread(target=_pass_on, args=(source, sink), name="agent", daemon=True).start()


def _pass_on(source: "socket.socket | paramiko.Channel", sink: "socket.socket | paramiko.Channel") -> None:
    with suppress(OSError):
        while data := source.recv(1 << 14):
            sink.sendall(data)
    # Closed, a socket still holds up the thread that reads from it; shut down, it does not.
    for end in (source, sink):
        with suppress(OSError, EOFError, SSHException):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@cache
def _config() -> Config:
    return Config(lazy=False)


class Session:
    """A connection to one host. `execs` counts the SSH exec requests that were made over it."""

    def __init__(self, host: Host, password: str | None = None) -> None:
        self.host = host
        self.execs = 0
        self._password = password
        self._connection: Connection | None = None

    def open(self) -> None:
        """Connect, unless there is a connection. Raises Unreachable."""
        if self._connection is not None and self._connection.is_connected:
            return
        host = self.host
        try:
            connection = self._connect()
        except Unreachable:
            raise
        except BadHostKeyException as error:
            raise Unreachable(
                f"the host key of {host.address} changed, from {_fingerprint(error.expected_key)} to {_fingerprint(error.key)}: "
                f"where the server was reinstalled, {self._forget()}, then connect again; otherwise do not connect"
            ) from None
        except PasswordRequiredException:
            raise Unreachable(
                f"the key {host.key} is locked by a passphrase: add it to the SSH agent with ssh-add"
            ) from None
        except AuthenticationException:
            with_what = f"the key {host.key}" if host.key else "the agent's keys and the default ones"
            raise Unreachable(
                f"{host.user}@{host.address} refused {with_what}: is the public key in its authorized_keys?"
            ) from None
        except (NoValidConnectionsError, OSError, EOFError, SSHException) as error:
            reason = _reason(error)
            if reason == "No authentication methods available":
                add = "add one to the SSH agent with ssh-add, or name it" if host.agent else "name it"
                raise Unreachable(
                    f"there is no key to log in to {host.user}@{host.address} with: {add} with key"
                ) from None
            raise Unreachable(
                f"{host.address} port {host.port} does not answer ({reason}): is the server on, and the address right?"
            ) from None
        transport = connection.transport
        transport.set_keepalive(5)
        if hasattr(socket, "TCP_USER_TIMEOUT") and isinstance(transport.sock, socket.socket):
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_MILLISECONDS)
        self._connection = connection

    def _connect(self) -> Connection:
        host = self.host
        options: dict[str, object] = {
            "allow_agent": host.agent,
            "look_for_keys": host.key is None,
            "banner_timeout": host.connect_timeout,
            "auth_timeout": host.connect_timeout,
        }
        if host.key:
            options["key_filename"] = str(host.key)
        # A jump host is offered the same keys.
        gateway = (
            Connection(host.proxy_jump, config=_config(), connect_kwargs=dict(options)) if host.proxy_jump else None
        )
        connection = Connection(
            host.address,
            user=host.user,
            port=host.port,
            config=_config(),
            gateway=gateway,
            connect_timeout=host.connect_timeout,
            connect_kwargs=options,
        )
        for client in (connection.client, gateway.client if gateway else connection.client):
            client.set_missing_host_key_policy(_UnknownKey(str(host.known_hosts or "~/.ssh/known_hosts")))
            if host.known_hosts:
                client.load_host_keys(str(host.known_hosts))
            else:
                for known in ("/etc/ssh/ssh_known_hosts", str(Path.home() / ".ssh/known_hosts")):
                    if Path(known).is_file():
                        client.load_system_host_keys(known)
        connection.open()
        return connection

    def _forget(self) -> str:
        name = self.host.address if self.host.port == 22 else f"[{self.host.address}]:{self.host.port}"
        return words("ssh-keygen", *(("-f", str(self.host.known_hosts)) if self.host.known_hosts else ()), "-R", name)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def run(self, script: str) -> Output:
        """Run a script as root. Raises Unreachable, ConnectionLost, AccessDenied."""
        channel = self._execute(script)
        channel.settimeout(SCRIPT_SECONDS)
        try:
            stdout = b"".join(iter(lambda: channel.recv(1 << 16), b""))
            stderr = b"".join(iter(lambda: channel.recv_stderr(1 << 16), b""))
        except TimeoutError:
            raise ConnectionLost(f"{self.host.address} said nothing for {SCRIPT_SECONDS} seconds") from None
        output = Output(stdout.decode(errors="replace"), stderr.decode(errors="replace"), self._status(channel))
        if output.status and not output.stdout:
            self._check_rights(output)
        return output

    def lines(self, script: str, agent: Agent | None = None) -> Iterator[str]:
        """Run a script as root; its lines as they come, for as long as the caller reads. Raises as `run` does.

        With an `agent`, the script finds it in SSH_AUTH_SOCK for as long as the connection lasts, where sshd allows that.
        """
        channel = self._execute(script, agent)
        try:
            for line in channel.makefile("rb"):
                yield line.decode(errors="replace").rstrip("\n")
        except OSError:
            pass
        finally:
            channel.close()

    def _execute(self, script: str, agent: Agent | None = None) -> paramiko.Channel:
        self.open()
        assert self._connection is not None
        command, first = self._command()
        if agent:
            # sudo keeps no environment, but arguments.
            command, script = f'{command} "$SSH_AUTH_SOCK"', f'export SSH_AUTH_SOCK="${{1-}}"\n{script}'
        self.execs += 1
        try:
            channel: paramiko.Channel = self._connection.transport.open_session(timeout=self.host.connect_timeout)
            if agent:
                channel.request_forward_agent(agent)
            channel.exec_command(command)
            channel.sendall((first + script).encode())
            channel.shutdown_write()
        except (SSHException, OSError, EOFError) as error:
            self.close()
            raise ConnectionLost(f"the connection to {self.host.address} ended ({_reason(error)})") from None
        return channel

    def _command(self) -> tuple[str, str]:
        """The command, and what goes ahead of the script on its standard input.

        sudo may or may not read the password; whoever reads on from there drops lines up to a mark of its own.
        """
        become = self.host.become
        if become == "none" or (become == "auto" and self.host.user == "root"):
            return "sh -s", ""
        if become != "sudo-password":
            return "sudo -n sh -s", ""
        mark = secrets.token_hex(16)
        reader = f'while IFS= read -r line; do if [ "$line" = {mark} ]; then exec sh -s "$@"; fi; done; exit 1'
        return f"sudo -k -S -p '' sh -c {quote(reader)} sh", f"{self._password or ''}\n{mark}\n"

    def _status(self, channel: paramiko.Channel) -> int:
        return channel.recv_exit_status()

    def _check_rights(self, output: Output) -> None:
        user, said = self.host.user, output.stderr.strip()
        if "a password is required" in said or "a terminal is required" in said:
            raise AccessDenied(
                f"sudo wants a password for {user}: set become: sudo-password, or allow {user} to use sudo without one"
            )
        if "incorrect password" in said or "Sorry, try again" in said or "no password was provided" in said:
            raise AccessDenied(f"sudo refused the password of {user}")
        if "not in the sudoers file" in said or "not allowed to" in said:
            raise AccessDenied(f"{user} may not use sudo: add it to the sudo group, or log in as root")
        if "sudo" in said and "not found" in said:
            raise AccessDenied("sudo is not installed: install it, or log in as root")

    def put(self, local: Path, remote: str, progress: Callable[[int, int], object] | None = None) -> None:
        """Send a file over SFTP; `remote` is relative to the login's home."""
        self.open()
        assert self._connection is not None
        with self._connection.client.open_sftp() as sftp:
            sftp.put(str(local), remote, callback=progress)
            sftp.chmod(remote, 0o600)

    def get(self, remote: str, local: Path) -> None:
        """Fetch a file over SFTP, written beside and renamed, and remove it from the server."""
        self.open()
        assert self._connection is not None
        local.parent.mkdir(parents=True, exist_ok=True)
        beside = local.with_name(f".{local.name}.{secrets.token_hex(4)}")
        try:
            with self._connection.client.open_sftp() as sftp:
                sftp.get(remote, str(beside))
                sftp.remove(remote)
            beside.replace(local)
        finally:
            beside.unlink(missing_ok=True)


def _reason(error: BaseException) -> str:
    if isinstance(error, NoValidConnectionsError):
        error = next(iter(error.errors.values()))
    if isinstance(error, socket.gaierror):
        return "its name does not resolve"
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
