"""What nginx says to browsers, and what it is itself allowed, on a real server."""

from collections.abc import Iterator
from subprocess import run

import pytest

from provision import lab
from tests.lab import refusals
from tests.lab.conftest import Controller, shell
from tests.lab.refusals import ADDRESS, DOMAIN, SERVER, Declared
from tests.lab.repository import Repository

MAIN = """\
import os

from fastapi import FastAPI
from fastapi.responses import JSONResponse

app = FastAPI()
OWN = {"X-Frame-Options": "DENY", "Content-Security-Policy": "default-src 'none'", "Referrer-Policy": "no-referrer"}


@app.get("/health")
def health():
    return {"greeting": "hello", "release": os.environ["PROVISION_RELEASE"]}


@app.get("/own")
def own():
    return JSONResponse("mine", headers=OWN)


@app.get("/broken")
def broken():
    return JSONResponse("broken", 500)
"""
POLICY = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'"
SENT = {
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "strict-origin-when-cross-origin",
    "permissions-policy": "bluetooth=(), hid=(), midi=(), serial=(), usb=()",
    "content-security-policy": POLICY,
}


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    """The app on a bare server, with static files, a policy of the inventory's and the modern profile."""
    repository = Repository.create(f"safe-{SERVER}", tmp_path_factory.mktemp("repository") / "tree")
    repository.commit({"main.py": MAIN, "requirements.txt": refusals.REQUIREMENTS, "files/a.txt": "a file\n"})
    declared = Declared(tmp_path_factory.mktemp("inventory"), repository)
    tls = refusals.lab_values()["tls"] | {"hsts": "subdomains", "profile": "modern"}
    wanted = {
        "python": "system",
        "static": {"/files": "files"},
        "headers": {"content_security_policy": POLICY},
        "health": {"watch": 0},
    }
    lab.reset(SERVER, used=True)
    controller = declared(wanted, tls=tls)
    controller.deploy(SERVER)
    yield controller
    repository.remove()


def ask(path: str, *options: str, address: str = ADDRESS) -> tuple[int, list[tuple[str, str]]]:
    """The status, and all headers of an answer in their order, with names in lower case."""
    words = ("curl", "-sk", "-m", "20", "--resolve", f"{DOMAIN}:443:{address}", "-o", "/dev/null", "-D", "-", *options)
    said = run((*words, f"https://{DOMAIN}{path}"), capture_output=True, text=True, check=True, timeout=30).stdout
    lines = said.strip().splitlines()
    headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
    return int(lines[0].split()[1]), [each for each in headers if each[0] in {*SENT}]


@pytest.mark.parametrize(
    ("path", "status"), [("/health", 200), ("/files/a.txt", 200), ("/nothing", 404), ("/broken", 500)]
)
def test_every_answer_has_each_header_once(safe: Controller, path: str, status: int) -> None:
    assert ask(path) == (status, [*SENT.items()])


def test_what_the_app_says_itself_wins_and_is_said_once(safe: Controller) -> None:
    status, headers = ask("/own")
    own = {
        "x-frame-options": "DENY",
        "content-security-policy": "default-src 'none'",
        "referrer-policy": "no-referrer",
    }
    assert status == 200
    assert sorted(headers) == sorted((SENT | own).items())


def test_nginxs_own_pages_have_them_too(safe: Controller) -> None:
    assert safe("maintenance.on", SERVER).status == 0
    assert ask("/health") == (503, [*SENT.items()])
    assert safe("maintenance.off", SERVER).status == 0
    assert ask("/health", "-H", "Content-Length: 99999999", "-X", "POST", "-d", "x") == (413, [*SENT.items()])
    shell(SERVER, "systemctl stop 'refusals@*.socket' 'refusals@*.service'")
    assert ask("/health") == (502, [*SENT.items()])
    shell(SERVER, "systemctl start refusals@$(basename $(readlink /run/refusals/current.sock) .sock).socket")
    assert ask("/health")[0] == 200


def test_the_modern_profile_speaks_tls_1_3_alone(safe: Controller) -> None:
    def connects(version: str) -> bool:
        words = ("openssl", "s_client", "-connect", f"{ADDRESS}:443", "-servername", DOMAIN, version)
        return run(words, input="", capture_output=True, text=True, timeout=20).returncode == 0

    assert (connects("-tls1_3"), connects("-tls1_2")) == (True, False)
