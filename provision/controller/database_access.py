"""What apps and the PostgreSQL of another host need to trust each other: a password, its verifier, and a certificate."""

import base64
import hashlib
import hmac
import ipaddress
import secrets
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from provision.inventory.addresses import is_ip
from provision.resources.postgresql_clients import ServerCertificate

ITERATIONS = 4096
DAYS = 3650
# A certificate that ends sooner than this is replaced.
LEFT = timedelta(days=90)
# What a certificate can be that is none of ours.
UNREADABLE = (
    ValueError,
    TypeError,
    InvalidSignature,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


def password() -> str:
    """A password of 256 random bits."""
    return secrets.token_urlsafe(32)


def verifier(password: str) -> str:
    """What PostgreSQL keeps of a password: it shows that a client knows that, and lets nobody log in (RFC 5803).

    The salt comes from the password, so that one password has one verifier: no two logins have the same password here, and none can be guessed.
    """
    return salted(password, hmac.digest(password.encode(), b"salt", "sha256")[:16])


def salted(password: str, salt: bytes) -> str:
    """The verifier of a password with this salt."""
    key = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(key, b"Client Key", "sha256")).digest()
    server = hmac.digest(key, b"Server Key", "sha256")
    salt_, stored_, server_ = (base64.b64encode(each).decode() for each in (salt, stored, server))
    return f"SCRAM-SHA-256${ITERATIONS}:{salt_}${stored_}:{server_}"


def certificate(address: str) -> ServerCertificate:
    """A certificate for PostgreSQL at an address, and the authority that it comes from, whose key nobody has any more."""
    begin = datetime.now(UTC) - timedelta(days=1)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = _name(f"PostgreSQL at {address}"[:64])
    root = (
        _begun(issuer, issuer, root_key, root_key, begin)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    # Clients older than PostgreSQL 15 look for an IP address in the name.
    leaf = (
        _begun(_name(address[:64]), issuer, key, root_key, begin)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_alternative(address)]), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    return ServerCertificate(
        leaf.public_bytes(Encoding.PEM).decode(),
        root.public_bytes(Encoding.PEM).decode(),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    )


def is_good(found: ServerCertificate, address: str) -> bool:
    """Whether what a server has is for this address, comes from its own root, and lasts for a while."""
    try:
        root, leaf = (x509.load_pem_x509_certificate(one.encode()) for one in (found.root, found.certificate))
        leaf.verify_directly_issued_by(root)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except UNREADABLE:
        return False
    return _alternative(address) in names and leaf.not_valid_after_utc - datetime.now(UTC) > LEFT


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(address: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(address)) if is_ip(address) else x509.DNSName(address)


def _begun(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    begin: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=DAYS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
