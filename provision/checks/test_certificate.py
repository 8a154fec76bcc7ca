"""The certificate that clients get."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509

from provision.resources.certificate import RENEW_BELOW, link
from provision.roles.tls import DIRECTORIES

if TYPE_CHECKING:
    from provision import inventory
    from provision.checks.web import Site
    from provision.inventory import App

pytestmark = pytest.mark.role("web")


def served(site: Site, app: App) -> dict[str, x509.Certificate]:
    """The certificate that is served for each of the app's domains."""
    return {domain: x509.load_der_x509_certificate(site.certificate(domain)) for domain in app.asked}


def test_clients_trust_the_certificate_for_every_domain(site: Site, app: App) -> None:
    for domain in app.asked:
        site.connect(domain, site.careful()).close()


def test_the_certificate_names_exactly_the_apps_domains(declared: inventory.Host, site: Site, app: App) -> None:
    for certificate in served(site, app).values():
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        on_it = names.get_values_for_type(x509.DNSName)
        if declared.tls.issuer == "files":
            assert all(declared.tls.covers(domain) for domain in app.domains), on_it
        else:
            assert sorted(on_it) == sorted(app.domains)


def test_the_certificate_does_not_expire_soon(site: Site, app: App) -> None:
    for certificate in served(site, app).values():
        left = certificate.not_valid_after_utc - datetime.now(UTC)
        assert left > timedelta(days=RENEW_BELOW), f"{left.days} days are left"


def test_the_certificate_is_the_issuers(declared: inventory.Host, host: Any, app: App, site: Site, acme: bool) -> None:
    folder = host.run("readlink %s", link(app.name)).stdout.strip()
    if declared.tls.issuer == "files" and "tls" in declared.roles:
        assert folder.startswith(f"files/{app.name}@")
        given = x509.load_pem_x509_certificate(declared.tls.chain.encode())
        assert set(served(site, app).values()) == {given}
        return
    if not acme:
        assert folder == f"placeholder/{app.name}"
        return
    live, _, lineage = folder.rpartition("/")
    assert live == "/etc/letsencrypt/live"
    issuer = declared.tls.issuer
    renewal = host.check_output("cat %s", f"/etc/letsencrypt/renewal/{lineage}.conf")
    assert f"server = {DIRECTORIES.get(issuer, issuer)}" in renewal.splitlines()
    for certificate in served(site, app).values():
        name = certificate.issuer.rfc4514_string()
        if issuer in DIRECTORIES:
            assert "Let's Encrypt" in name
            assert ("STAGING" in name) == (issuer == "letsencrypt-staging"), name
        else:
            assert certificate.issuer != certificate.subject, "it is self-signed"


def test_nginx_serves_the_certificate_that_is_on_disk(host: Any, app: App, site: Site) -> None:
    kept = x509.load_pem_x509_certificate(host.check_output("cat %s", f"{link(app.name)}/fullchain.pem").encode())
    for domain, certificate in served(site, app).items():
        assert certificate == kept, f"{domain} has an older one: systemctl reload nginx"


def test_the_private_key_is_roots_alone(host: Any, app: App) -> None:
    path = host.check_output("readlink -f %s", f"{link(app.name)}/privkey.pem")
    key = host.file(path)
    assert (f"{key.mode:o}", key.user, key.group) == ("600", "root", "root"), path


@pytest.mark.role("tls")
def test_certificates_are_renewed_by_a_timer(host: Any, declared: inventory.Host, acme: bool) -> None:
    if not acme:
        pytest.skip("only an ACME authority's certificate is renewed")
    timer = host.service("certbot.timer")
    assert timer.is_enabled, "certbot.timer would not start at boot"
    assert timer.is_running, "certbot.timer does not run"
