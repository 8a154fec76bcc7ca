"""A release under its public names, as clients see it from outside: what is asked, and what the answers mean."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from provision.engine.resource import Finding, Level, Ref, Resource
from provision.inventory import App, Host
from provision.release.activation import Activation, Promotion
from provision.release.takeover import Takeover

# Of a site of ours one asks for a release, and it answers: this, commit (another one of the same commit), or another.
QUESTION, ANSWER = "X-Provision-Asks", "X-Provision-Release"
# What is in a site that answers so.
TELLS = "$http_x_provision_asks,$realpath_root"
CHECK = "outside"
WAYS_IN = {
    "timed out": "a firewall drops it, on the server or before it (the provider's own, a security group): open {}/tcp there",
    "Connection refused": "nothing listens there, or a firewall refuses it: open {}/tcp there",
}
SECOND_SITE = (
    "another site of nginx has that address to itself (nginx -T shows which), or the port leads elsewhere before nginx"
)
CERTIFICATE = "invoke verify says how the server's own certificate is; what stands before the server may have another"
SECOND_SERVER = "another server answers in its place: see where its address leads"


@dataclass(frozen=True, slots=True)
class PublicName:
    """A name by which clients ask for an app, a path of it, and the release that must answer. `tells`: the app's site says which
    release answers.
    """

    app: str
    name: str
    path: str
    release: str
    tells: bool

    @property
    def ref(self) -> Ref:
        """What activates the release."""
        return Activation.ref_to(self.app)


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a question to an address: for a name over TLS (port 443), or of a mere connection (port 80).

    `own`: it is the host's own address, and nobody else's. `hop` is where it ended, and `why`: route (the controller has no way there), tcp, tls, trust (of
    the certificate; it was asked all the same), or http; empty with an answer. `status` is HTTP's, `answer` the site's.
    """

    of: PublicName
    address: str
    port: int
    own: bool
    hop: str = ""
    why: str = ""
    status: int = 0
    answer: str = ""

    @property
    def right(self) -> bool:
        """Whether the release answered. Elsewhere than on the host, one of the same commit will do: each host names its own."""
        return not self.of.tells or self.answer == "this" or (self.answer == "commit" and not self.own)


def activated(resources: Iterable[Resource], telling: Collection[str]) -> tuple[PublicName, ...]:
    """The public names of the releases that resources activate; `telling` are the apps whose sites say which one answers."""
    found = (one.activation if isinstance(one, Takeover) else one for one in resources)
    return tuple(
        PublicName(one.slot.app, name, one.slot.health.path, one.release, one.slot.app in telling)
        for one in found
        if isinstance(one, Activation | Promotion)
        for name in one.slot.health.domains
    )


def active(app: App, release: str, tells: bool) -> tuple[PublicName, ...]:
    """The public names of a release that serves."""
    return tuple(PublicName(app.name, name, app.health.path, release, tells) for name in app.asked)


def findings(seen: Sequence[Seen], host: Host, strict: bool) -> tuple[Finding, ...]:
    """What the answers mean. If `strict`, the answer of something else at the host's own address stops."""
    wrong: list[Finding] = []
    right: dict[PublicName, list[str]] = {}
    for one in seen:
        if one.port == 80 or one.hop in ("route", "tcp"):
            continue
        problem = _problem(one, host, "stop" if strict else "warn")
        if problem:
            wrong.append(problem)
        else:
            right.setdefault(one.of, []).append(one.address)
    return (*_closed(seen), *wrong, *(_fine(one, addresses) for one, addresses in right.items()))


def _fine(one: PublicName, addresses: Sequence[str]) -> Finding:
    said = f"{one.app}: https://{one.name} answers this machine at {' and '.join(addresses)}"
    return Finding(CHECK, "ok", f"{said} from {one.release}" if one.tells else said)


def _closed(seen: Iterable[Seen]) -> Iterator[Finding]:
    """The addresses to which there was no connection: one finding for each, and for each reason."""
    closed: dict[tuple[str, str], list[Seen]] = {}
    for one in seen:
        if one.hop == "tcp":
            closed.setdefault((one.address, one.why), []).append(one)
    for (address, why), all_of_it in closed.items():
        ports = sorted({one.port for one in all_of_it})
        listed = ",".join(map(str, ports))
        numbers = f"port{'s' if len(ports) > 1 else ''} {' and '.join(map(str, ports))}"
        names = ", ".join(dict.fromkeys(one.of.name for one in all_of_it))
        less = "" if 443 in ports else ", so http:// leads nowhere, and an issuer that asks over HTTP gets no answer"
        fix = WAYS_IN.get(why, "see what is in between, and open {}/tcp there").format(listed)
        yield Finding(
            CHECK, "warn", f"{names}: this machine cannot connect to {numbers} of {address} ({why}){less}", fix
        )


def _problem(one: Seen, host: Host, level: Level) -> Finding | None:
    """What is wrong with what answered, or kept from answering after the connection."""
    name = one.of
    site = f"{name.app}: https://{name.name} at {one.address}"
    if one.hop in ("tls", "http"):
        what = f"{site} gives this machine {'no TLS' if one.hop == 'tls' else 'no answer'} ({one.why})"
        return Finding(CHECK, "warn", what, "see what is in between")
    told = one.answer in ("this", "commit", "another")
    if one.status and not one.right and one.own:
        other = "another release" if told else "something else"
        return Finding(
            CHECK,
            level,
            f"{site} answers this machine with {one.status}, from {other} than {name.release}",
            SECOND_SERVER if told else SECOND_SITE,
        )
    if one.status and not one.right and (told or host.tls.check_dns):
        other = (
            f"answers from another release than {name.release}"
            if told
            else f"answers {one.status}, and does not say from which release"
        )
        return Finding(
            CHECK,
            "warn",
            f"{site} {other} (the host is at {host.address})",
            "if a server of this app is behind it, deploy there; if it is a cache, empty it"
            if told
            else "correct the DNS record, or set tls.check_dns: false where a proxy stands in front",
        )
    if one.hop == "trust":
        return Finding(
            CHECK, "warn", f"{site} has a certificate that this machine does not trust ({one.why})", _mend(one.why)
        )
    return None


def _mend(why: str) -> str:
    if "issuer" in why or "self-signed" in why:
        return "if clients do, name the root certificate in tls.root_ca"
    return CERTIFICATE
