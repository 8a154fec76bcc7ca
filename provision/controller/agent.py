"""This machine's SSH agent, for a server that may use its keys during a run."""

import os
import socket
import threading
from contextlib import suppress

import paramiko
from paramiko.ssh_exception import SSHException


def has_keys() -> bool:
    """Whether an SSH agent with at least one key runs on this machine."""
    try:
        agent = paramiko.Agent()
        keys = agent.get_keys()
        agent.close()
    except (SSHException, OSError):
        return False
    return bool(keys)


class Agent:
    """This machine's SSH agent, forwarded to a server until it is closed.

    It is the handler that `Channel.request_forward_agent` wants: called with a new channel for each request.
    """

    def __init__(self) -> None:
        self._closed = False

    def close(self) -> None:
        """Leave all later requests unanswered."""
        self._closed = True

    def __call__(self, channel: paramiko.Channel) -> None:
        """Connect a channel to the agent; close it where there is no agent, or no longer one."""
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
    # Closing a socket does not wake the thread that reads from it; shutting it down does.
    for end in (source, sink):
        with suppress(OSError, EOFError, SSHException):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
