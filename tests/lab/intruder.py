"""A client that keeps to no rules: slow, many at once, half a request, two in one. Its address is one that nothing else has."""

import socket
import ssl
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from provision.lab import network
from tests.lab.conftest import LAB
from tests.lab.refusals import ADDRESS, DOMAIN

OWN = "10.213.0.249"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, HEADERS, RST_STREAM = 4, 1, 3
LONGEST = 1 << 16


@contextmanager
def present() -> Iterator[None]:
    """Within this, this machine has the intruder's address, too."""
    place = (f"{OWN}/24", "dev", network.BRIDGE)
    subprocess.run(("ip", "address", "add", *place), check=True)
    try:
        yield
    finally:
        subprocess.run(("ip", "address", "delete", *place), check=True)


def connected(source: str = OWN, protocol: str = "http/1.1") -> ssl.SSLSocket:
    """A TLS connection to the site."""
    context = ssl.create_default_context(cafile=str(LAB / "acme-root.pem"))
    context.set_alpn_protocols([protocol])
    plain = socket.create_connection((ADDRESS, 443), 10, (source, 0))
    return context.wrap_socket(plain, server_hostname=DOMAIN)


def said(raw: str) -> str:
    """All that the site answers to these bytes, until it closes the connection or says nothing for two seconds."""
    answer = b""
    with connected() as secure, suppress(OSError):
        secure.sendall(raw.encode("latin-1"))
        secure.settimeout(2)
        while len(answer) < LONGEST and (part := secure.recv(LONGEST)):
            answer += part
    return answer.decode("latin-1")


def asked(*lines: str, path: str = "/", body: str = "", method: str = "GET") -> str:
    """The answer to one request with these lines of a header beside Host."""
    return said("\r\n".join((f"{method} {path} HTTP/1.1", f"Host: {DOMAIN}", "Connection: close", *lines, "", body)))


@contextmanager
def slow(count: int) -> Iterator[list[ssl.SSLSocket]]:
    """Within this, so many connections are open on which a request has begun and does not end."""
    opened = []
    try:
        for _ in range(count):
            one = connected()
            opened.append(one)
            one.sendall(f"GET / HTTP/1.1\r\nHost: {DOMAIN}\r\nX-Slow: ".encode())
        yield opened
    finally:
        for one in opened:
            one.close()


def burst(count: int) -> Counter[str]:
    """Statuses of so many requests, 50 at once."""
    words = ("curl", "-sk", "--interface", OWN, "--resolve", f"{DOMAIN}:443:{ADDRESS}", "-o", "/dev/null")
    many = ("-w", "%{http_code}\n", "--parallel", "--parallel-max", "50", f"https://{DOMAIN}/?[1-{count}]")
    done = subprocess.run((*words, *many), capture_output=True, text=True, timeout=120, check=False)
    return Counter(done.stdout.split())


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def reset_rapidly(count: int) -> int:
    """Begin so many HTTP/2 requests and take each back at once (CVE-2023-44487); how many the site took before it closed the connection."""
    name = DOMAIN.encode()
    # HPACK (RFC 7541): GET, https and / by their numbers, and the authority as it is.
    block = b"\x82\x87\x84\x41" + bytes((len(name),)) + name
    sent = 0
    with connected(protocol="h2") as secure, suppress(OSError):
        assert secure.selected_alpn_protocol() == "h2"
        secure.sendall(PREFACE + _frame(SETTINGS, 0, 0))
        for number in range(count):
            stream = 2 * number + 1
            secure.sendall(_frame(HEADERS, 5, stream, block) + _frame(RST_STREAM, 0, stream, struct.pack(">I", 8)))
            sent += 1
    return sent


def times(count: int, source: str) -> list[float]:
    """Seconds that so many requests of a well-behaved client take, one after another, each over a connection of its own; all must succeed."""
    found = []
    for _ in range(count):
        begun = time.monotonic()
        with connected(source) as secure:
            secure.sendall(f"GET /health HTTP/1.1\r\nHost: {DOMAIN}\r\nConnection: close\r\n\r\n".encode())
            answer = secure.recv(LONGEST)
        assert answer.startswith(b"HTTP/1.1 200 "), answer[:200]
        found.append(time.monotonic() - begun)
        # It stays below the limits itself.
        time.sleep(0.06)
    return sorted(found)
