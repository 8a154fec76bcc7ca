"""Attacks on a site from outside, bounded: a well-behaved client is not hurt, and nothing leaks or passes as somebody else's."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from provision import lab
from tests.lab import intruder
from tests.lab.conftest import SUITE, shell
from tests.lab.refusals import DOMAIN, REQUIREMENTS, SERVER, Declared
from tests.lab.repository import Repository

pytest_plugins = ("tests.lab.refusals",)

CANARY = "canary-5ad1e0c7"
CALM = "10.213.0.1"
LIMITS = {"requests": 20, "burst": 100, "connections": 50}
# What a client may notice, in seconds, on a machine that attacker, server, client and other tests share. Without limits it is more.
FLOOR = 1.0
APP = """\
from fastapi import FastAPI, Request

app = FastAPI()


@app.api_route("/{path:path}", methods=["GET", "POST", "PUT"])
async def echo(path: str, request: Request):
    body = await request.body()
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers.raw]
    return {"method": request.method, "path": path, "headers": headers, "body": body.decode("latin-1")}
"""


@pytest.fixture(scope="module", autouse=True)
def site(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The app, which answers with what it was asked, behind limits."""
    repository.commit(
        {"main.py": APP, "requirements.txt": REQUIREMENTS, "files/a.txt": "a file\n", "files/.env": f"{CANARY}\n"}
    )
    lab.reset(SERVER, SUITE, used=True)
    declared = Declared(tmp_path_factory.mktemp("inventory"), repository)
    wanted = {"python": "system", "limits": LIMITS, "static": {"/files": "files"}, "max_body": "1m", "workers": 2}
    declared(wanted | {"environment": {"SECRET": CANARY}}).deploy(SERVER)
    with intruder.present():
        yield


def heard(answer: str) -> dict[str, Any]:
    """What the app says that it was asked, in an answer."""
    content: dict[str, Any] = json.loads(answer.partition("\r\n\r\n")[2])
    return content


def values(answer: str, name: str) -> list[str]:
    """The values of a header, as the app got them."""
    return [value for each, value in heard(answer)["headers"] if each == name]


def busy(attack: Callable[[], object]) -> list[float]:
    """How long a well-behaved client's requests take while an attack goes on, again and again."""
    ended = threading.Event()

    def go() -> None:
        while not ended.is_set():
            attack()

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    try:
        return intruder.times(60, CALM)
    finally:
        ended.set()
        thread.join(120)


def test_a_burst_is_cut_off() -> None:
    found = intruder.burst(2000)
    assert {*found} == {"200", "429"}
    assert LIMITS["burst"] <= found["200"] < 500, found


@pytest.mark.parametrize(
    "attack",
    [lambda: intruder.burst(2000), lambda: intruder.reset_rapidly(2000)],
    ids=["a burst of 2,000 requests", "2,000 requests that are taken back"],
)
def test_a_client_is_not_hurt_by_what_another_does(attack: Callable[[], object]) -> None:
    calm = intruder.times(60, CALM)
    during = busy(attack)
    assert during[-1] <= max(2 * calm[-1], calm[-1] + FLOOR), (calm[-1], during[-1])


def test_a_hundred_slow_connections_hurt_nobody_and_are_ended() -> None:
    calm = intruder.times(30, CALM)
    with intruder.slow(100) as opened:
        during = intruder.times(30, CALM)
        assert during[-1] <= max(2 * calm[-1], calm[-1] + FLOOR), (calm[-1], during[-1])
        # client_header_timeout: nginx ends them, with 408 or without an answer.
        for one in opened:
            one.settimeout(30)
            assert not (answer := one.recv(100)) or b" 408 " in answer
    assert intruder.times(5, CALM)


@pytest.mark.parametrize(
    ("ask", "statuses"),
    [
        (lambda: intruder.asked(f"X-Long: {'a' * 40000}"), ("400", "431")),
        (lambda: intruder.asked(path=f"/{'a' * 40000}"), ("414",)),
        (lambda: intruder.asked("Content-Length: 2000000", method="POST", body="a"), ("413",)),
        (lambda: intruder.asked("Transfer-Encoding: xchunked", method="POST"), ("400", "501")),
        (lambda: intruder.said(f"GET / HTTP/1.1\r\nHost: {DOMAIN}\r\nHost: other.test\r\n\r\n"), ("400",)),
        (lambda: intruder.said("GET / HTTP/1.1\r\n\r\n"), ("400",)),
        (lambda: intruder.said(f"GET / HTTP/1.1\r\nHost: {DOMAIN}\r\nX Y: 1\r\n\r\n"), ("400",)),
    ],
    ids=["long header", "long path", "large body", "unknown encoding", "two hosts", "no host", "blank in a name"],
)
def test_what_is_too_large_or_malformed_does_not_reach_the_app(
    ask: Callable[[], str], statuses: tuple[str, ...]
) -> None:
    answer = ask()
    # Where nginx has not read all of it, the end of the connection may overtake the answer.
    assert not answer or answer.split(" ")[1] in statuses, answer[:300]
    assert '"headers"' not in answer


def test_a_request_within_a_request_is_not_a_request() -> None:
    inner = f"GET /smuggled HTTP/1.1\r\nHost: {DOMAIN}\r\n\r\n"
    both = ("Content-Length: 4", "Transfer-Encoding: chunked")
    for lines in (both, both[::-1]):
        answer = intruder.said("\r\n".join(("POST / HTTP/1.1", f"Host: {DOMAIN}", *lines, "", f"0\r\n\r\n{inner}")))
        assert answer.startswith("HTTP/1.1 400 "), answer[:300]
        assert "smuggled" not in answer
    assert "smuggled" not in shell(SERVER, "cat /var/log/nginx/access.log")


def test_what_a_client_says_of_itself_is_not_believed() -> None:
    answer = intruder.asked(
        "X-Forwarded-For: 127.0.0.1",
        "X-Real-IP: 127.0.0.1",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: evil.test",
        "X_Forwarded_For: 127.0.0.1",
        "X-Provision-Asks: yes",
    )
    assert values(answer, "x-forwarded-for") == values(answer, "x-real-ip") == [intruder.OWN]
    assert (values(answer, "x-forwarded-proto"), values(answer, "x-forwarded-host")) == (["https"], [DOMAIN])
    assert values(answer, "x_forwarded_for") == []
    assert "x-provision-release: /" not in answer.lower()


@pytest.mark.parametrize(
    "path",
    [
        "/files/../../../../etc/passwd",
        "/files/..%2f..%2f..%2f..%2fetc/passwd",
        "/files/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/files/....//....//etc/passwd",
        "/files/a.txt%00.html",
        "/files/.env",
        "/.env",
        "/.git/config",
        "//etc/passwd",
    ],
)
def test_no_path_leads_out_of_what_is_served(path: str) -> None:
    answer = intruder.asked(path=path)
    assert "root:x:" not in answer
    assert CANARY not in answer
    # Where the app answers, it was asked; nothing came from the disk.
    assert answer.split(" ")[1] in ("400", "404") or '"headers"' in answer, answer[:300]
