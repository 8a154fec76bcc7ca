"""A host's web server, as its clients see it."""

import http.client
import socket
import ssl
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from provision import inventory
from provision.inventory import App
from provision.resources.certificate import link

SECONDS = 15


@dataclass(frozen=True)
class Site:
    """A host's web server, as clients reach it. `trusted` has the root certificates in PEM; None means the system's.

    `forwarded` maps the server's ports to other ports of the address.
    """

    address: str
    forwarded: dict[int, int] = field(repr=False)
    trusted: str | None = field(repr=False)

    def careful(self) -> ssl.SSLContext:
        """A client that checks the certificate."""
        context = ssl.create_default_context(cadata=self.trusted)
        if self.trusted is not None:
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    def careless(self) -> ssl.SSLContext:
        """A client that accepts any certificate."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context

    def dial(self, port: int) -> socket.socket:
        """A TCP connection to one of the server's ports."""
        port = self.forwarded.get(port, port)
        try:
            return socket.create_connection((self.address, port), SECONDS)
        except OSError as error:
            pytest.fail(f"{self.address} port {port}: {error.strerror or error}", pytrace=False)

    def connect(self, domain: str, context: ssl.SSLContext) -> ssl.SSLSocket:
        """A TLS connection for a domain; raises what the handshake raises."""
        plain = self.dial(443)
        try:
            return context.wrap_socket(plain, server_hostname=domain)
        except BaseException:
            plain.close()
            raise

    def certificate(self, domain: str) -> bytes:
        """The certificate that the server sends, trusted or not, in DER."""
        with self.connect(domain, self.careless()) as connection:
            return connection.getpeercert(binary_form=True) or b""

    def https(self, domain: str, path: str) -> http.client.HTTPResponse:
        """The answer over HTTPS, whatever the certificate: other checks are about that."""
        connection = http.client.HTTPSConnection(domain, timeout=SECONDS)
        connection.sock = self.connect(domain, self.careless())
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse()

    def http(self, domain: str, path: str) -> http.client.HTTPResponse:
        """The answer over plain HTTP."""
        connection = http.client.HTTPConnection(domain, timeout=SECONDS)
        connection.sock = self.dial(80)
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse()


@pytest.fixture
def acme(declared: inventory.Host) -> bool:
    """Whether certificates come from an ACME authority."""
    return declared.tls.issuer not in ("self-signed", "files") and "tls" in declared.roles


@pytest.fixture
def site(declared: inventory.Host, host: Any, app: App, acme: bool) -> Site:
    """The host's web server; its clients trust what the inventory's issuer signs."""
    # The address of a host behind a jump host is for those who jump; clients use its name.
    address = app.domains[0] if declared.proxy_jump else declared.address
    site = partial(Site, address, declared.forwarded)
    given = declared.tls.issuer == "files" and "tls" in declared.roles
    if not acme and not given:
        return site(host.check_output("cat %s", f"/etc/ssl/provision/placeholder/{app.name}/fullchain.pem"))
    if declared.tls.root_ca:
        return site(declared.tls.root_ca.read_text())
    if declared.tls.issuer == "letsencrypt-staging":
        return site(host.check_output("cat %s", f"{link(app.name)}/fullchain.pem"))
    return site(None)
