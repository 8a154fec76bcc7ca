"""The endpoints for deployment tests."""

import time

import pytest
from fastapi.testclient import TestClient

from sample_app.main import create_app
from sample_app.settings import Settings


def test_whoami_tells_what_the_server_told(migrated: Settings) -> None:
    with TestClient(create_app(migrated), "https://app.example", client=("203.0.113.7", 5000)) as client:
        answer = client.get("/whoami").json()
    assert (answer["client"], answer["scheme"], answer["host"]) == ("203.0.113.7", "https", "app.example")


def test_slow_is_as_slow_as_asked(client: TestClient) -> None:
    started = time.monotonic()
    assert client.get("/slow", params={"seconds": 0.2}).json()["seconds"] == 0.2
    assert time.monotonic() - started >= 0.2


@pytest.mark.parametrize("path", ["/slow?seconds=31", "/slow?seconds=-1", "/slow?seconds=nan", "/slow?seconds=inf"])
def test_slow_has_bounds(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 422


def test_a_stream_comes_line_by_line_and_past_buffers(client: TestClient) -> None:
    with client.stream("GET", "/stream", params={"lines": 3, "interval": 0}) as answer:
        assert answer.headers["x-accel-buffering"] == "no"
        assert list(answer.iter_lines()) == ["line 1 of 3", "line 2 of 3", "line 3 of 3"]


@pytest.mark.parametrize("path", ["/stream?lines=101", "/stream?lines=0", "/stream?interval=2"])
def test_a_stream_has_bounds(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 422


def test_the_websocket_echoes(client: TestClient) -> None:
    with client.websocket_connect("/ws") as socket:
        for text in ("one", "zwei", "三"):
            socket.send_text(text)
            assert socket.receive_text() == text
