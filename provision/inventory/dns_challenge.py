"""How an issuer is shown by DNS that a domain is yours."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from provision.inventory.fields import Text, Whole, matching
from provision.inventory.model import Context, Model

NEEDED = {"rfc2136": ("server", "name", "secret")}


def _credential(value: str) -> str:
    if re.search(r"[\0-\x1f\x7f]|%\(", value) or ('"' in value and "'" in value):
        raise ValueError("a credential is one line, without %( and without both kinds of quotes")
    return value


Credential = Annotated[Text, AfterValidator(_credential)]
Key = Annotated[
    str,
    matching(
        r"[a-z][a-z0-9_]{0,40}",
        '"{}" is not a key of certbot\'s plugin; write it without dns_PLUGIN_, such as api_token',
    ),
]


class DnsChallenge(Model):
    """DNS-01 (RFC 8555, 8.4): the server shows by a DNS record that a domain is yours, which wildcards need.

    certbot's plugin sets the record at your DNS provider or name server. The domains need not lead to the server.
    """

    plugin: Literal[
        "rfc2136", "cloudflare", "digitalocean", "dnsimple", "gandi", "gehirn", "linode", "ovh", "sakuracloud"
    ] = Field(
        description="certbot's plugin for your DNS, of the distribution's; rfc2136 is for name servers of your own (BIND, Knot, PowerDNS).",
        examples=["rfc2136"],
    )
    credentials: dict[Key, Credential] = Field(
        description="What the plugin's credentials file has, each key without dns_PLUGIN_; its documentation lists them. Use `!secret`. Let"
        " them be good for as little as your provider allows: whoever is root on the server can change these records.",
        examples=[{"server": "192.0.2.53", "name": "shop-key.", "secret": "c2VjcmV0"}],
        min_length=1,
    )
    wait: Annotated[Whole, Field(ge=0, le=3600)] = Field(
        default=60,
        description="Seconds between the record and the issuer's look, for all of your name servers to have it.",
        examples=[60],
    )

    @property
    def text(self) -> str:
        """The plugin's credentials file. Never print it."""
        lines = []
        for key, value in self.credentials.items():
            quote = "'" if '"' in value else '"'
            lines.append(f"dns_{self.plugin}_{key}={quote}{value}{quote}\n")
        return "".join(lines)

    @model_validator(mode="after")
    def _has_what_is_needed(self, info: ValidationInfo) -> DnsChallenge:
        missing = [key for key in NEEDED.get(self.plugin, ()) if key not in self.credentials]
        if missing and not Context.of(info).partial:
            raise ValueError(
                f"the credentials for {self.plugin} have no {missing[0]}; it needs {', '.join(NEEDED[self.plugin])}"
            )
        return self
