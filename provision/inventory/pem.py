"""PEM files (RFC 7468): certificates and private keys. Each parser takes a file's path, for its messages, and content."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate


def certificates(path: Path, content: bytes) -> tuple[str, ...]:
    """The certificates in a file, each in PEM form with a line break at its end.

    Raises ValueError if there is none, one is damaged, or the file has a private key.
    """
    import ssl

    try:
        text = _text(content)
    except UnicodeDecodeError:
        raise ValueError(
            f"{path} is not UTF-8 text; openssl x509 -inform der -in {path} writes it as a PEM file"
        ) from None
    if "PRIVATE KEY-----" in text:
        raise ValueError(
            f"{path} has a private key, and everybody on the server may read this file; leave only certificates in it"
        )
    found = tuple(re.findall(r"-----BEGIN CERTIFICATE-----\n.*?\n-----END CERTIFICATE-----\n?", text, re.DOTALL))
    if not found:
        raise ValueError(f"{path} has no certificate; name a PEM file, with -----BEGIN CERTIFICATE-----")
    for number, certificate in enumerate(found, 1):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificate)
        except (ssl.SSLError, ValueError):
            raise ValueError(f"certificate {number} of {path} is damaged; copy it there again") from None
    return tuple(f"{certificate.rstrip()}\n" for certificate in found)


def chain_text(path: Path, content: bytes) -> str:
    """The certificates in a file, without whatever else it has. Raises ValueError as `certificates` does."""
    return "".join(certificates(path, content))


def leaf(path: Path, content: bytes) -> Certificate:
    """The first certificate in a file. Raises ValueError as `certificates` does, and for one that is not valid now."""
    from cryptography import x509

    found, *_ = (x509.load_pem_x509_certificate(one.encode()) for one in certificates(path, content))
    now = datetime.now(UTC)
    if found.not_valid_after_utc < now:
        raise ValueError(f"the certificate in {path} expired on {found.not_valid_after_utc:%Y-%m-%d}; get a new one")
    if found.not_valid_before_utc > now:
        raise ValueError(f"the certificate in {path} is not valid before {found.not_valid_before_utc:%Y-%m-%d}")
    return found


def leaf_names(path: Path, content: bytes) -> frozenset[str]:
    """The DNS names of a file's first certificate, in lower case. Raises ValueError as `leaf` does."""
    from cryptography import x509

    try:
        names = leaf(path, content).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(name.lower() for name in names.get_values_for_type(x509.DNSName))


def tls_key(path: Path, content: bytes) -> PrivateKeyTypes:
    """The private key in a file. Raises ValueError if it is none, or protected by a passphrase."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(content, None)
    except TypeError:
        raise ValueError(
            f"{path} is locked by a passphrase, which nginx cannot ask for; name a key without one"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"{path} is not a private key in PEM form, with -----BEGIN PRIVATE KEY-----") from None


def tls_key_text(path: Path, content: bytes) -> str:
    """A private key file's text. Raises ValueError as `tls_key` does."""
    tls_key(path, content)
    return _text(content).strip() + "\n"


def deploy_key(path: Path, content: bytes) -> str:
    """A private key file's text, with the line breaks that OpenSSH wants. Raises ValueError as `tls_key` does."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    content = content.replace(b"\r\n", b"\n").rstrip() + b"\n"
    openssh = content.startswith(b"-----BEGIN OPENSSH")
    try:
        load = serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
        load(content, None)
        return content.decode()
    except TypeError:
        raise ValueError(
            f"{path} is locked by a passphrase, which the server cannot ask for; write generate, or name a key without one"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"{path} is not a private key; name the file without .pub, or write generate") from None


def _text(content: bytes) -> str:
    return content.decode().replace("\r\n", "\n").replace("\r", "\n")
