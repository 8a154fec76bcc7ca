"""Each check once for every host, and for every app where it asks for one; what it expects is what the inventory says."""

import http.client
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from provision import inventory
from provision.inventory import App
from provision.resources.certificate import link
from provision.verification import Verification

SECONDS = 15
As = Callable[[str, str], bool]


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Without hosts to check, nothing here is a test: `invoke verify` brings them."""
    return None if any(plugins(config)) else True


def plugins(config: pytest.Config) -> list[Verification]:
    return [plugin for plugin in config.pluginmanager.get_plugins() if isinstance(plugin, Verification)]


def verification(config: pytest.Config) -> Verification:
    return plugins(config)[0]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    roles = {marker.args[0] for marker in metafunc.definition.iter_markers("role")}
    hosts = [host for host in verification(metafunc.config).hosts if roles <= set(host.roles)]
    if "app" in metafunc.fixturenames:
        pairs = [pytest.param(host, app, id=f"{host.name}-{app.name}") for host in hosts for app in host.apps.values()]
        metafunc.parametrize(("declared", "app"), pairs)
    else:
        metafunc.parametrize("declared", [pytest.param(host, id=host.name) for host in hosts])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A check that is for no host here is left out, rather than shown as skipped."""
    if not plugins(config):
        return
    items[:] = [item for item in items if isinstance(_declared(item), inventory.Host)]
    for item in items:
        item.user_properties.append(("host", _declared(item).name))


def _declared(item: pytest.Item) -> Any:
    return (
        item.callspec.params.get("declared")
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
        else None
    )


@pytest.fixture
def host(declared: inventory.Host, request: pytest.FixtureRequest) -> Any:
    """The server, as testinfra shows it to root."""
    return verification(request.config).remotes[declared.name]


@pytest.fixture
def succeeds_as(host: Any) -> As:
    """Whether a command succeeds for a user of the server."""

    def succeeds(user: str, command: str) -> bool:
        words = 'setpriv --reuid=%s --regid="$(id -g %s)" --init-groups sh -c %s'
        done = host.run(words, user, user, f"if {command}; then echo yes; else echo no; fi")
        assert done.stdout.strip() in ("yes", "no"), f"{command}, as {user}: {done.stderr.strip()}"
        return bool(done.stdout.strip() == "yes")

    return succeeds


@dataclass(frozen=True)
class Slot:
    """The slot that has the traffic."""

    host: Any
    app: App
    name: str

    @property
    def unit(self) -> str:
        return f"{self.app.name}@{self.name}.service"

    @property
    def other(self) -> str:
        return f"{self.app.name}@{'green' if self.name == 'blue' else 'blue'}.service"

    @property
    def folder(self) -> str:
        return f"/etc/{self.app.name}/{self.name}"

    def main_process(self) -> int:
        """0 where none runs."""
        return int(self.host.check_output("systemctl show -p MainPID --value %s", self.unit))

    def health(self) -> str:
        """The HTTP status of the health check on the slot's own socket; 000 where nothing answers."""
        path = f"/run/{self.app.name}/{self.name}.sock"
        url = f"http://localhost{self.app.health.path}"
        words = "curl -s -o /dev/null -m 10 -w '%%{http_code}' --unix-socket %s %s"
        return str(self.host.run(words, path, url).stdout)

    def processes(self) -> list[tuple[int, set[str]]]:
        """The main process first, then its workers: each one's id, and the ids of the users that it runs as."""
        main = self.main_process()
        assert main, f"{self.unit} has no main process"
        shown = self.host.check_output("cat /proc/[0-9]*/status 2>/dev/null | grep -E '^(Pid|PPid|Uid):'").split("\n")
        found = []
        for number, parent, users in zip(shown[::3], shown[1::3], shown[2::3], strict=True):
            if str(main) in (number.split()[1], parent.split()[1]):
                found.append((int(number.split()[1]), set(users.split()[1:])))
        return sorted(found, key=lambda process: process[0] != main)

    def returns(self, before: int, seconds: float) -> bool:
        """Whether another main process is there and healthy in time. A unit that has ended for good is not waited for."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.host.run("systemctl is-active %s", self.unit).stdout.strip() in ("inactive", "failed"):
                return False
            if self.main_process() not in (0, before) and self.health() == "200":
                return True
            time.sleep(0.2)
        return False


@pytest.fixture
def slot(host: Any, app: App) -> Slot:
    target = host.run("readlink %s", f"/run/{app.name}/current.sock").stdout.strip()
    name = target.removesuffix(".sock")
    assert name in ("blue", "green"), f"/run/{app.name}/current.sock leads to no slot: {target or 'it is not there'}"
    return Slot(host, app, name)


@dataclass(frozen=True)
class Site:
    """A host's web server, as clients reach it. `trusted` are the certificates that end a chain: a file's text, or the system's.

    `forwarded` are the server's ports that have another number at the address.
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
        """A client that takes any certificate."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context

    def dial(self, port: int) -> socket.socket:
        port = self.forwarded.get(port, port)
        try:
            return socket.create_connection((self.address, port), SECONDS)
        except OSError as error:
            pytest.fail(f"{self.address} port {port}: {error.strerror or error}", pytrace=False)

    def connect(self, domain: str, context: ssl.SSLContext) -> ssl.SSLSocket:
        plain = self.dial(443)
        try:
            return context.wrap_socket(plain, server_hostname=domain)
        except BaseException:
            plain.close()
            raise

    def certificate(self, domain: str) -> bytes:
        """The certificate that is served, trusted or not, in DER."""
        with self.connect(domain, self.careless()) as connection:
            return connection.getpeercert(binary_form=True) or b""

    def https(self, domain: str, path: str) -> http.client.HTTPResponse:
        """The answer, to a client that takes any certificate: that one is checked on its own."""
        connection = http.client.HTTPSConnection(domain, timeout=SECONDS)
        connection.sock = self.connect(domain, self.careless())
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse()

    def http(self, domain: str, path: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(domain, timeout=SECONDS)
        connection.sock = self.dial(80)
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse()


@pytest.fixture
def acme(declared: inventory.Host) -> bool:
    """Whether certificates come from an ACME authority."""
    return declared.tls.issuer != "self-signed" and "tls" in declared.roles


@pytest.fixture
def site(declared: inventory.Host, host: Any, app: App, acme: bool) -> Site:
    # A host behind a jump host has an address for those who jump; its clients come by name.
    address = app.domains[0] if declared.proxy_jump else declared.address
    site = partial(Site, address, declared.forwarded)
    if not acme:
        return site(host.check_output("cat %s", f"/etc/ssl/provision/placeholder/{app.name}/fullchain.pem"))
    if declared.tls.root_ca:
        return site(declared.tls.root_ca.read_text())
    if declared.tls.issuer == "letsencrypt-staging":
        return site(host.check_output("cat %s", f"{link(app.name)}/fullchain.pem"))
    return site(None)
