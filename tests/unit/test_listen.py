"""What a server says is heard whole, or refused: over a real SSH connection, whose other end is a thread of the test."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import paramiko
import pytest
from paramiko.common import AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from provision.controller import listen
from provision.errors import ConnectionLost, RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Say = Callable[[paramiko.Channel], object]
    Listen = Callable[[Say], paramiko.Channel]

SECONDS = 10


class Server(paramiko.ServerInterface):
    """Lets everybody in, and says what it is told to, whatever the command."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.asked = threading.Event()

    def check_auth_none(self, username: str) -> int:
        return AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._run, args=(channel,), daemon=True).start()
        return True

    def _run(self, channel: paramiko.Channel) -> None:
        # What is said before the request is answered would be an answer to that.
        self.asked.wait(SECONDS)
        with suppress(OSError, EOFError):
            self.say(channel)


@pytest.fixture(scope="module")
def key() -> paramiko.ECDSAKey:
    return paramiko.ECDSAKey.generate()


@pytest.fixture
def connect(key: paramiko.ECDSAKey) -> Iterator[Listen]:
    """Opens a channel to a command that says something."""
    ends: list[paramiko.Transport] = []

    def opened(say: Say) -> paramiko.Channel:
        here, there = map(paramiko.Transport, socket.socketpair())
        ends.extend((here, there))
        there.add_server_key(key)
        server = Server(say)
        there.start_server(threading.Event(), server)
        here.start_client(timeout=SECONDS)
        here.auth_none("me")
        channel = here.open_session()
        channel.exec_command("anything")
        server.asked.set()
        return channel

    yield opened
    for end in ends:
        end.close()


def saying(stdout: bytes = b"", stderr: bytes = b"", status: int | None = 0) -> Say:
    """Says this and ends, unless without an exit status."""

    def say(channel: paramiko.Channel) -> None:
        channel.sendall_stderr(stderr)
        channel.sendall(stdout)
        if status is not None:
            channel.send_exit_status(status)
            channel.close()

    return say


def answer(channel: paramiko.Channel, seconds: float = SECONDS) -> tuple[str, str]:
    return listen.answer(channel, "web1", seconds)


def streamed(channel: paramiko.Channel, limit: int = 0) -> list[str]:
    return list(listen.stream(channel, "web1", bytearray(), limit))


def test_an_answer_is_all_that_is_said_without_control_characters(connect: Listen) -> None:
    said = b"one\n\x1b[2J\ttwo\r\n" + b"x" * 300_000
    channel = connect(saying(said, b"\x07why", status=3))
    assert answer(channel) == ("one\n\\x1b[2J\ttwo\\x0d\n" + "x" * 300_000, "\\x07why")
    assert channel.recv_exit_status() == 3


def test_of_errors_the_first_are_kept_and_the_rest_holds_nothing_up(connect: Listen) -> None:
    stdout, stderr = answer(connect(saying(b"done\n", b"e" * (3 << 20))))
    assert (stdout, stderr) == ("done\n", "e" * listen.ERROR_BYTES)


@pytest.mark.parametrize("said", [b"x" * (listen.ANSWER_BYTES + 1), b"\n" * (listen.ANSWER_LINES + 1)])
def test_an_answer_that_is_too_long_is_refused(connect: Listen, said: bytes) -> None:
    channel = connect(saying(said))
    with pytest.raises(RunError, match=r"^web1 says more than an answer has \(4 MB\)"):
        answer(channel)
    assert channel.closed


def words(channel: paramiko.Channel) -> None:
    """Says something all the time."""
    while True:
        channel.sendall(b"word\n")
        threading.Event().wait(0.05)


def no_status(channel: paramiko.Channel) -> None:
    """Says all of it, and never what came of it."""
    channel.sendall(b"all of it\n")
    channel.shutdown_write()


@pytest.mark.parametrize("say", [lambda _: None, words, no_status, saying(b"all of it\n", status=None)])
def test_an_answer_without_an_end_is_waited_for_no_longer_than_it_may_take(connect: Listen, say: Say) -> None:
    channel = connect(say)
    with pytest.raises(ConnectionLost, match=r"^web1 did not answer within 0 seconds$"):
        answer(channel, 0.4)
    assert channel.closed


def test_lines_come_one_by_one_and_the_last_one_needs_no_end(connect: Listen) -> None:
    assert streamed(connect(saying(b"one\n\n\x1btwo\nthree"))) == ["one", "", "\\x1btwo", "three"]
    assert streamed(connect(saying(b"one\n"))) == ["one"]


def test_a_line_is_there_before_the_next_one_is_said(connect: Listen) -> None:
    heard = threading.Event()

    def say(channel: paramiko.Channel) -> None:
        channel.sendall(b"one\nhalf of ")
        channel.sendall(b"two\n" if heard.wait(SECONDS) else b"nothing\n")
        saying()(channel)

    lines = listen.stream(connect(say), "web1", bytearray())
    assert next(lines) == "one"
    heard.set()
    assert list(lines) == ["half of two"]


@pytest.mark.parametrize("end", [b"", b"\nnext\n"])
def test_a_line_that_is_too_long_is_cut_and_the_next_one_is_whole(connect: Listen, end: bytes) -> None:
    first, *rest = streamed(connect(saying(b"x" * 1_000_000 + end)))
    assert first == "x" * listen.LINE_BYTES
    assert rest == (["next"] if end else [])


def test_a_stream_has_as_many_bytes_as_it_may(connect: Listen) -> None:
    assert len(streamed(connect(saying(b"x\n" * 500)), limit=1000)) == 500
    with pytest.raises(RunError, match=r"says more than a run has .*: the run goes on on the server"):
        streamed(connect(saying(b"x\n" * 501)), limit=1000)


def test_what_stands_before_a_mark_is_told_from_what_follows(connect: Listen) -> None:
    channel = connect(saying(b"a greeting\nMARK\nthe rest"))
    assert listen.until(channel, "MARK\n") == ("a greeting\n", True)
    assert channel.recv(100) == b"the rest"


def test_where_no_mark_comes_the_end_of_what_was_said_is_known(connect: Listen) -> None:
    said, found = listen.until(connect(saying(b"x" * 9000 + b"the end", status=1)), "MARK\n")
    assert (len(said), said[-8:], found) == (4096, "xthe end", False)
