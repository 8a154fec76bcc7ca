"""Connecting to a host over SSH: keys, jump host, timeouts, and one line for each reason why it fails."""

import base64
import hashlib
import logging
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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

from provision.engine.shell import words
from provision.errors import LoginRefused, UnknownHost, Unreachable
from provision.inventory import Host, known_as
from provision.untrusted import line

# Exceptions say in plain words why a connection ended; Paramiko's log would repeat it.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)

KEEPALIVE_SECONDS = 5
DEAD_MILLISECONDS = 20_000
NO_BANNER = "Error reading SSH protocol banner"
AGAIN_SECONDS, AT_ONCE_SECONDS = (0.5, 2), 3
NO_METHODS = "No authentication methods available"


def connect(host: Host, password: str | None = None) -> Connection:
    """An open connection to the host, by a key or else by a password. A silent peer counts as gone after 20 s (TCP_USER_TIMEOUT).

    Raises Unreachable; LoginRefused where the server answers.
    """
    own = (host.user, host.address, host.port)
    with _explained(host, *own):
        connection = _connection(host, password)
    for each in reversed([*_jump_hosts(connection)]):
        with _explained(host, each.user, each.host, each.port):
            _open(each, host)
    with _explained(host, *own):
        _open(connection, host)
    transport = connection.transport
    transport.set_keepalive(KEEPALIVE_SECONDS)
    if hasattr(socket, "TCP_USER_TIMEOUT") and isinstance(transport.sock, socket.socket):
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_MILLISECONDS)
    return connection


def _jump_hosts(connection: Connection) -> Iterator[Connection]:
    """The jump hosts of a connection, the one before it first. ssh_config may name them, too, and one may have one of its own."""
    while isinstance(connection := connection.gateway, Connection):
        yield connection


@contextmanager
def _explained(host: Host, user: str, address: str, port: int) -> Iterator[None]:
    """Whatever keeps one from logging in to a host, or to a jump host before it, is Unreachable."""
    try:
        yield
    except Unreachable:
        raise
    except (OSError, EOFError, SSHException) as error:
        refused = isinstance(error, AuthenticationException) or reason(error) == NO_METHODS
        raise (LoginRefused if refused else Unreachable)(_why(host, user, address, port, error)) from None


def _open(connection: Connection, host: Host) -> None:
    """Where many are about to log in, sshd closes connections at random before it says anything (MaxStartups): it is asked again."""
    for pause in (*AGAIN_SECONDS, None):
        begun = time.monotonic()
        _trust(connection.client, host)
        try:
            connection.open()
        except SSHException as error:
            silent = time.monotonic() - begun > AT_ONCE_SECONDS
            if pause is None or silent or not _closed(error):
                raise
            time.sleep(pause)
        else:
            return


def host_key(address: str, port: int, seconds: float = 10) -> str:
    """The host key that a server shows, as known_hosts has it: type and key. Raises Unreachable."""
    try:
        with socket.create_connection((address, port), seconds) as connection:
            return _shown(connection, seconds)
    except (OSError, EOFError, SSHException) as error:
        raise Unreachable(_unanswered(address, port, error)) from None


def shown_key(host: Host) -> str:
    """The host key that a host shows, through its jump hosts if it has any. Raises Unreachable, also for a jump host that lets nobody in."""
    with _explained(host, host.user, host.address, host.port):
        connection = _connection(host, None)
    jumps = [*_jump_hosts(connection)]
    if not jumps:
        return host_key(connection.host, connection.port or host.port, host.connect_timeout)
    try:
        for each in reversed(jumps):
            with _explained(host, each.user, each.host, each.port):
                _open(each, host)
        return _shown(connection.open_gateway(), host.connect_timeout)
    except (OSError, EOFError, SSHException) as error:
        raise Unreachable(_unanswered(host.address, host.port, error)) from None
    finally:
        for each in jumps:
            each.close()


def _shown(connection: socket.socket | paramiko.Channel, seconds: float) -> str:
    transport = paramiko.Transport(connection)
    try:
        transport.start_client(timeout=seconds)
        key = transport.get_remote_server_key()
    finally:
        transport.close()
    return f"{key.get_name()} {key.get_base64()}"


def reason(error: BaseException) -> str:
    """Why a connection failed, in a few words."""
    if isinstance(error, NoValidConnectionsError):
        error = next(iter(error.errors.values()))
    if isinstance(error, socket.gaierror):
        return "its name does not resolve"
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, OSError) and error.strerror:
        return line(error.strerror)
    return line(str(error)) or type(error).__name__


