"""Certificates of one's own, and those of authorities."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import pem
from tests.inventories import CAS, HOST, errors, host, inventory, write

OWN = "tls: {issuer: files, certificate: own.pem, key: own.key}\n"


SITE = HOST + "apps: {shop: {source: /srv/git/shop.git, module: shop:app, domains: [www.example.com]}}\n"


def test_a_certificate_and_its_key_are_read_and_the_key_is_not_shown() -> None:
    pem.write(Path(), "own", "*.example.com")
    tls = host(SITE + OWN).tls
    assert (tls.chain, tls.private_key) == (Path("own.pem").read_text(), Path("own.key").read_text())
    assert tls.chain.count("BEGIN CERTIFICATE") == 2
    assert tls.private_key.splitlines()[1] not in f"{tls!r} {tls}"


@pytest.mark.parametrize(
    ("domains", "covered"),
    [
        (("www.example.com",), True),
        (("shop.example.com", "WWW.example.com"), True),
        (("*.example.com",), True),
        (("example.com",), False),
        (("*.com",), False),
        (("*.www.example.com",), False),
    ],
)
def test_a_certificate_is_for_the_domains_of_the_host(domains: tuple[str, ...], covered: bool) -> None:
    pem.write(Path(), "own", *domains)
    wrong = f"the certificate in {Path('own.pem').absolute()} is not for www.example.com; get one that is"
    if covered:
        assert inventory(SITE + OWN)
    else:
        assert [line.split(": ", 2)[2] for line in errors(SITE + OWN)] == [wrong]


@pytest.mark.parametrize(
    ("tls", "wrong"),
    [
        ("issuer: files", "tls: issuer: files needs certificate and key, the paths of two PEM files"),
        ("issuer: files, key: own.key", "tls: issuer: files needs certificate and key, the paths of two PEM files"),
        ("certificate: own.pem, key: own.key", "tls: certificate and key are for issuer: files; write that, or remove them"),
        ("issuer: files, certificate: own.pem, key: other.key", "tls: {cwd}/other.key is not the key of the certificate in {cwd}/own.pem; name its own"),
        ("issuer: files, certificate: own.pem, key: locked.key", "tls.key: {cwd}/locked.key is locked by a passphrase, which nginx cannot ask for; name a key without one"),
        ("issuer: files, certificate: own.pem, key: own.pem", "tls.key: {cwd}/own.pem is not a private key in PEM form, with -----BEGIN PRIVATE KEY-----"),
        ("issuer: files, certificate: own.key, key: own.key", "tls.certificate: {cwd}/own.key has a private key, and everybody on the server may read this file; leave only certificates in it"),
        ("issuer: files, certificate: none.pem, key: own.key", "tls.certificate: there is no file {cwd}/none.pem; correct the path (relative ones start at the inventory's folder)"),
    ],
)  # fmt: skip
def test_a_certificate_or_key_that_nginx_could_not_use_is_one_line(tls: str, wrong: str) -> None:
    for name, passphrase in (("own", ""), ("other", ""), ("locked", "a passphrase")):
        pem.write(Path(), name, "www.example.com", passphrase=passphrase)
    (line,) = errors(SITE + f"tls: {{{tls}}}\n")
    assert line.partition(": ")[2] == wrong.replace("{cwd}", str(Path.cwd()))


def test_a_certificate_that_expired_is_refused() -> None:
    pem.write(Path(), "own", "www.example.com", days=-1)
    (line,) = errors(SITE + OWN)
    assert re.search(
        r"tls\.certificate: the certificate in /.*/own\.pem expired on \d{4}-\d\d-\d\d; get a new one$", line
    )


def test_the_certificates_of_a_ca_file_are_read_with_the_inventory() -> None:
    one, two = (f"-----BEGIN{certificate}" for certificate in CAS.split("-----BEGIN")[1:])
    write(f"Our first CA, Zürich\n{one}\n\tand the other\r\n{two}".rstrip(), "ca.pem")
    web1 = host(HOST + "tls: {issuer_ca: ca.pem}\nmirrors: {ca_bundle: ca.pem}\n")
    assert web1.tls.authorities == web1.mirrors.authorities == (one, two)
    assert host(HOST).tls.authorities == host(HOST).mirrors.authorities == ()


@pytest.mark.parametrize("key", ["tls: {issuer_ca: ca.pem}", "tls: {root_ca: ca.pem}", "mirrors: {ca_bundle: ca.pem}"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "{} has no certificate; name a PEM file, with -----BEGIN CERTIFICATE-----"),
        (b"-----BEGIN CERTIFICATE-----\n", "{} has no certificate; name a PEM file, with -----BEGIN CERTIFICATE-----"),
        (b"0\x82\x01\xff", "{} is not UTF-8 text; openssl x509 -inform der -in {} writes it as a PEM file"),
        (CAS.replace("fjCCASWg", "").encode(), "certificate 1 of {} is damaged; copy it there again"),
        (CAS.replace("gDCCASWg", "%%%").encode(), "certificate 2 of {} is damaged; copy it there again"),
        (
            f"{CAS}-----BEGIN EC PRIVATE KEY-----\n".encode(),
            "{} has a private key, and everybody on the server may read this file; leave only certificates in it",
        ),
    ],
)
def test_a_ca_file_that_cannot_be_used_is_refused(key: str, content: bytes, message: str) -> None:
    path = Path("ca.pem").absolute()
    path.write_bytes(content)
    name = re.sub(r": \{(\w+): .*", r".\1", key)
    assert errors(f"{HOST}{key}\n") == [f"prod.yml:4: {name}: {message.replace('{}', str(path))}"]


def test_a_ca_file_that_cannot_be_read_is_refused() -> None:
    assert errors(HOST + "mirrors: {ca_bundle: /proc/self/mem}\n") == [
        "prod.yml:4: mirrors.ca_bundle: cannot read /proc/self/mem: Input/output error"
    ]
