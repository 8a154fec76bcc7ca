"""TLS certificates: a self-signed placeholder, one by certbot over HTTP-01 or DNS-01 (RFC 8555), and one that the
inventory provides.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from provision.engine.resource import Change, Finding, Probe, Ref, State
from provision.engine.shell import heredoc, library, words
from provision.errors import PlanError
from provision.resources import domains, file
from provision.resources.domains import misled

LIBRARY = f"{domains.LIBRARY}{library(__file__)}"
WEBROOT = "/var/www/acme"
LIVE = "/etc/letsencrypt/live"
BEFORE = "/etc/ssl/provision/before"
CREDENTIALS = "/etc/provision/dns.ini"
RENEW_BELOW = 14  # days; certbot's timer renews below 30


def link(app: str) -> str:
    """The folder that nginx reads fullchain.pem and privkey.pem from: a link, so that both change in one rename."""
    return f"/etc/ssl/provision/{app}"


def _next(app: str) -> str:
    """The link to a certificate that is held, before it takes the place of the one that nginx reads."""
    return f"{BEFORE}/{app}.next"


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A self-signed certificate for `domains`, so that nginx can always start. `final`: no other certificate
    will follow.
    """

    app: str
    domains: tuple[str, ...]
    final: bool = False

    @staticmethod
    def ref_to(app: str) -> Ref:
        """The name of an app's placeholder."""
        return Ref("placeholder", link(app))

    @property
    def ref(self) -> Ref:
        return self.ref_to(self.app)

    def probe(self) -> Probe:
        return Probe(
            "certificate_probe", LIBRARY, (self.app, "-", "-", " ".join(sorted(self.domains)) if self.final else "-")
        )

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        ours = state["target"].startswith("placeholder/")
        right = not self.final or (
            state["placeholder_names"] == " ".join(sorted(self.domains))
            and int(state["placeholder_days"] or 0) > RENEW_BELOW
        )
        if state["target"] and right and (ours or not self.final):
            return None
        script = words("certificate_make_placeholder", self.app, *self.domains)
        return Change(self.ref, f"self-signed certificate for {', '.join(self.domains)}", script, LIBRARY)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate for exactly these domains from the ACME directory at `server`, renewed by certbot.

    `address` is the host's address in the inventory. Unless `check_dns` is off, every domain must resolve to it or
    to one of the server's own addresses, and to one of their IPv6 addresses if it has any. A certificate that is about
    to end is renewed. As long as what nginx reads is good for all domains, nothing fails without another: it is a warning. `ca` is a file on the server with the CAs to trust for the directory's
    API. A lineage of certbot's that fits is used, whatever its name. The directory is asked once an hour at most,
    unless it is to be asked `again`. If it is `held`, nginx goes on reading what it reads: its sites have other names until a
    Switch comes with theirs. `dns` is certbot's plugin for DNS-01, with its file at CREDENTIALS, and `wait` the seconds between the
    record and the directory's look; without a plugin, it is HTTP-01.
    """

    app: str
    domains: tuple[str, ...]
    server: str
    email: str
    address: str
    check_dns: bool = True
    ca: str = ""
    again: bool = False
    held: bool = False
    dns: str = ""
    wait: int = 0

    @staticmethod
    def ref_to(app: str) -> Ref:
        """The name of an app's certificate."""
        return Ref("certificate", link(app))

    @property
    def ref(self) -> Ref:
        return self.ref_to(self.app)

    def probe(self) -> Probe:
        return Probe(
            "certificate_probe",
            LIBRARY,
            (self.app, self.server, "-" if self.dns else self.address, " ".join(sorted(self.domains))),
        )

    @property
    def checks(self) -> str:
        """What has to answer before the directory is asked: yes (nginx, under all names), no (at loopback alone), or none."""
        return "none" if self.dns else "yes" if self.check_dns else "no"

    def fits(self, state: State) -> bool:
        """Whether there is a certificate from this directory for exactly these domains, to be renewed in this way."""
        return (state["server"], state["names"], state["dns"]) == (
            self.server,
            " ".join(sorted(self.domains)),
            self.dns,
        )

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state["unread"]:
            return None
        fits = self.fits(state)
        renew = fits and int(state["days"] or 0) <= RENEW_BELOW
        lineage, spare = state["lineage"] or self.app, state["spare"]
        if fits and not renew and not spare and self._in_order(state, lineage):
            return None
        serves = self._serves(state)
        if wrong := self._misled(state):
            if serves:
                return None
            raise wrong
        how = "no" if fits and not renew else "replace" if serves else "force" if state["server"] else "new"
        if how == "replace" and state["wait"] and not self.again:
            return None
        if renew and int(state["days"] or 0) > 0:
            # It is good for some days more, so nothing fails without a new one.
            how = "no" if state["wait"] and not self.again else "renew"
            if how == "no" and not spare and self._in_order(state, lineage):
                return None
        if how not in ("no", "renew") and state["wait"] and not self.again:
            raise PlanError(
                f"{self.app}: {self.server} gave, or may have given, a certificate for {', '.join(self.domains)} less "
                f"than an hour ago, and issuers limit how many they give: it may be asked again at {state['wait']}, or now "
                "with --force"
            )
        script = words(
            "certificate_obtain",
            *(self.app, self.server, self.email, self.ca, how, WEBROOT, lineage, spare, "yes" if self.held else "no"),
            *(self.checks, self.dns or "-", str(self.wait)),
            *self.domains,
        )
        return Change(
            self.ref, f"{self._what(how, renew)} for {', '.join(self.domains)} from {self.server}", script, LIBRARY
        )

    def findings(self, state: State, planned: Mapping[Ref, Change] | None) -> tuple[Finding, ...]:
        wrong = self._misled(state)
        if state["unread"] or not wrong or not self._serves(state):
            return ()
        what = f"{wrong.what}; no other certificate is asked for, and the one that there is serves on"
        return (Finding("certificate", "warn", what, wrong.fix),)

    def _misled(self, state: State) -> PlanError | None:
        """Why DNS keeps the directory from giving a certificate that is needed."""
        asks = self.checks == "yes" and not self.fits(state)
        found = misled(self.app, self.domains, self.address, state) if asks else ()
        return found[0] if found else None

    def _serves(self, state: State) -> bool:
        """Whether nginx reads a certificate that is good for all domains, whoever gave it."""
        good = int(state["days"] or 0) > 0 and {*self.domains} <= {*state["names"].split()}
        return good and not self.held and self._in_order(state, state["lineage"] or self.app)

    def _in_order(self, state: State, lineage: str) -> bool:
        leads = (state["target"], state["next"]) if self.held else (state["target"],)
        return state["state"] == "whole" and f"{LIVE}/{lineage}" in leads

    @staticmethod
    def _what(how: str, renew: bool) -> str:
        if how == "no":
            return "put the certificate in order that there is"
        return "renew the certificate" if renew else "certificate"


