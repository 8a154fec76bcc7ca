"""A session on a host: run a script as root and get its output, or its lines as they come."""

import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import paramiko
from fabric import Connection
from paramiko.ssh_exception import ChannelException, SSHException

from provision.controller import become, listen
from provision.controller.agent import Agent
from provision.controller.connection import connect, reason
from provision.engine.resource import Finding
from provision.engine.shell import quote
from provision.errors import AccessDenied, ConnectionLost, RunError
from provision.inventory import Host
from provision.untrusted import line as shown

SCRIPT_SECONDS = 300
ENDED_SECONDS = 1
# A server that knows its own name begins sooner.
NAME_SECONDS = 3
CHANNEL_TRIES, CHANNEL_SECONDS = 5, 0.1


@dataclass(frozen=True, slots=True)
class Output:
    """What a script printed, and its exit status (-1 where a signal ended it)."""

    stdout: str
    stderr: str
    status: int


class Session:
    """A connection to one host, opened at first use. `execs` counts the SSH exec requests that were made over it.

    `password` is sudo's, for a host with `become: sudo-password`; `login` is that of the user, where no key lets it in. `waits` is what an answer had to wait for, if it is known. Methods raise Unreachable where there is no connection
    and none can be made.

    It is long because a script is read in three ways, all over the one connection and with the same mark before its output.
    """

    def __init__(self, host: Host, password: str | None = None, login: str | None = None) -> None:
        self.host = host
        self.execs = 0
        self.waits: Finding | None = None
        self._password = password
        self._login = login
        self._connection: Connection | None = None
        self._talking: Connection | None = None

    def open(self) -> Connection:
        """The connection; a new one where there is none or it has ended. Raises Unreachable."""
        if self._connection is None or not self._connection.is_connected:
            self._connection = connect(self.host, self._login)
        return self._connection

    def close(self) -> None:
        """End the connection; the next call opens a new one."""
        for connection in (self._connection, self._talking):
            if connection is not None:
                connection.close()
        self._connection = self._talking = None

    def run(self, script: str) -> Output:
        """Run a script as root, whatever its exit status, and return what it printed.

        What the login's shell prints before it is left out. Raises ConnectionLost where the connection ends, or the script
        does not within 300 seconds; RunError where it does not begin, or prints more than an answer has; AccessDenied where
        sudo refuses; Unreachable.
        """
        self.open()
        begun_at = time.monotonic()
        channel, mark = self._execute(script)
        try:
            stdout, stderr = listen.answer(channel, self.host.address, SCRIPT_SECONDS)
        except ConnectionLost:
            self.close()
            raise
        status = self.status(channel, "before it had answered")
        # A server may allow one session at a time.
        channel.close()
        before, begun, answer = stdout.partition(f"{mark}\n")
        if not begun:
            raise not_begun(self.host.user, before, stderr, status)
        self.waits = self.waits or nameless(stderr, time.monotonic() - begun_at)
        return Output(answer, stderr, status)

    def lines(self, script: str, agent: Agent | None = None, limit: int = 0) -> Iterator[str]:
        """Run a script as root; yield its lines as they come, without a time limit, until it or the connection ends.

        With an `agent`, the script finds it in SSH_AUTH_SOCK for as long as the connection lasts, where sshd allows that.
        What the login's shell prints before it is left out. Raises ConnectionLost where the script cannot be started;
        RunError where it does not begin, or after `limit` bytes, if there is a limit; AccessDenied; Unreachable.
        """
        channel, mark = self._execute(script, agent)
        last, errors = "", bytearray()
        lines = listen.stream(channel, self.host.address, errors, limit)
        try:
            for line in lines:
                if line.endswith(mark):
                    yield from lines
                    return
                last = line
            status = channel.recv_exit_status()
        except OSError:
            return
        finally:
            channel.close()
        if status != -1 or self._alive():
            raise not_begun(self.host.user, last, errors.decode(errors="replace"), status)

    def talk(self, script: str) -> paramiko.Channel:
        """Run a script as root that goes on reading what is sent to it; what the channel says first is the script's.

        Raises ConnectionLost; RunError where the script does not begin; AccessDenied; Unreachable.
        """
        channel, mark = self._execute(script, ends=False)
        channel.settimeout(SCRIPT_SECONDS)
        try:
            before, begun = listen.until(channel, f"{mark}\n")
        except OSError:
            before, begun = "", False
        if not begun:
            status = channel.recv_exit_status() if channel.exit_status_ready() else -1
            if status == -1:
                raise ConnectionLost(f"the connection to {self.host.address} ended before it had answered")
            raise not_begun(self.host.user, before, "", status)
        self._talking = self._connection
        return channel

    def program(self, program: str, path: str, what: str) -> paramiko.Channel:
        """A channel to a program in the shell that has begun, as the login's user and not as root; $1 is the path.

        Raises ConnectionLost, which says during what; RunError where the program does not begin; Unreachable.
        """
        mark = secrets.token_hex(16)
        with self.during(what):
            channel = self._channel()
            channel.settimeout(SCRIPT_SECONDS)
            channel.exec_command(f"sh -c {quote(f'umask 077; echo {mark}; {program}')} sh {quote(path)}")
            said, begun = listen.until(channel, f"{mark}\n")
        if not begun:
            raise not_begun(self.host.user, said, "", self.status(channel, f"while {what}"))
        return channel

    def _channel(self) -> paramiko.Channel:
        """A new channel. A server that allows one session a connection may not have closed the last one yet: then a moment
        later; and where a script is talked to over that one, over another connection.
        """
        transport: paramiko.Transport = self.open().transport
        for _ in range(CHANNEL_TRIES):
            with suppress(ChannelException):
                return transport.open_session(timeout=self.host.connect_timeout)
            time.sleep(CHANNEL_SECONDS)
        if self._connection is self._talking:
            self._connection = connect(self.host, self._login)
            transport = self._connection.transport
        return transport.open_session(timeout=self.host.connect_timeout)

    def status(self, channel: paramiko.Channel, when: str) -> int:
        """A program's exit status. Raises ConnectionLost, which says when, where the connection has ended."""
        status = channel.recv_exit_status()
        if status == -1 and not self._alive():
            raise ConnectionLost(f"the connection to {self.host.address} ended {when}: run again")
        return status

    @contextmanager
    def during(self, what: str) -> Iterator[None]:
        """Raises ConnectionLost, which says during what, where the connection ends."""
        try:
            yield
        except (SSHException, OSError, EOFError) as error:
            if isinstance(error, OSError) and not isinstance(error, TimeoutError) and self._alive():
                raise
            self.close()
            raise ConnectionLost(
                f"the connection to {self.host.address} ended while {what} ({reason(error)}): run again"
            ) from None

    def _alive(self) -> bool:
        """Whether the connection stands; where it has just ended, its thread may need a moment to notice."""
        if self._connection is None:
            return False
        self._connection.transport.join(ENDED_SECONDS)
        return bool(self._connection.is_connected)

    def _execute(self, script: str, agent: Agent | None = None, ends: bool = True) -> tuple[paramiko.Channel, str]:
        """The channel of a script that has been started as root, and the line with which its own output begins."""
        connection, mark = self.open(), secrets.token_hex(16)
        command, first = root_shell(self.host, self._password)
        if agent:
            # sudo clears the environment, but passes arguments on.
            command, script = f'{command} "$SSH_AUTH_SOCK"', f'export SSH_AUTH_SOCK="${{1-}}"\n{script}'
        script = f"echo {mark}\n{script}"
        self.execs += 1
        try:
            channel = self._channel()
            if agent:
                channel.request_forward_agent(agent)
            channel.exec_command(command)
            try:
                channel.sendall((first + script).encode())
                if ends:
                    channel.shutdown_write()
            except OSError:
                # A command that ends before it has read all of the script has said why.
                if not connection.transport.is_active():
                    raise
        except (SSHException, OSError, EOFError) as error:
            self.close()
            raise ConnectionLost(f"the connection to {self.host.address} ended ({reason(error)})") from None
        return channel, mark


