"""Sites, asked over TLS as their clients ask them: at one address, without proxies or redirects, and not for long."""

import errno
import socket
import ssl
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, TypeVar

from provision.untrusted import line

CONNECT_SECONDS, ANSWER_SECONDS = 3, 4
MOST, THREADS = 8, 64  # addresses of one name; questions at a time
# Why a connection fails without anything having been sent.
LOCAL = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EACCES, errno.EPERM)
Hop = Literal["", "route", "tcp", "tls", "trust", "http"]
Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: an HTTP status, and the value of a header.

    `hop` says where it ended otherwise, and `why`: route (this machine has no way there), tcp, tls, trust (the certificate is not
    trusted; the rest is what came without trust), or http.
    """

    hop: Hop = ""
    why: str = ""
    status: int = 0
    said: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """What a site is asked for: a path under a name, with headers of ours; `header` is the one that answers."""

    name: str
    path: str
    headers: Mapping[str, str]
    header: str


def trusting(roots: str = "") -> ssl.SSLContext | None:
    """What a client needs that trusts the system's authorities and these, in PEM; None where it would trust nobody."""
    context = ssl.create_default_context()
    if roots:
        context.load_verify_locations(cadata=roots)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    known = ssl.get_default_verify_paths()
    there = roots or known.cafile or (known.capath and any(Path(known.capath).iterdir())) or context.get_ca_certs()
    return context if there else None


def addresses(name: str) -> tuple[str, ...]:
    """What a name resolves to here, over IPv4 and IPv6."""
    try:
        found = socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(each[4][0]) for each in found))[:MOST]


def reach(address: str, port: int) -> Reply:
    """Whether a port lets this machine in."""
    found = _connected(address, port)
    if isinstance(found, Reply):
        return found
    found.close()
    return Reply()


def ask(address: str, port: int, question: Question, trust: ssl.SSLContext | None) -> Reply:
    """Ask a site at an address; without trust, whatever its certificate is.

    Where that is not trusted, it is asked again without trust, so that one learns who it is.
    """
    reply = _asked(address, port, question, trust or _careless())
    if reply.hop != "trust":
        return reply
    again = _asked(address, port, question, _careless())
    return Reply("trust", reply.why, again.status, again.said)


def serial(address: str, port: int, name: str) -> int | str:
    """The serial number of the certificate that is served under a name at an address, whoever trusts it; or why there is none."""
    from cryptography import x509

    plain = _connected(address, port)
    if isinstance(plain, Reply):
        return plain.why
    plain.settimeout(ANSWER_SECONDS)
    with plain:
        try:
            with _careless().wrap_socket(plain, server_hostname=name) as secure:
                return x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b"").serial_number
        except (OSError, ValueError) as error:
            return _why(error)


def together(calls: Mapping[Key, Callable[[], Found]], seconds: float) -> dict[Key, Found]:
    """What the calls return, by key, made at the same time; those that take longer are left out, and keep no process from ending."""
    found: dict[Key, Found] = {}
    left = iter([*calls])

    def work() -> None:
        # Each goes on with the next that nobody has begun.
        for key in left:
            found[key] = calls[key]()

    threads = [threading.Thread(target=work, name="outside", daemon=True) for _ in range(min(len(calls), THREADS))]
    deadline = time.monotonic() + seconds
    for each in threads:
        each.start()
    for each in threads:
        each.join(max(0.0, deadline - time.monotonic()))
    return {key: found[key] for key in calls if key in found}


def _connected(address: str, port: int) -> socket.socket | Reply:
    if not _routed(address):
        return Reply("route", "this machine has no way there")
    try:
        return socket.create_connection((address, port), CONNECT_SECONDS)
    except OSError as error:
        return Reply("route" if error.errno in LOCAL else "tcp", _why(error))


def _routed(address: str) -> bool:
    """Whether this machine has a way to an address: to public IPv6, from public IPv6. Nothing is sent."""
    sixth = ":" in address
    try:
        with socket.socket(socket.AF_INET6 if sixth else socket.AF_INET, socket.SOCK_DGRAM) as way:
            way.connect((address, 443))
            own = str(way.getsockname()[0]).partition("%")[0]
    except OSError:
        return False
    return not sixth or ip_address(own).is_global or not ip_address(address.partition("%")[0]).is_global


def _asked(address: str, port: int, question: Question, context: ssl.SSLContext) -> Reply:
    import http.client

    plain = _connected(address, port)
    if isinstance(plain, Reply):
        return plain
    plain.settimeout(ANSWER_SECONDS)
    with plain:
        try:
            secure = context.wrap_socket(plain, server_hostname=question.name)
        except (OSError, ValueError) as error:
            return Reply("trust" if isinstance(error, ssl.SSLCertVerificationError) else "tls", _why(error))
        with secure, _ending(secure):
            connection = http.client.HTTPConnection(question.name)
            connection.sock = secure
            try:
                connection.request("GET", question.path, headers={"Connection": "close", **question.headers})
                answer = connection.getresponse()
            except (OSError, ValueError, http.client.HTTPException) as error:
                return Reply("http", _why(error))
            return Reply(status=answer.status, said=line(answer.getheader(question.header) or "", 40))


@contextmanager
def _ending(connection: socket.socket) -> Iterator[None]:
    """Shut a connection down that lasts longer than an answer may take."""

    def end() -> None:
        with suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)

    clock = threading.Timer(ANSWER_SECONDS, end)
    clock.daemon = True
    clock.start()
    try:
        yield
    finally:
        clock.cancel()


def _careless() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, ssl.SSLCertVerificationError):
        return line(error.verify_message, 120).rstrip(".")
    if isinstance(error, ssl.SSLError):
        return line((error.reason or type(error).__name__).replace("_", " ").lower(), 120)
    if isinstance(error, OSError) and error.strerror:
        return line(error.strerror, 120)
    return line(str(error), 120) or type(error).__name__
