"""What clients get over HTTP and HTTPS."""

from __future__ import annotations

import http.client
import ssl
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from provision.resources.nginx import DEFAULT
from provision.roles.web import SETTINGS

if TYPE_CHECKING:
    from provision import inventory
    from provision.checks.web import Site
    from provision.inventory import App

pytestmark = pytest.mark.role("web")


@pytest.mark.role("app")
def test_every_domain_answers_the_health_check_over_https(site: Site, app: App) -> None:
    for domain in app.asked:
        status = site.https(domain, app.health.path).status
        assert status == 200, f"https://{domain}{app.health.path} answers {status}"


def test_http_leads_to_https(site: Site, app: App) -> None:
    for domain in app.asked:
        answer = site.http(domain, "/a/path?and=query")
        status, location = answer.status, answer.getheader("Location")
        assert status in (301, 308)
        assert location == f"https://{domain}/a/path?and=query"


def test_browsers_are_told_to_stay_with_https_where_the_inventory_says_so(
    declared: inventory.Host, site: Site, app: App
) -> None:
    wanted = declared.tls.hsts and "tls" in declared.roles and declared.tls.issuer != "self-signed"
    for domain in app.asked:
        header = site.https(domain, app.health.path).getheader("Strict-Transport-Security")
        assert ("max-age=" in (header or "")) == wanted, f"{domain} sends {header}"


@pytest.mark.host("tls.http3")
def test_browsers_are_told_of_http_3_and_nginx_listens_for_it(
    host: Any, declared: inventory.Host, site: Site, app: App
) -> None:
    told = site.https(app.asked[0], app.health.path).getheader("Alt-Svc") or ""
    listens = host.check_output("ss -Hlun 'sport = :443'") != ""
    assert ("h3=" in told, listens) == (True, True), f"Alt-Svc: {told}, listens: {listens}"


def test_tls_1_1_is_refused(host: Any, site: Site, app: App) -> None:
    context = site.careless()
    try:
        with warnings.catch_warnings(action="ignore"):
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
            context.set_ciphers("ALL:@SECLEVEL=0")
        site.connect(app.domains[0], context).close()
    except (ssl.SSLError, ValueError) as error:
        if getattr(error, "reason", "") == "TLSV1_ALERT_PROTOCOL_VERSION":
            return
        # This machine's OpenSSL cannot speak TLS 1.1: go by the configuration that this toolkit's sites share.
        shown = host.file(SETTINGS).content_string
        lines = [line.split() for line in shown.replace(";", " ").splitlines() if "ssl_protocols" in line]
        assert lines
        assert all({*line} <= {"ssl_protocols", "TLSv1.2", "TLSv1.3"} for line in lines), lines
    else:
        pytest.fail("a handshake with TLS 1.1 was accepted")


def test_a_name_that_is_not_served_gets_no_answer(host: Any, site: Site) -> None:
    if "443 ssl default_server" not in host.file(DEFAULT).content_string:
        # A site of somebody else's answers to all names that no site has.
        return
    with pytest.raises(http.client.RemoteDisconnected):
        site.https("not-served.invalid", "/")
