"""Host keys as known_hosts files have them (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT")."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, NamedTuple

from provision.inventory.wording import display

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LINE = (
    r"(?:(@cert-authority|@revoked)\s+)?(?:(\S+)\s+)?"
    r"((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[\w@.-]+)\s+([A-Za-z0-9+/]+=*)(?:\s.*)?"
)


class HostKey(NamedTuple):
    """A line of a known_hosts file, or of a .pub file, which has neither marker nor names."""

    marker: str
    names: str
    type: str
    key: str


def host_key(line: str) -> HostKey | None:
    """The host key in a line; None if the line is malformed."""
    match = re.fullmatch(LINE, line.strip())
    if not match:
        return None
    found = HostKey(*(part or "" for part in match.groups()))
    try:
        parts = [*_parts(base64.b64decode(found.key, validate=True))]
    except ValueError:
        return None
    return found if len(parts) > 1 and parts[0] == found.type.encode() else None


def _parts(blob: bytes) -> Iterator[bytes]:
    """The parts of a public key, each behind four bytes with its length (RFC 4253, 6.6)."""
    while blob:
        end = 4 + int.from_bytes(blob[:4])
        if end > len(blob):
            raise ValueError
        yield blob[4:end]
        blob = blob[end:]


def known_as(host: str, port: int) -> str:
    """A host's name in a known_hosts file."""
    return host if port == 22 else f"[{host}]:{port}"


def lines(value: object) -> object:
    """The lines of a text or a list of texts, without comments and empty lines. Raises ValueError for other values."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{display(value)} is not a host key; write the lines that ssh-keyscan HOST prints")
    found = [line.strip() for text in texts for line in text.splitlines()]
    return [line for line in found if line and not line.startswith("#")]


def valid_line(value: str) -> str:
    """A line with a host key. Raises ValueError for any other."""
    if not host_key(value):
        raise ValueError(
            f'"{value[:40]}" is not a host key; write a line that ssh-keyscan HOST prints: HOST ssh-ed25519 AAAA...'
        )
    return value


def check_names(lines: Sequence[str], host: str, port: int) -> None:
    """Raise ValueError for a key of another host, and if all of the host's keys are revoked. Hashed names pass."""
    wanted = known_as(host, port)
    found = [key for key in map(host_key, lines) if key]
    for key in found:
        if key.names and wanted not in key.names.lower().split(",") and not re.search(r"[|*?!]", key.names):
            raise ValueError(
                f"a key of {key.names}, and the repository is on {wanted}; write what ssh-keyscan prints for that"
            )
    if all(key.marker == "@revoked" for key in found):
        raise ValueError("all of these keys are revoked; write one that is good")


def check_named(lines: Sequence[str]) -> None:
    """Raise ValueError for a key that does not say which host it is of."""
    for key in filter(None, map(host_key, lines)):
        if not key.names:
            raise ValueError(f"{key.type} {key.key[:20]}... has no host before it; write what ssh-keyscan HOST prints")