class _UnknownKey(paramiko.MissingHostKeyPolicy):
    """Trusts no key at first sight. `known` is the file to which a trusted key would be added."""

    def __init__(self, known: str) -> None:
        self.known = known

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        address, _, port = hostname.removeprefix("[").partition("]:")
        scan = f"ssh-keyscan -p {port} {address}" if port else f"ssh-keyscan {address}"
        raise UnknownHost(
            f"the host key of {hostname}, {_fingerprint(key)}, is not known: compare it with the server's own, "
            f"then {scan} >>{self.known}"
        )


@cache
def _ssh_config() -> paramiko.SSHConfig:
    """What the user's and the controller's ssh_config say; read once."""
    read: paramiko.SSHConfig = Config(lazy=False).base_ssh_config
    return read


def _config() -> Config:
    """A configuration for one connection: Fabric writes into that of a connection, so threads cannot share one."""
    return Config(ssh_config=_ssh_config())


def _connection(host: Host, password: str | None) -> Connection:
    options: dict[str, object] = {
        "allow_agent": host.agent,
        "look_for_keys": host.key is None,
        "banner_timeout": host.connect_timeout,
        "auth_timeout": host.connect_timeout,
    }
    if host.key:
        options["key_filename"] = str(host.key)
    gateway = _gateway(host, options)
    if password is not None:
        options["password"] = password
    return Connection(
        host.address,
        user=host.user,
        port=host.port,
        config=_config(),
        gateway=gateway,
        connect_timeout=host.connect_timeout,
        connect_kwargs=options,
    )


def _gateway(host: Host, options: Mapping[str, object]) -> Connection | None:
    """The jump host that `proxy_jump` names, or the last one of several that ssh_config names, each reached through the one before.

    They are offered the same keys as the host. All other ways to a host are Fabric's, which would take several jump hosts in the
    wrong order.
    """
    jumps = [host.proxy_jump] if host.proxy_jump else _ssh_config().lookup(host.address).get("proxyjump", "").split(",")
    if len(jumps) == 1 and not host.proxy_jump:
        return None
    gateway = None
    for jump in jumps:
        gateway = Connection(jump, config=_config(), gateway=gateway, connect_kwargs=dict(options))
    return gateway


def _trust(client: paramiko.SSHClient, host: Host) -> None:
    """Let a client accept the keys in the host's known_hosts, or in this machine's, and no others."""
    client.set_missing_host_key_policy(_UnknownKey(str(host.known_hosts or "~/.ssh/known_hosts")))
    if host.known_hosts:
        client.load_host_keys(str(host.known_hosts))
        return
    for known in ("/etc/ssh/ssh_known_hosts", str(Path.home() / ".ssh/known_hosts")):
        if Path(known).is_file():
            client.load_system_host_keys(known)


def _why(host: Host, user: str, address: str, port: int, error: Exception) -> str:
    login = f"{user}@{address}"
    match error:
        case BadHostKeyException():
            file = ("-f", str(host.known_hosts)) if host.known_hosts else ()
            forget = words("ssh-keygen", *file, "-R", known_as(address, port))
            return (
                f"the host key of {address} changed, from {_fingerprint(error.expected_key)} to {_fingerprint(error.key)}: "
                f"where the server was reinstalled, {forget}, then connect again; otherwise do not connect"
            )
        case PasswordRequiredException():
            return f"the key {host.key} is locked by a passphrase: add it to the SSH agent with ssh-add"
        case AuthenticationException():
            offered = f"the key {host.key}" if host.key else "the agent's keys and the default ones"
            return f"{login} refused {offered}: is the public key in its authorized_keys?"
    if reason(error) == NO_METHODS:
        add = "add one to the SSH agent with ssh-add, or name it" if host.agent else "name it"
        return f"there is no key to log in to {login} with: {add} with key"
    hint = "" if _closed(error) else ": is the server on, and the address right?"
    return _unanswered(address, port, error) + hint


def _closed(error: BaseException) -> bool:
    return str(error).startswith(NO_BANNER)


def _unanswered(address: str, port: int, error: BaseException) -> str:
    if _closed(error):
        return (
            f"{address} port {port} closes the connection before it says anything: is it sshd's port? After failed logins, sshd itself "
            "(PerSourcePenalties) or fail2ban keeps an address out for some minutes"
        )
    return f"{address} port {port} does not answer ({reason(error)})"


def _fingerprint(key: paramiko.PKey) -> str:
    return fingerprint(f"{key.get_name()} {key.get_base64()}")


def fingerprint(key: str) -> str:
    """Type and fingerprint of a public key (TYPE BASE64), as `ssh-keygen -l` prints them. Raises ValueError for what is none."""
    kind, text = key.split()[:2]
    digest = base64.b64encode(hashlib.sha256(base64.b64decode(text)).digest()).decode().rstrip("=")
    return f"{kind} SHA256:{digest}"
