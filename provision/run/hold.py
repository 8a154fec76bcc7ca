"""A server that a fleet's run holds: taken before its first change, kept by a thread, confirmed, and let go."""

import threading
import time
from contextlib import suppress

import paramiko
from paramiko.ssh_exception import SSHException

from provision.controller.ssh import Session
from provision.engine import apply, lease
from provision.errors import ConnectionLost, ProvisionError, RunError, Unreachable
from provision.run.progress import EXPIRED, refused
from provision.run.request import Request, who
from provision.untrusted import line as shown
from provision.untrusted import visible

ANSWER_SECONDS = 30
LONGEST = 4096


class Hold:
    """A fleet's lease of one server. While it is held, a thread tells the server that the controller lives.

    It is taken over the session that is there; where that ends, a session of its own takes its place.
    """

    def __init__(self, session: Session, request: Request, fleet: str, generation: str) -> None:
        self.fleet = fleet
        self._generation = generation
        self._request = request
        self._host = session.host
        self._session = session
        self._own: Session | None = None
        self._channel: paramiko.Channel | None = None
        self._lost = False
        self._ended = threading.Event()
        self._lock = threading.Lock()

    def take(self) -> None:
        """Take the lease. Raises RunError where somebody else holds the server or has changed it; ConnectionLost."""
        self._open(self._session, self._generation)
        threading.Thread(target=self._keep, name="hold", daemon=True).start()

    def confirm(self) -> None:
        """What the fleet activated stays. Raises RunError where the server has taken it back, or cannot be asked."""
        deadline = time.monotonic() + lease.SECONDS
        while not self._say(lease.CONFIRM):
            if self._lost or time.monotonic() > deadline:
                raise RunError(EXPIRED)
            time.sleep(1)

    def end(self) -> None:
        """Let the server go, if it can be reached."""
        self._ended.set()
        with self._lock, suppress(OSError, EOFError, SSHException):
            if self._channel is not None:
                self._channel.sendall(f"{lease.END}\n".encode())
                self._channel.recv(1)
        if self._own is not None:
            self._own.close()

    def _keep(self) -> None:
        while not self._ended.wait(lease.BEAT_SECONDS) and not self._lost:
            self._say(lease.BEAT)

    def _say(self, word: str) -> bool:
        """Whether the server has heard it; if not, the connection is made again."""
        with self._lock:
            try:
                if self._channel is None:
                    self._own = self._own or Session(self._host, self._request.password)
                    self._open(self._own, "")
                channel = self._channel
                assert channel is not None
                channel.sendall(f"{word}\n".encode())
                self._hear(channel)
            except RunError:
                self._lost = True
                return False
            except (ConnectionLost, Unreachable, OSError, EOFError, SSHException):
                self._channel = None
                return False
            except ProvisionError:
                self._lost = True
                return False
            return True

    def _open(self, session: Session, generation: str) -> None:
        channel = session.talk(apply.hold(self.fleet, generation, who(), self._request.task))
        channel.settimeout(ANSWER_SECONDS)
        self._hear(channel)
        self._channel = channel

    def _hear(self, channel: paramiko.Channel) -> None:
        line = b""
        while not line.endswith(b"\n"):
            try:
                read = channel.recv(1)
            except TimeoutError:
                read = b""
            if not read:
                raise ConnectionLost(f"the connection to {self._host.address} ended")
            line += read
            if len(line) > LONGEST:
                raise ConnectionLost(f"{self._host.address} did not say that it is held")
        said = visible(line.decode(errors="replace").rstrip("\n"))
        if said != lease.HELD:
            for event in apply.events(iter([said]), count=0):
                refused(event)
            raise ConnectionLost(f"{self._host.address} did not say that it is held: {shown(said)}")
