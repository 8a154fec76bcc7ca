"""A site is asked over TLS by a client of the standard library's, and each hop that is closed is named."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from provision.controller import https
from provision.controller.https import Question, Reply
from tests import pem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "shop.example.com"
QUESTION = Question(NAME, "/health", {"X-Asks": "one"}, "X-Answer")
GOOD = b"HTTP/1.1 200 OK\r\nX-Answer: this\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def listening(
    says: bytes, folder: Path | None = None, name: str = "site", endless: bytes = b""
) -> Iterator[tuple[int, list[bytes]]]:
    """A server on 127.0.0.1, over TLS with a folder that has NAME.pem; the port, and what it was asked."""
    heard: list[bytes] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if folder:
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")

    def serve(plain: socket.socket) -> None:
        try:
            with plain, context.wrap_socket(plain, server_side=True) if folder else plain as one:
                heard.append(one.recv(65536))
                one.sendall(says)
                while endless:
                    one.sendall(endless)
        except OSError:
            pass

    def accept() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(plain,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1], heard


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pem.write(tmp_path, "site", NAME)
    pem.write(tmp_path, "old", NAME, days=-1)
    pem.write(tmp_path, "other", "blog.example.com")
    return tmp_path


def ask(port: int, folder: Path, name: str = "site") -> Reply:
    return https.ask("127.0.0.1", port, QUESTION, https.trusting((folder / f"{name}-root.pem").read_text()))


def test_a_site_is_asked_for_its_path_by_its_name_and_its_header_is_the_answer(folder: Path) -> None:
    with listening(GOOD, folder) as (port, heard):
        assert ask(port, folder) == Reply(status=200, said="this")
    first, *headers = heard[0].decode().split("\r\n")
    assert first == "GET /health HTTP/1.1"
    assert {f"Host: {NAME}", "X-Asks: one", "Connection: close"} <= {*headers}


def test_no_redirect_is_followed_and_no_proxy_of_the_environment_is_asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with listening(b"HTTP/1.1 301 Moved\r\nLocation: https://127.0.0.1:9/\r\n\r\n", folder) as (port, heard):
        assert ask(port, folder) == Reply(status=301)
        assert len(heard) == 1


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("old", "certificate has expired"),
        ("other", f"Hostname mismatch, certificate is not valid for '{NAME}'"),
    ],
)
def test_a_certificate_that_is_not_trusted_is_named_and_the_answer_heard_all_the_same(
    folder: Path, name: str, why: str
) -> None:
    with listening(GOOD, folder, name) as (port, _):
        assert ask(port, folder, name) == Reply("trust", why, 200, "this")


def test_a_certificate_of_nobodys_is_trusted_only_where_no_trust_is_asked_for(folder: Path) -> None:
    with listening(GOOD, folder) as (port, _):
        reply = https.ask("127.0.0.1", port, QUESTION, https.trusting((folder / "old-root.pem").read_text()))
        assert (reply.hop, reply.status, "certificate" in reply.why) == ("trust", 200, True)
        assert https.ask("127.0.0.1", port, QUESTION, None) == Reply(status=200, said="this")


@pytest.mark.parametrize(
    ("says", "reply"),
    [
        (b"", Reply("http", "Remote end closed connection without response")),
        (b"SSH-2.0-x\r\n", Reply("http", "SSH-2.0-x\\x0d\\n")),
        (b"\x1b[31m 200\r\n", Reply("http", "\\x1b[31m 200\\x0d\\n")),
        (b"HTTP/1.1 99999 OK\r\n\r\n", Reply("http", "HTTP/1.1 99999 OK\\x0d\\n")),
        (b"HTTP/1.1 200 OK\r\nX-Answer: \x1b[31m\r\n\r\n", Reply(status=200, said="\\x1b[31m")),
        (b"HTTP/1.1 200 OK\r\nX-Answer: this\r\nX-Answer: this\r\n\r\n", Reply(status=200, said="this, this")),
        (b"HTTP/1.1 200 OK\r\nX-Answer: " + b"a" * 500 + b"\r\n\r\n", Reply(status=200, said="a" * 40 + "...")),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", Reply("http", "got more than 100 headers")),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70000, Reply("http", "got more than 65536 bytes when reading header line")),
    ],
)
def test_whatever_a_server_says_is_one_short_line(folder: Path, says: bytes, reply: Reply) -> None:
    with listening(says, folder) as (port, _):
        assert ask(port, folder) == reply


def test_a_port_that_is_closed_or_speaks_no_tls_is_named(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert https.reach("127.0.0.1", port) == ask(port, folder) == Reply("tcp", "Connection refused")
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as (port, _):
        assert https.reach("127.0.0.1", port) == Reply()
        assert ask(port, folder) == Reply("tls", "wrong version number")


def test_who_says_nothing_or_never_ends_is_left_alone_in_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(https, "ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        assert ask(port, folder) == Reply("tls", "timed out")
    with listening(b"", folder, endless=b"HTTP/1.1 100 Continue\r\n\r\n") as (port, _):
        assert ask(port, folder).hop == "http"
    begun = time.monotonic()
    assert https.together({"slow": lambda: time.sleep(2), "fast": lambda: None}, 0.2) == {"fast": None}
    assert time.monotonic() - begun < 1.5


def test_an_address_to_which_this_machine_has_no_way_is_no_fault_of_the_server(folder: Path) -> None:
    # A network for documentation: it is public, and nobody here has an address of the kind, or a way there.
    assert https.reach("255.255.255.255", 443).hop == "route"
    assert https.reach("fe80::1%nowhere", 443).hop == "route"


def test_names_resolve_to_addresses_or_to_none() -> None:
    assert "127.0.0.1" in https.addresses("localhost")
    for name in ("no-such-name.invalid", "a" * 64 + ".example", "a..b", ""):
        assert https.addresses(name) in ((), https.addresses("localhost")), name


def test_calls_are_made_together() -> None:
    def call(number: int) -> int:
        time.sleep(0.2)
        return number

    begun = time.monotonic()
    assert https.together({each: partial(call, each) for each in range(20)}, 5) == {each: each for each in range(20)}
    assert time.monotonic() - begun < 2
