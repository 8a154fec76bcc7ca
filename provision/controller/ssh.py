"""A session on a host: run a script as root and get its output, or its lines as they come; move large files."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import paramiko
from fabric import Connection
from paramiko.ssh_exception import SSHException

from provision.controller import become, listen
from provision.controller.agent import Agent
from provision.controller.connection import connect, reason
from provision.engine.shell import quote
from provision.errors import AccessDenied, CacheError, ConnectionLost, RunError
from provision.inventory import Host

SCRIPT_SECONDS = 300
ENDED_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Output:
    """What a script printed, and its exit status (-1 where a signal ended it)."""

    stdout: str
    stderr: str
    status: int


class Session:
    """A connection to one host, opened at first use. `execs` counts the SSH exec requests that were made over it.

    `password` is sudo's, for a host with `become: sudo-password`. Methods raise Unreachable where there is no connection
    and none can be made.
    """

    def __init__(self, host: Host, password: str | None = None) -> None:
        self.host = host
        self.execs = 0
        self._password = password
        self._connection: Connection | None = None

    def open(self) -> Connection:
        """The connection; a new one where there is none or it has ended. Raises Unreachable."""
        if self._connection is None or not self._connection.is_connected:
            self._connection = connect(self.host)
        return self._connection

    def close(self) -> None:
        """End the connection; the next call opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def run(self, script: str) -> Output:
        """Run a script as root, whatever its exit status, and return what it printed.

        Raises ConnectionLost where the connection ends, or the script does not within 300 seconds; RunError where it prints
        more than an answer has; AccessDenied where sudo refuses; Unreachable.
        """
        channel = self._execute(script)
        try:
            stdout, stderr = listen.answer(channel, self.host.address, SCRIPT_SECONDS)
        except ConnectionLost:
            self.close()
            raise
        output = Output(stdout, stderr, channel.recv_exit_status())
        if output.status == -1 and not self._alive():
            raise ConnectionLost(f"the connection to {self.host.address} ended before it had answered: run again")
        denied = denial(self.host.user, output.stderr) if output.status and not output.stdout else ""
        if denied:
            raise AccessDenied(denied)
        return output

    def lines(self, script: str, agent: Agent | None = None, limit: int = 0) -> Iterator[str]:
        """Run a script as root; yield its lines as they come, without a time limit, until it or the connection ends.

        With an `agent`, the script finds it in SSH_AUTH_SOCK for as long as the connection lasts, where sshd allows that.
        Raises ConnectionLost where the script cannot be started; RunError after `limit` bytes, if there is a limit;
        Unreachable.
        """
        channel = self._execute(script, agent)
        try:
            yield from listen.stream(channel, self.host.address, limit)
        except OSError:
            pass
        finally:
            channel.close()

    def talk(self, script: str) -> paramiko.Channel:
        """Run a script as root that goes on reading what is sent to it. Raises ConnectionLost; Unreachable."""
        return self._execute(script, ends=False)

    def put(self, local: Path, remote: str, progress: Callable[[int, int], object] | None = None) -> None:
        """Send a file over SFTP, readable by its owner alone; `remote` is relative to the login's home.

        `progress` is called with the bytes sent and the bytes in all. Raises ConnectionLost; RunError where the server
        does not take all of it; what it took of it is removed.
        """
        with self._sftp(f"{local.name} was sent") as sftp:
            try:
                # Nobody else may read it, from its first byte on.
                sftp.open(remote, "w").close()
                sftp.chmod(remote, 0o600)
                sftp.put(str(local), remote, callback=progress)
            except OSError as error:
                with suppress(OSError, EOFError, SSHException):
                    sftp.remove(remote)
                if not self._alive():
                    raise
                raise RunError(
                    f"{local.name} could not be written to the home folder of {self.host.user} ({reason(error)}): is the"
                    " disk full, or out of inodes, or over a quota? See df -h ~ and df -i ~ there"
                ) from None

    def get(self, remote: str, local: Path, limit: int) -> None:
        """Fetch a file over SFTP and remove it from the server. `local` appears whole or not at all.

        Raises CacheError where it has more than `limit` bytes; ConnectionLost.
        """
        local.parent.mkdir(parents=True, exist_ok=True)
        partial = local.with_name(f".{local.name}.{secrets.token_hex(4)}")
        try:
            with self._sftp(f"{local.name} was fetched") as sftp:
                sftp.get(remote, str(partial), _limited(limit, remote))
                sftp.remove(remote)
            partial.replace(local)
        finally:
            partial.unlink(missing_ok=True)

    @contextmanager
    def _sftp(self, what: str) -> Iterator[paramiko.SFTPClient]:
        """SFTP over the connection. Raises ConnectionLost, which says during what, where that ends."""
        connection = self.open()
        try:
            with connection.client.open_sftp() as sftp:
                yield sftp
        except (SSHException, OSError, EOFError) as error:
            if isinstance(error, OSError) and self._alive():
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

    def _execute(self, script: str, agent: Agent | None = None, ends: bool = True) -> paramiko.Channel:
        connection = self.open()
        command, first = root_shell(self.host, self._password)
        if agent:
            # sudo clears the environment, but passes arguments on.
            command, script = f'{command} "$SSH_AUTH_SOCK"', f'export SSH_AUTH_SOCK="${{1-}}"\n{script}'
        self.execs += 1
        try:
            channel: paramiko.Channel = connection.transport.open_session(timeout=self.host.connect_timeout)
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
        return channel


def _limited(limit: int, remote: str) -> Callable[[int, int], None]:
    """A callback for SFTP that raises CacheError once a file has more than `limit` bytes."""

    def arrived(count: int, size: int) -> None:
        if max(count, size) > limit:
            raise CacheError(f"{remote} is not fetched, as it has more than {limit / 1e6:.1f} MB")

    return arrived


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
