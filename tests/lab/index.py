"""A package index behind a password, with one package that no other index has."""

import base64
import hashlib
import io
import re
import ssl
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

from provision.lab.dns import ACME
from tests.lab.conftest import LAB

USER = "deploy"
PACKAGE = "lab-greeting"
WHEEL = "lab_greeting-1.0-py3-none-any.whl"
MODULE = 'def greeting() -> str:\n    return "hello from a package of the private index"\n'


@dataclass
class Index:
    """An index on the lab's bridge; `asked` has the packages, and the file, that were requested with the password;
    `digest` is the SHA-256 of its own package's wheel.
    """

    place: str
    password: str
    asked: list[str] = field(default_factory=list)
    refused: int = 0
    digest: str = ""

    def url(self, password: str = "") -> str:
        """Its address with its own password in it, or with another."""
        scheme, slashes, host = self.place.partition("://")
        return f"{scheme}{slashes}{USER}:{quote(password or self.password, safe='')}@{host}/simple"


def wheel() -> bytes:
    """The package's wheel."""
    about = "lab_greeting-1.0.dist-info"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("lab_greeting.py", MODULE)
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n")
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", "".join(f"{item.filename},,\n" for item in archive.filelist))
    return packed.getvalue()


def upstream() -> str:
    """The index that pip uses on this machine: the configured one, or pip's default."""
    configured = re.findall(r"^[^=]*\.index-url='(.*)'$", _said("-m", "pip", "config", "list"), re.MULTILINE)
    shipped = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
    return str(configured[-1]) if configured else _said("-c", shipped).strip()


def _said(*words: str) -> str:
    return subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True).stdout


class _Server(ThreadingHTTPServer):
    """The index's HTTP server on the lab's bridge; `index` is set once its port is known."""

    daemon_threads = True
    index: Index

    def __init__(self, password: str) -> None:
        super().__init__(("10.213.0.1", 0), _Handler)
        self.password = password
        self.upstream, self.wheel = upstream().rstrip("/"), wheel()

    @property
    def authorization(self) -> str:
        """The header of whoever knows the password."""
        return "Basic " + base64.b64encode(f"{USER}:{self.password}".encode()).decode()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        index, name = self.server.index, self.path.removeprefix("/simple").strip("/")
        if self.headers["Authorization"] != self.server.authorization:
            index.refused += 1
            self.answer(401, b"", ("WWW-Authenticate", 'Basic realm="lab"'))
        elif self.path == f"/files/{WHEEL}":
            index.asked.append(WHEEL)
            self.answer(200, self.server.wheel)
        elif name == PACKAGE:
            index.asked.append(name)
            digest = hashlib.sha256(self.server.wheel).hexdigest()
            self.answer(200, f'<a href="../../files/{WHEEL}#sha256={digest}">{WHEEL}</a>'.encode())
        else:
            index.asked.append(name)
            self.answer(302, b"", ("Location", f"{self.server.upstream}/{name}/"))

    def do_HEAD(self) -> None:
        self.do_GET()

    def answer(self, status: int, content: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Length", str(len(content))), ("Content-Type", "text/html"), *headers):
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def with_tls(server: ThreadingHTTPServer) -> None:
    """Let a server speak TLS alone, as acme.test."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(LAB / "acme/api.pem", LAB / "acme/api.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)


@contextmanager
def serving(password: str, tls: bool = False) -> Iterator[Index]:
    """An index (PEP 503) with the package, which redirects to this machine's own for all others, and wants the password.

    With `tls`, its certificate is signed by the CA .lab/acme-api-ca.pem, which servers do not trust by default.
    """
    with _Server(password) as server:
        if tls:
            with_tls(server)
        scheme, host = ("https", ACME) if tls else ("http", "10.213.0.1")
        digest = hashlib.sha256(server.wheel).hexdigest()
        server.index = Index(f"{scheme}://{host}:{server.server_address[1]}", password, digest=digest)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.index
        finally:
            server.shutdown()
