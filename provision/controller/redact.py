"""Hides secrets in what servers print and in error messages."""

import base64
import html
import json
import re
from collections.abc import Sequence
from urllib.parse import quote, quote_plus, unquote, urlsplit

from provision.inventory import Host
from provision.inventory.netrc import passwords
from provision.untrusted import visible


class Mask:
    """Replaces a host's secrets by asterisks in any text.

    Secrets are values that references led to, values from files and from this machine's environment, values whose names
    look secret, passwords in URLs and private keys. Values of fewer than four characters are left alone: they would hide
    too much. For the same reason a mask `for_plans` leaves what an env file has under an ordinary name (LOG_LEVEL) alone, if
    it is shorter than eight.
    """

    NAMES = re.compile(r"SECRET|PASSW|TOKEN|KEY|CREDENTIAL|DSN", re.IGNORECASE)

    def __init__(self, host: Host, for_plans: bool = False) -> None:
        found = {each for value in host.hidden for each in _with_lines(value)}
        for app in host.apps.values():
            for name, value in app.env.items():
                named = name in app.secrets or self.NAMES.search(name)
                if named or (name not in app.environment and len(value) >= (8 if for_plans else 4)):
                    found |= _with_lines(value)
                found |= _password(value)
            if app.database and app.database.access:
                found.add(app.database.access.password)
            found |= _lines(app.source.private_key) | passwords(app.netrc_text)
        found |= _lines(host.tls.private_key)
        if host.backups:
            found |= {host.backups.passphrase} | _lines(host.backups.private_key)
            found |= {each for each in (host.backups.access_key, host.backups.secret_key) if each}
        found |= _password(host.mirrors.index or "", alone=True)
        written = {each for value in found if len(value) >= 4 for each in _spellings(value)}
        self.values: Sequence[str] = sorted(written, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, self.values))) if self.values else None

    def __call__(self, text: str) -> str:
        """The text with its secrets hidden."""
        return self._pattern.sub("********", text) if self._pattern else text

    def diff(self, text: str) -> str:
        """A unified diff with its secrets hidden. What a line with a secret replaces held an earlier one, so it is hidden too."""
        masked = self(text)
        if masked == text:
            return text
        hunks = re.split(r"(?m)^(?=@@ )", masked)
        return hunks[0] + "".join(
            re.sub(r"(?m)^-.*$", "-********", each) if "********" in each else each for each in hunks[1:]
        )


def _with_lines(value: str) -> set[str]:
    """A value, and its lines, but for short ones."""
    return {value, *(line for line in value.splitlines() if len(line.strip()) >= 8)}


def _spellings(value: str) -> set[str]:
    """A secret as it is, and as repr, JSON, URLs, HTML, Base64 and a log without control characters have it."""
    return {
        value,
        repr(value)[1:-1],
        repr(value.encode(errors="replace"))[2:-1],
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        quote(value),
        quote(value, safe=""),
        quote_plus(value),
        html.escape(value),
        base64.b64encode(value.encode(errors="replace")).decode(),
        visible(value),
        *_inside_base64(value.encode(errors="replace")),
    }


def _inside_base64(value: bytes) -> set[str]:
    """What Base64 has of a value that stands somewhere in what is encoded: at each of three offsets, the part that is the same
    whatever stands around it.
    """
    found = set()
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + value).decode()
        found.add(encoded[-(-8 * offset // 6) : 8 * (offset + len(value)) // 6])
    return {part for part in found if len(part) >= 8}


def _lines(key: str) -> set[str]:
    """The lines of a private key, but for a short last one."""
    return {line for line in key.splitlines()[1:-1] if len(line) >= 16}


def _password(url: str, alone: bool = False) -> set[str]:
    """The password in a URL, percent-encoded and decoded. With `alone`, a user without a password counts as one."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return set()
    written = parts.password or (alone and parts.username) or ""
    return {written, unquote(written)}
