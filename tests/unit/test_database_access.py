"""Passwords, verifiers and certificates for databases on other hosts."""

from __future__ import annotations

import ssl
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography.x509 import load_pem_x509_certificate

from provision.controller import database_access
from provision.controller.database_access import certificate, is_good, password, salted, verifier

if TYPE_CHECKING:
    from pathlib import Path

# RFC 7677, 3: the password "pencil".
SALT = "W22ZaJ0SNY7soEsUEjb6gQ=="
VERIFIER = f"SCRAM-SHA-256$4096:{SALT}$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="


def test_a_verifier_is_what_postgresql_makes_of_the_password() -> None:
    import base64

    assert salted("pencil", base64.b64decode(SALT)) == VERIFIER


def test_a_password_has_one_verifier_and_no_other_has_it() -> None:
    one, other = password(), password()
    assert one != other
    assert verifier(one) == verifier(one) != verifier(other)
    assert one not in verifier(one)


@pytest.mark.parametrize("address", ["10.0.0.5", "fd00::5", "db1.example.com"])
def test_a_certificate_is_good_for_its_address_and_for_no_other(address: str) -> None:
    made = certificate(address)
    assert is_good(made, address)
    assert not is_good(made, "10.0.0.6")
    assert not is_good(made, "db2.example.com")


def test_what_cannot_be_used_is_not_good(monkeypatch: pytest.MonkeyPatch) -> None:
    made, other = certificate("10.0.0.5"), certificate("10.0.0.5")
    assert not is_good(replace(made, root=other.root), "10.0.0.5")
    assert not is_good(replace(made, certificate="nonsense"), "10.0.0.5")
    assert not is_good(replace(made, root=""), "10.0.0.5")
    monkeypatch.setattr(database_access, "DAYS", 60)
    assert not is_good(certificate("10.0.0.5"), "10.0.0.5"), "it runs out soon"


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost"])
def test_the_strictest_client_accepts_it(tmp_path: Path, address: str) -> None:
    made = certificate(address)
    (tmp_path / "server.pem").write_text(made.certificate + made.key)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(tmp_path / "server.pem")
    client = ssl.create_default_context(cadata=made.root)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    to, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to, back, server_hostname=address)
    two = server.wrap_bio(back, to, server_side=True)
    for side in (one, two, one, two, one):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert one.getpeercert()


def test_its_authority_can_sign_no_other_authority_and_a_host_has_no_key_of_it() -> None:
    made = certificate("10.0.0.5")
    root, leaf = (load_pem_x509_certificate(each.encode()) for each in (made.root, made.certificate))
    assert root.public_key() != leaf.public_key()
    assert made.key.count("PRIVATE KEY") == 2
    assert "PRIVATE" not in repr(made)
