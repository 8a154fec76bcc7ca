"""Constant load on a site, and a record of which release answered, in order."""

import http.client
import os
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.lab.again import busy
from tests.lab.conftest import LAB

# wrk keeps both cores of a small machine busy and slows other tests: by default, only tests that count requests use it.
HEAVY = "PROVISION_HEAVY_LOAD" in os.environ


@dataclass
class Load:
    """What the clients saw. `answers` are (seconds, commit), in order; `failures` say what went wrong.

    `latencies` are (time of the answer, seconds it took), by the monotonic clock.
    """

    answers: list[tuple[float, str]] = field(default_factory=list)
    latencies: list[tuple[float, float]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    requests: int = 0
    failed: int = 0
    p99: str = ""

    def lost(self, reloads: int = 1) -> list[str]:
        """The failures, without those by which the client that keeps its connection learns of so many reloads of nginx.

        A reload closes connections on which no request is under way; clients connect again (docs/internals.md, "Services keep a
        stamp").
        """
        closed = [each for each in self.failures if each.startswith("RemoteDisconnected")]
        return [each for each in self.failures if each not in closed] + closed[reloads:]

    def order(self) -> list[str]:
        """The commits that answered, in order, each run of equal ones once."""
        commits = [commit for _, commit in self.answers]
        return [commit for index, commit in enumerate(commits) if index == 0 or commits[index - 1] != commit]


class _Connection(http.client.HTTPSConnection):
    """A connection to an address, under the name of a site there."""

    def __init__(self, address: str, domain: str) -> None:
        super().__init__(domain, timeout=15, context=ssl.create_default_context(cafile=str(LAB / "acme-root.pem")))
        self.address = address

    def connect(self) -> None:
        plain = socket.create_connection((self.address, 443), timeout=15)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host)  # type: ignore[attr-defined]


def _start_wrk(address: str, domain: str, seconds: int, path: str) -> "subprocess.Popen[str]":
    words = ["wrk", "-t1", "-c16", f"-d{seconds}s", "--latency", "--timeout", "15s", "-H", f"Host: {domain}"]
    words.append(f"https://{address}{path}")
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _add_wrk(seen: Load, said: str) -> None:
    """Add what wrk counted: its requests, its slowest ones and its failures."""
    seen.requests += int(next(iter(re.findall(r"(\d+) requests in", said)), "0"))
    seen.p99 = next(iter(re.findall(r"99%\s+(\S+)", said)), "?")
    errors = re.findall(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    seen.failed = sum(map(int, errors[0])) if errors else 0
    seen.failed += int(next(iter(re.findall(r"Non-2xx or 3xx responses: (\d+)", said)), "0"))
    if seen.failed:
        seen.failures.append(said)


def _ask(connection: _Connection, path: str, seen: Load, keep: bool) -> None:
    """One request, noted. Only a connection that is kept notes answers, so that they are in order."""
    begun = time.monotonic()
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode().strip('"')
        if answer.status != 200:
            seen.failures.append(f"{answer.status} {body[:80]}")
        elif keep:
            seen.answers.append((time.monotonic(), body))
        seen.requests += 1
        seen.latencies.append((time.monotonic(), time.monotonic() - begun))
        if not keep:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        seen.failures.append(repr(error))
        connection.close()


@contextmanager
def load(address: str, domain: str, seconds: int, path: str = "/commit", heavy: bool = HEAVY) -> Iterator[Load]:
    """Load from one client with keep-alive and one that connects anew each time, for at most so many seconds.

    `heavy` makes these faster, and adds wrk.
    """
    seen = Load()
    over = threading.Event()
    wrk = _start_wrk(address, domain, seconds, path) if heavy else None

    def poll(keep: bool) -> None:
        connection = _Connection(address, domain)
        deadline = time.monotonic() + seconds
        while not over.is_set() and time.monotonic() < deadline:
            _ask(connection, path, seen, keep)
            time.sleep(0.002 if heavy else 0.1)

    pollers = [threading.Thread(target=poll, args=(keep,)) for keep in (True, False)]
    for poller in pollers:
        poller.start()
    try:
        with busy("load"):
            yield seen
    finally:
        over.set()
        said = ""
        if wrk:
            wrk.send_signal(2)
            said = wrk.communicate(timeout=30)[0]
        for poller in pollers:
            poller.join()
        _add_wrk(seen, said)


@contextmanager
def post(address: str, domain: str, seconds: int, path: str = "/commit", keep: bool = True) -> Iterator[list[float]]:
    """POST requests, which nobody may ask twice, for at most so many seconds: the monotonic times of those that failed.

    Unless it shall `keep` its connection, the client connects anew each time, which no reload of nginx disturbs.
    """
    bad: list[float] = []
    over = threading.Event()

    def ask() -> None:
        connection = _Connection(address, domain)
        deadline = time.monotonic() + seconds
        while not over.is_set() and time.monotonic() < deadline:
            try:
                connection.request("POST", path)
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    bad.append(time.monotonic())
                if not keep:
                    connection.close()
            except (OSError, http.client.HTTPException):
                bad.append(time.monotonic())
                connection.close()
            time.sleep(0.02)

    poller = threading.Thread(target=ask)
    poller.start()
    try:
        with busy("post"):
            yield bad
    finally:
        over.set()
        poller.join()


@dataclass
class Written:
    """What was answered to POST requests that write: the bodies of those that succeeded, and when and how others failed."""

    acknowledged: list[str] = field(default_factory=list)
    failures: list[tuple[float, str]] = field(default_factory=list)

    def ask(self, connection: _Connection, path: str) -> None:
        """One request, noted."""
        try:
            connection.request("POST", path)
            answer = connection.getresponse()
            body = answer.read().decode()
            if answer.status == 200:
                self.acknowledged.append(body)
            else:
                self.failures.append((time.monotonic(), f"{answer.status} {body[:80]}"))
        except (OSError, http.client.HTTPException) as error:
            self.failures.append((time.monotonic(), repr(error)))
            connection.close()


@contextmanager
def writes(address: str, domain: str, seconds: int, path: str, clients: int = 2) -> Iterator[Written]:
    """So many clients that write, for at most so many seconds."""
    seen, over = Written(), threading.Event()

    def write() -> None:
        connection = _Connection(address, domain)
        deadline = time.monotonic() + seconds
        while not over.is_set() and time.monotonic() < deadline:
            seen.ask(connection, path)
            time.sleep(0.05)

    writers = [threading.Thread(target=write) for _ in range(clients)]
    for writer in writers:
        writer.start()
    try:
        with busy("writes"):
            yield seen
    finally:
        over.set()
        for writer in writers:
            writer.join()


def watch(address: str, domain: str, wanted: str, seconds: float, path: str = "/commit") -> float:
    """The monotonic time when the site first answered with a commit; raises TimeoutError if it never does."""
    connection = _Connection(address, domain)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        connection.request("GET", path)
        if connection.getresponse().read().decode().strip('"') == wanted:
            return time.monotonic()
        time.sleep(0.005)
    raise TimeoutError(wanted)


def stream(address: str, domain: str, path: str) -> tuple[list[str], bool, float]:
    """A streamed response: its lines, whether it is complete, and the monotonic time when it ended."""
    connection = _Connection(address, domain)
    connection.request("GET", path)
    answer = connection.getresponse()
    body, whole = b"", True
    try:
        while part := answer.read1(65536):
            body += part
    except (OSError, http.client.HTTPException):
        whole = False
    return body.decode().split(), whole, time.monotonic()
