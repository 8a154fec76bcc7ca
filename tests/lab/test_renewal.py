"""Certificates are renewed on request, and one that still serves outlives an issuer that is down, on a real server."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab.conftest import Answer, Controller, shell
from tests.lab.load import load
from tests.lab.refusals import ADDRESS, APP, DOMAIN, SERVER

pytest_plugins = ("tests.lab.safe_site",)
# What the lab's issuer listens on. Linux answers with an error at once, as for a closed port.
ISSUER = "to 10.213.0.1 ipproto tcp dport 14000"


def served() -> str:
    """The serial number of the certificate that clients get."""
    said = shell(
        SERVER,
        f"openssl s_client -connect {ADDRESS}:443 -servername {DOMAIN} </dev/null 2>/dev/null | openssl x509 -noout -serial",
    )
    return said.partition("=")[2]


def known(controller: Controller) -> dict[str, str]:
    """What tls.status says of the app's certificate."""
    answer = controller("tls.status", SERVER, "--json")
    assert answer.status == 0, answer.stderr
    (row,) = answer.host(SERVER)["tls.status"]
    found: dict[str, str] = row
    return found


@contextmanager
def issuer_down() -> Iterator[None]:
    """The server cannot reach its issuer."""
    shell(SERVER, f"ip rule add {ISSUER} unreachable")
    try:
        yield
    finally:
        shell(SERVER, f"ip rule del {ISSUER} unreachable")


def renew(controller: Controller, *options: str) -> Answer:
    return controller("tls.renew", SERVER, *options)


def test_a_forced_renewal_is_served_and_drops_no_request(safe: Controller) -> None:
    before = served()
    assert known(safe)["serial"] == before
    with load(ADDRESS, DOMAIN, 60, "/health") as seen:
        answer = renew(safe, "--force")
    assert answer.status == 0, answer.stdout + answer.stderr
    assert seen.lost() == []
    assert seen.requests > 20
    after = served()
    assert after != before
    assert f"{APP}: serves the certificate {after}" in answer.stdout
    row = known(safe)
    assert (row["app"], row["domains"], row["serial"], row["renewal"]) == (APP, DOMAIN, after, "certbot")
    assert row["renewed"]
    assert not row["failed"]
    assert "Pebble" in row["issuer"]
    assert safe.plan(SERVER).status == 0, "a deploy has nothing to do after it"


def test_an_issuer_is_not_asked_twice_within_an_hour(safe: Controller) -> None:
    before = served()
    answer = renew(safe, "--json")
    assert (answer.status, answer.document["ok"]) == (1, False)
    assert "less than an hour ago" in answer.host(SERVER)["error"]
    assert served() == before


def test_while_the_issuer_is_down_the_certificate_serves_on_and_it_is_said(safe: Controller) -> None:
    before = served()
    with issuer_down():
        answer = renew(safe, "--force")
    said = answer.stdout + answer.stderr
    assert answer.status == 1
    assert "gave no certificate, and the one that there is serves on" in said, said
    assert served() == before
    row = known(safe)
    assert row["failed"]
    assert row["serial"] == before
    assert "the certificate could not be renewed" in safe("status", SERVER).stderr
    assert safe.plan(SERVER).status == 0
    assert renew(safe).status == 0, "an issuer that gave none may be asked again"
    assert not known(safe)["failed"]


def test_a_deploy_goes_on_with_the_certificate_where_another_issuer_gives_none(safe: Controller) -> None:
    before, text = served(), safe.inventory.read_text()
    other = safe.with_text(text.replace(":14000/dir", ":14001/dir"), "elsewhere")
    answer = other("deploy", SERVER)
    assert answer.status == 0, answer.stdout + answer.stderr
    assert "gave no other certificate" in answer.stdout
    assert served() == before


def test_no_attempt_is_spent_where_the_issuer_would_find_nothing(safe: Controller) -> None:
    shell(SERVER, "chmod 700 /var/www/acme")
    size = shell(SERVER, "stat -c %s /var/log/letsencrypt/letsencrypt.log")
    try:
        answer = renew(safe, "--force")
    finally:
        shell(SERVER, "chmod 755 /var/www/acme")
    said = answer.stdout + answer.stderr
    assert answer.status == 1
    assert (
        f"http://{DOMAIN}/.well-known/acme-challenge/ at {ADDRESS}, port 80, is not answered by this server's nginx"
        in said
    )
    assert shell(SERVER, "stat -c %s /var/log/letsencrypt/letsencrypt.log") == size
    assert shell(SERVER, "ls -A /var/www/acme/.well-known/acme-challenge") == ""


@pytest.mark.parametrize("task", ["tls.status", "tls.renew"])
def test_an_app_that_no_host_has_is_named(safe: Controller, task: str) -> None:
    answer = safe(task, SERVER, "--app", "nobody")
    assert answer.status == 1
    assert 'has no app "nobody"' in answer.stdout + answer.stderr