@dataclass(frozen=True, slots=True)
class Switch:
    """nginx's link to a certificate that is held, renamed together with the sites that have its names. Put back with them."""

    app: str

    @property
    def path(self) -> str:
        """The link."""
        return link(self.app)

    @property
    def ref(self) -> Ref:
        return Ref("link", self.path)

    def probe(self) -> Probe:
        return Probe("file_probe", file.LIBRARY, (_next(self.app), "-"))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        # A run before may have obtained it.
        if not state and Certificate.ref_to(self.app) not in earlier:
            return None
        script = f"{words('mv', '-fT', _next(self.app), self.path)}\n{words('sync', self.path.rpartition('/')[0])}"
        return Change(self.ref, f"link {self.path} to the new certificate", script, file.LIBRARY)

    @property
    def replaces(self) -> tuple[str, ...]:
        """What nginx read meanwhile, and what led to it."""
        return (f"{BEFORE}/{self.app}", f"{BEFORE}/{self.app}.was")


@dataclass(frozen=True, slots=True)
class ProvidedCertificate:
    """A certificate chain, leaf first, and its private key, both PEM, from the inventory. They are replaced
    together.
    """

    app: str
    domains: tuple[str, ...]
    chain: str
    key: str = field(repr=False)

    @staticmethod
    def ref_to(app: str) -> Ref:
        """The name of an app's certificate."""
        return Ref("certificate", link(app))

    @property
    def ref(self) -> Ref:
        return self.ref_to(self.app)

    @property
    def target(self) -> str:
        """Where the link leads, relative to its folder; a new chain or key has a new target."""
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