def root_shell(host: Host, password: str | None) -> tuple[str, str]:
    """The command that runs a script from its standard input as root, and what must precede the script there.

    sudo may or may not read the password: the command drops all lines up to a random mark, and only then runs the rest.
    """
    if not become.uses_sudo(host):
        return "sh -s", ""
    if not become.needs_password(host):
        return f"{become.sudo(password=False)} sh -s", ""
    mark = secrets.token_hex(16)
    reader = f'while IFS= read -r line; do if [ "$line" = {mark} ]; then exec sh -s "$@"; fi; done; exit 1'
    return f"{become.sudo(password=True)} sh -c {quote(reader)} sh", f"{password or ''}\n{mark}\n"


def denial(user: str, stderr: str) -> str:
    """Why sudo did not make `user` root, by what it printed; empty where that is not about rights."""
    if "a password is required" in stderr or "a terminal is required" in stderr:
        return f"sudo wants a password for {user}: set become: sudo-password, or allow {user} to use sudo without one"
    if "incorrect password" in stderr or "Sorry, try again" in stderr or "no password was provided" in stderr:
        return f"sudo refused the password of {user}"
    if "not in the sudoers file" in stderr or "not allowed to" in stderr:
        return f"{user} may not use sudo: add it to the sudo group, or log in as root"
    if "sudo" in stderr and "not found" in stderr:
        return "sudo is not installed: install it, or log in as root"
    return ""


def nameless(stderr: str, seconds: float) -> Finding | None:
    """What to know where an answer took so long, and sudo did not find the server's own name, for which it asks DNS."""
    found = re.search(r"^sudo: unable to resolve host ([\w.-]{1,253})", stderr, re.MULTILINE)
    if not found or seconds < NAME_SECONDS:
        return None
    what = f"sudo asks DNS for the server's own name each time, and waits for an answer that does not come ({seconds:.0f} s)"
    return Finding("sudo", "warn", what, f"add the line 127.0.1.1 {found[1]} to /etc/hosts on the server")


def not_begun(user: str, said: str, stderr: str, status: int) -> RunError | AccessDenied:
    """Why a script has not run, by what stands in its place."""
    denied = denial(user, stderr)
    if denied:
        return AccessDenied(denied)
    last = next((line.strip() for line in reversed(f"{said}\n{stderr}".split("\n")) if line.strip()), "nothing")
    return RunError(
        f"the shell of {user} ended before it ran anything (exit status {status}; it said: {shown(last, 200)}): "
        "no file that it reads at its start, such as ~/.bashrc, may end it, or start another program in its place"
    )
