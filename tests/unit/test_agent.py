from __future__ import annotations

import os
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from provision.controller.agent import Agent, has_keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REQUEST_IDENTITIES = b"\0\0\0\1\x0b"
IDENTITIES_ANSWER = 12


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An SSH agent of the test's own, with a key."""
    path, key = tmp_path / "agent", tmp_path / "key"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    try:
        deadline = time.monotonic() + 10
        while not path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        subprocess.run(["ssh-add", "-q", key], check=True)
        yield path
    finally:
        process.terminate()
        process.wait()


def ask(forwarded: Agent) -> bytes:
    """What a server is answered that asks for the agent's keys."""
    server, here = socket.socketpair()
    channel: Any = here
    with server:
        server.settimeout(10)
        forwarded(channel)
        try:
            server.sendall(REQUEST_IDENTITIES)
            return server.recv(1 << 14)
        except BrokenPipeError:
            return b""


def test_the_agent_answers_a_server_until_it_is_closed(agent: Path) -> None:
    forwarded = Agent()
    for _ in range(2):
        answer = ask(forwarded)
        assert (answer[4], int.from_bytes(answer[5:9])) == (IDENTITIES_ANSWER, 1)
    forwarded.close()
    assert ask(forwarded) == b""


def test_an_agent_counts_only_with_a_key_in_it(agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_keys()
    subprocess.run(["ssh-add", "-q", "-D"], check=True, env=os.environ)
    assert not has_keys()
    monkeypatch.setenv("SSH_AUTH_SOCK", f"{agent}-gone")
    assert not has_keys()
    assert ask(Agent()) == b""
    monkeypatch.delenv("SSH_AUTH_SOCK")
    assert not has_keys()
