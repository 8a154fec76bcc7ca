"""Questions to servers about their certificates: the call of certificates.sh, and the answers."""

from collections.abc import Iterable
from dataclasses import dataclass

from provision.engine.resource import record
from provision.engine.shell import words
from provision.inventory import Host
from provision.untrusted import line as shown

HOWS = ("certbot", "certbot, whose timer is off", "files", "self-signed", "none")


@dataclass(frozen=True, slots=True)
class CertificateInfo:
    """The certificate of an app on a host.

    `serial` is hexadecimal, `until` UTC, `days` what is left. `renewal` is one of HOWS; `renewed` is when certbot obtained it (UTC), and
    `failed` the time and the reason of an attempt since then that gave no other.
    """

    host: str
    app: str
    domains: str
    issuer: str
    serial: str
    until: str
    days: int | None
    renewal: str
    renewed: str
    failed: str


def call(host: Host) -> str:
    """Asks for the certificates of the host's apps."""
    return words("certificates_status", *host.apps)


def infos(host: Host, lines: Iterable[str]) -> list[CertificateInfo]:
    """The certificates in an answer to `call`. Raises ValueError for one that is no such answer."""
    found = []
    for row in (record(tuple(line.split("\t"))) for line in lines if line):
        if row["app"] not in host.apps or row["renewal"] not in HOWS:
            raise ValueError(f"{row['app']} was not asked for")
        at, _, reason = row["last"].partition(" ")
        found.append(
            CertificateInfo(
                host=host.name,
                app=row["app"],
                domains=shown(row["domains"], 2000),
                issuer=shown(row["issuer"], 200),
                serial=shown(row["serial"], 64),
                until=shown(row["until"], 40),
                days=int(row["days"]) if row["days"].lstrip("-").isdigit() else None,
                renewal=row["renewal"],
                renewed="" if reason else shown(at, 40),
                failed=shown(f"{at} {reason}", 400) if reason else "",
            )
        )
    return found
