"""Certificates for wildcards by DNS-01, with a BIND on the server that answers for the domains, on a real server."""

import base64
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from provision import lab
from tests.lab.conftest import SUITE, Controller, https, shell
from tests.lab.neighbours import INSTALL
from tests.lab.refusals import ADDRESS, APP, SERVER, Declared, lab_values, refused
from tests.lab.repository import Repository

pytest_plugins = ("tests.lab.refusals",)

ZONE = f"dns.{SERVER}.test"
BELOW = f"*.{ZONE}"
KEY, OTHER = (base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2))
NAME_SERVER = f"""
{INSTALL} bind9 >/dev/null
cat >/etc/bind/named.conf.local <<'END'
key shop-key {{ algorithm hmac-sha512; secret "{KEY}"; }};
zone "{ZONE}" {{ type primary; file "/var/lib/bind/{ZONE}"; update-policy {{ grant shop-key zonesub TXT; }}; }};
END
cat >/var/lib/bind/{ZONE} <<'END'
$TTL 1
@ SOA ns root 1 60 60 60 1
@ NS ns
@ A {ADDRESS}
* A {ADDRESS}
END
chown bind:bind /var/lib/bind/{ZONE}
systemctl restart named
"""
Make = Callable[..., Controller]


@pytest.fixture(scope="module")
def make(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Inventories for the app with these domains, on a server that was bare but for its name server."""
    lab.reset(SERVER, SUITE, used=True)
    shell(SERVER, NAME_SERVER)
    declared = Declared(tmp_path_factory.mktemp("inventory"), repository)

    def made(*domains: str, key: str = KEY) -> Controller:
        credentials = {"server": ADDRESS, "name": "shop-key.", "secret": key, "algorithm": "HMAC-SHA512"}
        tls: dict[str, Any] = lab_values()["tls"]
        if key:
            tls["dns"] = {"plugin": "rfc2136", "credentials": credentials, "wait": 1}
        return declared({"python": "system", "domains": list(domains)}, tls=tls)

    return made


def served(name: str) -> tuple[str, set[str]]:
    """The serial number of the certificate that clients get under a name, and its names."""
    asks = f"openssl s_client -connect {ADDRESS}:443 -servername {name} </dev/null 2>/dev/null"
    said = shell(SERVER, f"{asks} | openssl x509 -noout -serial -ext subjectAltName").replace(",", " ").split()
    serial = next(word.partition("=")[2] for word in said if word.startswith("serial="))
    return serial, {word.partition(":")[2] for word in said if word.startswith("DNS:")}


def test_a_wildcard_has_a_certificate_and_each_name_below_it_the_site(make: Make) -> None:
    answer = make(ZONE, BELOW)("deploy", SERVER, "--json")
    assert answer.status == 0, answer.stdout
    assert KEY not in answer.stdout + answer.stderr
    assert shell(SERVER, "stat -c '%a %U' /etc/provision/dns.ini").split() == ["600", "root"]
    found = shell(
        SERVER,
        f"grep -rlsF '{KEY}' /etc /run /tmp /var/log /var/lib /var/tmp /root; journalctl -q | grep -cF '{KEY}' || true",
    )
    assert sorted(found.split()) == ["/etc/bind/named.conf.local", "/etc/provision/dns.ini", "0"]
    for name in (ZONE, f"one.{ZONE}", f"another.{ZONE}"):
        assert served(name)[1] == {ZONE, BELOW}
        assert "hello" in https(SERVER, "/", name).stdout
    again = make(ZONE, BELOW)("deploy", SERVER, "--json").host(SERVER)
    assert (again["changed"], again["execs"]) == (0, 2)
    assert make(ZONE, BELOW)("verify", SERVER, "--json").failing(SERVER) == set()


def test_it_is_renewed_in_the_same_way(make: Make) -> None:
    before = served(ZONE)
    answer = make(ZONE, BELOW)("tls.renew", SERVER, "--force", "--json")
    assert answer.status == 0, answer.stdout + answer.stderr
    after = served(ZONE)
    (said,) = answer.host(SERVER)["certificates"]
    assert (said["app"], said["serial"], said["wrong"]) == (APP, after[0], [])
    assert (after[0] != before[0], after[1]) == (True, before[1])
    assert "authenticator = dns-rfc2136" in shell(SERVER, f"cat /etc/letsencrypt/renewal/{APP}.conf")


def test_a_login_that_the_name_server_refuses_leaves_the_site_as_it_was(make: Make) -> None:
    before = served(ZONE)
    wrong = make(ZONE, BELOW, f"*.more.{ZONE}", key=OTHER)
    planned = wrong.plan(SERVER)
    assert OTHER not in planned.stdout + planned.stderr
    answer = wrong("deploy", SERVER, "--json")
    assert "gave no certificate" in refused(answer)
    assert not [key for key in (KEY, OTHER) if key in answer.stdout + answer.stderr]
    assert served(ZONE) == before
    assert "hello" in https(SERVER, "/", f"one.{ZONE}").stdout


def test_without_dns_the_issuer_asks_over_http_again_and_the_login_goes(make: Make) -> None:
    make(ZONE, BELOW).deploy(SERVER)
    make(ZONE, key="").deploy(SERVER)
    assert served(ZONE)[1] == {ZONE}
    assert shell(SERVER, "ls /etc/provision/dns.ini 2>/dev/null || true") == ""
    assert "authenticator = webroot" in shell(SERVER, f"cat /etc/letsencrypt/renewal/{APP}.conf")
    assert make(ZONE, key="").plan(SERVER).status == 0
