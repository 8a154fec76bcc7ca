"""What nginx says to browsers, and what it is itself allowed, on a real server."""

from subprocess import run

import pytest

from tests.lab.conftest import Controller, shell
from tests.lab.refusals import ADDRESS, DOMAIN, SERVER
from tests.lab.safe_site import POLICY

pytest_plugins = ("tests.lab.safe_site",)

SENT = {
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "strict-origin-when-cross-origin",
    "permissions-policy": "bluetooth=(), hid=(), midi=(), serial=(), usb=()",
    "content-security-policy": POLICY,
}


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
