"""TLS certificates: a self-signed placeholder, an ACME certificate by certbot over the webroot (RFC 8555, HTTP-01), and own files."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import heredoc, library, words
from provision.errors import PlanError

LIBRARY = library(__file__)
WEBROOT = "/var/www/acme"
RENEW_BELOW = 14  # days; certbot's timer renews below 30


def link(app: str) -> str:
    """The folder whose fullchain.pem and privkey.pem nginx reads: a link that moves in one rename."""
    return f"/etc/ssl/provision/{app}"


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A self-signed certificate for `domains`, so that nginx always starts. `final` means that no other will come."""

    app: str
    domains: tuple[str, ...]
    final: bool = False

    @staticmethod
    def ref_to(app: str) -> Ref:
        """What an app's placeholder is called: by the link that nginx reads."""
        return Ref("placeholder", link(app))

    @property
    def ref(self) -> Ref:
        return self.ref_to(self.app)

    def probe(self) -> Probe:
        return Probe("certificate_probe", LIBRARY, (self.app, "-", "-", " ".join(sorted(self.domains))))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        ours = state["target"].startswith("placeholder/")
        right = (
            state["placeholder_names"] == " ".join(sorted(self.domains))
            and int(state["placeholder_days"] or 0) > RENEW_BELOW
        )
        if state["target"] and (right if self.final else True) and (ours or not self.final):
            return None
        script = words("certificate_make_placeholder", self.app, *self.domains)
        return Change(self.ref, f"self-signed certificate for {', '.join(self.domains)}", script, LIBRARY)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate for exactly these domains from the ACME directory at `server`, which certbot renews.

    `address` is the host's in the inventory: the domains must lead there, or to an address of the server itself,
    unless `check_dns` is off. `ca` is a file on the server: the CAs to trust for the directory's API.
    """

    app: str
    domains: tuple[str, ...]
    server: str
    email: str
    address: str
    check_dns: bool = True
    ca: str = ""

    @staticmethod
    def ref_to(app: str) -> Ref:
        """What an app's certificate is called: by the link that nginx reads."""
        return Ref("certificate", link(app))

    @property
    def ref(self) -> Ref:
        return self.ref_to(self.app)

    def probe(self) -> Probe:
        return Probe(
            "certificate_probe",
            LIBRARY,
            (self.app, self.server, self.address, " ".join(sorted(self.domains))),
        )

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        wanted = " ".join(sorted(self.domains))
        fits = state["server"] == self.server and state["names"] == wanted
        renew = fits and int(state["days"] or 0) <= RENEW_BELOW
        if fits and not renew and state["target"] == f"/etc/letsencrypt/live/{self.app}":
            return None
        if self.check_dns and not fits:
            self._check_dns(state)
        what = "renew the certificate" if renew else "certificate"
        ours = "no" if fits and not renew else "force" if state["server"] else "new"
        script = words("certificate_obtain", self.app, self.server, self.email, self.ca, ours, WEBROOT, *self.domains)
        return Change(self.ref, f"{what} for {', '.join(self.domains)} from {self.server}", script, LIBRARY)

    def _check_dns(self, state: State) -> None:
        here = set(state["here"].split())
        resolved = {each["domain"]: set(each["addresses"].split()) for each in state.records if "domain" in each}
        for domain in self.domains:
            found = resolved.get(domain, set())
            if not found:
                raise PlanError(
                    f"{self.app}: {domain} does not resolve: add a DNS record that points to {self.address}"
                )
            if here and not found & here:
                where = ", ".join(sorted(found))
                raise PlanError(
                    f"{self.app}: {domain} points to {where}, not to this server ({self.address}): change its DNS record, "
                    "or set tls.check_dns: false where a proxy stands in front"
                )


@dataclass(frozen=True, slots=True)
class ProvidedCertificate:
    """A certificate that the inventory gives, with its chain, and its private key: both PEM, and both at once."""

    app: str
    domains: tuple[str, ...]
    chain: str
    key: str = field(repr=False)

    @staticmethod
    def ref_to(app: str) -> Ref:
        """What an app's certificate is called: by the link that nginx reads."""
        return Ref("certificate", link(app))

    @property
    def ref(self) -> Ref:
        return self.ref_to(self.app)

    @property
    def target(self) -> str:
        return f"files/{self.app}@{_sha256(self.chain + self.key)[:16]}"

    def probe(self) -> Probe:
        return Probe("certificate_probe_provided", LIBRARY, (self.app,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        wanted = {
            "target": self.target,
            "chain": _sha256(self.chain),
            "key": _sha256(self.key),
            "access": "600 root:root",
        }
        if state == State.of(wanted):
            return None
        lines = len(self.chain.splitlines())
        command = words("certificate_install", self.app, self.target, str(lines))
        script = heredoc(command, (self.chain + self.key).encode())
        return Change(self.ref, f"certificate for {', '.join(self.domains)}, from its files", script, LIBRARY)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
