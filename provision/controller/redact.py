"""Hides secrets in what servers print and in error messages."""

import base64
import html
import json
import re
from urllib.parse import quote, quote_plus, unquote, urlsplit

from provision.inventory import Host
from provision.inventory.netrc import passwords
from provision.untrusted import visible


class Mask:
    """Replaces a host's secrets by asterisks in any text.

    Secrets are values from files and from this machine's environment, values whose names look secret, passwords in URLs
    and private keys. Values of fewer than four characters are left alone: they would hide too much.
    """

    NAMES = re.compile(r"SECRET|PASSW|TOKEN|KEY|CREDENTIAL|DSN", re.IGNORECASE)

    def __init__(self, host: Host) -> None:
        found: set[str] = set()
        for app in host.apps.values():
            for name, value in app.env.items():
                if name not in app.environment or self.NAMES.search(name):
                    found |= {value, *(line for line in value.splitlines() if len(line.strip()) >= 8)}
                found |= _password(value)
            found |= _lines(app.source.private_key) | passwords(app.netrc_text)
        found |= _lines(host.tls.private_key)
        found |= _password(host.mirrors.index or "", alone=True)
        written = {each for value in found if len(value) >= 4 for each in _spellings(value)}
        values = sorted(written, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, values))) if values else None

    def __call__(self, text: str) -> str:
        """The text with its secrets hidden."""
        return self._pattern.sub("********", text) if self._pattern else text


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
    }


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
