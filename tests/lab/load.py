"""Constant load on a site, and one client that notes which release answers, in order."""

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

from tests.lab.conftest import LAB

# wrk keeps both cores of a small machine busy, and what is tested beside it waits: by default only where requests are counted.
HEAVY = "PROVISION_HEAVY_LOAD" in os.environ


@dataclass
class Load:
    """What was seen. `answers` are (seconds, commit) in the order in which they came; `failures` are words.

    `latencies` are (seconds at the answer, seconds that it took).
    """

    answers: list[tuple[float, str]] = field(default_factory=list)
    latencies: list[tuple[float, float]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    requests: int = 0
    failed: int = 0
    p99: str = ""

    def order(self) -> list[str]:
        """The commits in the order of their first answers, each change counted."""
        commits = [commit for _, commit in self.answers]
        return [commit for index, commit in enumerate(commits) if index == 0 or commits[index - 1] != commit]


class _Connection(http.client.HTTPSConnection):
    """To a site by its name, at an address; every second one is closed after its answer."""

    def __init__(self, address: str, domain: str) -> None:
        super().__init__(domain, timeout=15, context=ssl.create_default_context(cafile=str(LAB / "acme-root.pem")))
        self.address = address

    def connect(self) -> None:
        plain = socket.create_connection((self.address, 443), timeout=15)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host)  # type: ignore[attr-defined]


@contextmanager
def load(address: str, domain: str, seconds: int, path: str = "/commit", heavy: bool = HEAVY) -> Iterator[Load]:
    """A client with keep-alive and one with new connections, where it is `heavy` faster ones, and wrk; ends by itself."""
    seen = Load()
    over = threading.Event()
    command = [
        "wrk",
        "-t1",
        "-c16",
        f"-d{seconds}s",
        "--latency",
        "--timeout",
        "15s",
        "-H",
        f"Host: {domain}",
        f"https://{address}{path}",
    ]
    wrk = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) if heavy else None

    def poll(keep: bool) -> None:
        connection = _Connection(address, domain)
        deadline = time.monotonic() + seconds
        while not over.is_set() and time.monotonic() < deadline:
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
            time.sleep(0.002 if heavy else 0.01)

    pollers = [threading.Thread(target=poll, args=(keep,)) for keep in (True, False)]
    for poller in pollers:
        poller.start()
    try:
        yield seen
    finally:
        over.set()
        said = ""
        if wrk:
            wrk.send_signal(2)
            said = wrk.communicate(timeout=30)[0]
        for poller in pollers:
            poller.join()
        seen.requests += int(next(iter(re.findall(r"(\d+) requests in", said)), "0"))
        seen.p99 = next(iter(re.findall(r"99%\s+(\S+)", said)), "?")
        errors = re.findall(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
        seen.failed = sum(map(int, errors[0])) if errors else 0
        seen.failed += int(next(iter(re.findall(r"Non-2xx or 3xx responses: (\d+)", said)), "0"))
        if seen.failed:
            seen.failures.append(said)


def watch(address: str, domain: str, wanted: str, seconds: float, path: str = "/commit") -> float:
    """When, by the monotonic clock, a site first answered with a commit; a TimeoutError when it did not."""
    connection = _Connection(address, domain)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        connection.request("GET", path)
        if connection.getresponse().read().decode().strip('"') == wanted:
            return time.monotonic()
        time.sleep(0.005)
    raise TimeoutError(wanted)


def stream(address: str, domain: str, path: str) -> tuple[list[str], bool, float]:
    """The lines of a streamed response, whether it came to its end, and when it ended, by the monotonic clock."""
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
