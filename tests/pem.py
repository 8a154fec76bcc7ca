"""Certificates and their keys as an authority would hand them over, for tests."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

PEM = Encoding.PEM


def write(folder: Path, name: str, *domains: str, days: int = 90, passphrase: str = "") -> None:
    """NAME.pem with a certificate for the domains and its authority's, NAME.key, and NAME-root.pem for clients."""
    root, root_key = _signed("The tests' authority", (), 365)
    leaf, key = _signed(domains[0], domains, days, root, root_key)
    pem = [one.public_bytes(PEM).decode() for one in (leaf, root)]
    lock = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    (folder / f"{name}.pem").write_text("".join(pem))
    (folder / f"{name}-root.pem").write_text(pem[1])
    (folder / f"{name}.key").write_bytes(key.private_bytes(PEM, PrivateFormat.PKCS8, lock))


def _signed(
    subject: str,
    domains: tuple[str, ...],
    days: int,
    issuer: x509.Certificate | None = None,
    issuer_key: ec.EllipticCurvePrivateKey | None = None,
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=not issuer, path_length=None), critical=True)
    )
    if domains:
        names = x509.SubjectAlternativeName([x509.DNSName(domain) for domain in domains])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(issuer_key or key, hashes.SHA256()), key
