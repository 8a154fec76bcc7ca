"""Certificates: from an issuer, or your own."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from provision.inventory import pem
from provision.inventory.dns_challenge import DnsChallenge
from provision.inventory.fields import CaFile, File, matching, parsed_by, parsed_from
from provision.inventory.model import Context, Model, loaded
from provision.inventory.wording import display, suggestion

ISSUERS = ("letsencrypt", "letsencrypt-staging", "self-signed", "files")


def _issuer(value: str) -> str:
    if value not in ISSUERS and not re.fullmatch(r"https://[^\s'\"\\/]+(/[^\s'\"\\]*)?", value):
        raise ValueError(
            f'"{value}" is not an issuer; write {", ".join(ISSUERS)} or the https:// URL of an ACME directory'
            + suggestion(value, ISSUERS)
        )
    return value


def _hsts(value: object) -> object:
    if isinstance(value, str) and value.lower() in ("yes", "no", "on", "off", "true", "false"):
        return value.lower() in ("yes", "on", "true")
    if not isinstance(value, bool) and value not in ("subdomains", "preload"):
        raise ValueError(f"{display(value)} is no way to use HSTS; write true, false, subdomains or preload")
    return value


Email = Annotated[
    str,
    matching(r"[^@\s'\"]+@[^@\s'\"]+\.[^@\s'\"]+", '"{}" is not an email address; write for example ops@example.com'),
]


class TLS(Model):
    """Certificates.

    It has many fields because a flat mapping is easier to write and to merge than a deep one.
    """

    issuer: Annotated[str, AfterValidator(_issuer)] = Field(
        default="letsencrypt",
        description="Who issues the certificates: letsencrypt, letsencrypt-staging (for testing; browsers distrust it),"
        " self-signed, the https:// URL of another ACME directory, or files: your own certificate and its key.",
        examples=["letsencrypt"],
    )
    certificate: Annotated[File, parsed_by(pem.leaf)] | None = Field(
        default=None,
        description="With `issuer: files`: the certificate chain for all domains of a host, leaf first, in one PEM file, relative"
        " to this inventory.",
        examples=["../tls/shop.pem"],
    )
    key: Annotated[File, parsed_by(pem.tls_key)] | None = Field(
        default=None,
        description="With `issuer: files`: the certificate's private key, in a PEM file without a passphrase, relative to this"
        " inventory. Keep it out of Git.",
        examples=["../tls/shop.key"],
    )
    email: Email | None = Field(
        default=None,
        description="Contact address for the issuer. Optional.",
        examples=["ops@example.com"],
    )
    issuer_ca: CaFile | None = Field(
        default=None,
        description="CA bundle for verifying the ACME directory's own certificate, relative to this inventory.",
        examples=["../ca/acme.pem"],
    )
    root_ca: CaFile | None = Field(
        default=None,
        description="Root certificate that clients of a private issuer trust, relative to this inventory; `verify` checks"
        " against it, and so does the controller after an activation.",
        examples=["../ca/root.pem"],
    )
    dns: DnsChallenge | None = Field(
        default=None,
        description="Show the issuer by DNS records, instead of over HTTP, that the domains are yours: for wildcards, and for servers that"
        " the issuer cannot reach. A mapping with the keys of DnsChallenge.",
        examples=[
            {"plugin": "rfc2136", "credentials": {"server": "192.0.2.53", "name": "shop-key.", "secret": "c2VjcmV0"}}
        ],
    )
    check_dns: bool = Field(
        default=True,
        description="Before requesting a certificate over HTTP, check that the domains point to the server.",
        examples=[True],
    )
    profile: Literal["intermediate", "modern"] = Field(
        default="intermediate",
        description="What clients must be able to do, as Mozilla's guideline 5.7 has it. intermediate: TLS 1.2 or 1.3; modern: TLS 1.3,"
        " which browsers have had since 2018 to 2020.",
        examples=["modern"],
    )
    http3: bool = Field(
        default=False,
        description="Sites speak HTTP/3 (QUIC, UDP port 443), too, and tell browsers so (Alt-Svc). Needs nginx 1.25.1, which Debian 13 has."
        " Each reload of nginx ends the connections over it.",
        examples=[True],
    )
    hsts: Annotated[bool | Literal["subdomains", "preload"], BeforeValidator(_hsts)] = Field(
        default=True,
        description="Tell browsers to use HTTPS only (Strict-Transport-Security), for two years. subdomains: for all names below the"
        " domains, too; preload: and with the word that lets a domain be added to browsers' own lists, which takes months to undo.",
        examples=[True],
    )
    authorities: Annotated[tuple[str, ...], parsed_from("issuer_ca", pem.certificates)] = loaded(())
    """The certificates in `issuer_ca`, each in PEM form."""
    chain: Annotated[str, parsed_from("certificate", pem.chain_text)] = loaded("")
    """The certificates in `certificate`, in PEM form; empty if it names no file."""
    private_key: Annotated[str, parsed_from("key", pem.tls_key_text)] = loaded("")
    """The text of the file that `key` names; empty if it names none. Never print it."""
    names: Annotated[frozenset[str], parsed_from("certificate", pem.leaf_names)] = loaded(frozenset())
    """The DNS names that `certificate` is for, in lower case."""

    @property
    def transport_security(self) -> str:
        """The value of Strict-Transport-Security; empty if it is not to be sent."""
        more = {"subdomains": "; includeSubDomains", "preload": "; includeSubDomains; preload"}
        return f"max-age=63072000{more.get(str(self.hsts), '')}" if self.hsts else ""

    @model_validator(mode="after")
    def _files_belong_together(self, info: ValidationInfo) -> TLS:
        context = Context.of(info)
        if context.partial:
            return self
        if self.issuer != "files":
            if self.certificate or self.key:
                raise ValueError("certificate and key are for issuer: files; write that, or remove them")
        elif not (self.certificate and self.key):
            raise ValueError("issuer: files needs certificate and key, the paths of two PEM files")
        elif (
            context.parse(self.certificate, pem.leaf).public_key() != context.parse(self.key, pem.tls_key).public_key()
        ):
            raise ValueError(f"{self.key} is not the key of the certificate in {self.certificate}; name its own")
        return self

    def covers(self, domain: str) -> bool:
        """Whether your own certificate is for a domain (RFC 9525: a wildcard stands for one label). True without one."""
        return not self.certificate or not self.names.isdisjoint({domain, f"*.{domain.partition('.')[2]}"})
