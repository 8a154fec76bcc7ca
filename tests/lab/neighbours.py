"""Sites of somebody else's on a server's nginx, and who asks them all the time."""

import http.client
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.lab.again import busy
from tests.lab.conftest import shell
from tests.lab.refusals import ADDRESS, SERVER

INSTALL = "export DEBIAN_FRONTEND=noninteractive; apt-get -qq update && apt-get -qq -y install --no-install-recommends"
OTHER, SECOND = "other.example.com", "second.example.com"
# They share a port with ours, have a map that many have, and no HTTP/2.
SITES = """\
map $http_upgrade $connection_upgrade {{ default upgrade; "" close; }}
server {{
    listen 80{default};
    listen [::]:80{default};
    listen 443 ssl{default};
    listen [::]:443 ssl{default};
    server_name {other};
    ssl_certificate /etc/ssl/other.pem;
    ssl_certificate_key /etc/ssl/other.key;
    location / {{ return 200 "$server_name $connection_upgrade\\n"; }}
}}
"""
SECOND_SITE = """\
server {{
    listen 80;
    listen 443 ssl;
    server_name {second};
    ssl_certificate /etc/ssl/other.pem;
    ssl_certificate_key /etc/ssl/other.key;
    location / {{ return 200 "$server_name\\n"; }}
}}
"""
# Of ours, all that nginx reads: the server's nginx is then as if this toolkit had never been there.
FORGET = (
    "cd /etc/nginx && rm -rf provision sites-available/000-default.conf sites-available/refusals.conf "
    "sites-enabled/000-default.conf sites-enabled/zz-refusals.conf /var/lib/provision/stamps/nginx && systemctl reload nginx"
)


def put(path: str, text: str) -> None:
    """Write a file below /etc/nginx on the server."""
    shell(SERVER, f"cat >/etc/nginx/{path} <<'END'\n{text}END")


def settle(path: str, default: str = " default_server") -> None:
    """An nginx with two sites, of which the one at this path answers to all names that no site has."""
    put(path, SITES.format(default=default, other=OTHER))
    put("conf.d/second.conf", SECOND_SITE.format(second=SECOND))
    shell(SERVER, "nginx -t && systemctl reload-or-restart nginx && sleep 1")


@dataclass(frozen=True)
class Answer:
    """What a site says: its status and text, the protocol and the certificate of its connection."""

    status: int
    text: str
    protocol: str | None = None
    certificate: bytes | None = None


# A client that takes any certificate, and would speak HTTP/2.
CARELESS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CARELESS.check_hostname, CARELESS.verify_mode = False, ssl.CERT_NONE
CARELESS.set_alpn_protocols(["h2", "http/1.1"])


def ask(name: str, secure: bool) -> Answer:
    """One request over a connection of its own."""
    if not secure:
        plain = http.client.HTTPConnection(ADDRESS, timeout=5)
        plain.request("GET", "/", headers={"Host": name, "Connection": "close"})
        said = plain.getresponse()
        return Answer(said.status, said.read().decode())
    connection = http.client.HTTPSConnection(name, timeout=5, context=CARELESS)
    plain = http.client.HTTPConnection(ADDRESS, 443, timeout=5)
    plain.connect()
    connection.sock = CARELESS.wrap_socket(plain.sock, server_hostname=name)
    protocol, certificate = connection.sock.selected_alpn_protocol(), connection.sock.getpeercert(binary_form=True)
    if protocol == "h2":
        connection.sock.close()
        return Answer(0, "", protocol, certificate)
    connection.request("GET", "/", headers={"Connection": "close"})
    said = connection.getresponse()
    return Answer(said.status, said.read().decode(), protocol, certificate)


ASKED = tuple((name, secure) for name in (OTHER, SECOND, "nobody.example.com") for secure in (False, True))


@dataclass
class Asking:
    """The answers of others' sites, asked ten times a second."""

    asked: tuple[tuple[str, bool], ...] = ASKED
    answers: dict[tuple[str, bool], set[Answer | str]] = field(default_factory=dict)
    count: int = 0

    def once(self) -> None:
        for each in self.asked:
            said: Answer | str
            try:
                said = ask(*each)
            except (OSError, http.client.HTTPException) as error:
                said = repr(error)
            self.answers.setdefault(each, set()).add(said)
            self.count += 1


@contextmanager
def asking(asked: tuple[tuple[str, bool], ...] = ASKED) -> Iterator[Asking]:
    """All the while, each of the others' sites gives the answer that it gives before and afterwards."""
    before, during, ended = Asking(asked), Asking(asked), threading.Event()
    before.once()

    def all_the_time() -> None:
        while not ended.is_set():
            begun = time.monotonic()
            during.once()
            time.sleep(max(0.0, 0.1 - (time.monotonic() - begun)))

    thread = threading.Thread(target=all_the_time)
    thread.start()
    try:
        with busy("asking"):
            yield during
    finally:
        ended.set()
        thread.join()
    during.once()
    assert all(isinstance(said, Answer) for each in before.answers.values() for said in each), before.answers
    assert during.answers == before.answers
    assert during.count > 6
