"""The controller's own look at what was activated: each public name over TLS, at the addresses that DNS gives here."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from provision.controller import https
from provision.controller.https import Question, Reply
from provision.engine.resource import Finding
from provision.inventory import Host
from provision.release.outside import ANSWER, QUESTION, PublicName, Seen, findings

HTTPS, HTTP = 443, 80
RESOLVE_SECONDS, ALL_SECONDS = 3, 10
# Whose certificates nobody trusts.
UNTRUSTED = ("self-signed", "letsencrypt-staging")
NOTHING = Reply("http", "timed out")


def look(
    host: Host, names: Sequence[PublicName], hosts: Iterable[Host] = (), strict: bool = False
) -> tuple[Finding, ...]:
    """What answers under the names: at the host's own address and where else DNS leads, but for addresses of other `hosts`, each of
    which is asked for itself.

    A name that does not resolve here is asked of the host's own address. `strict`: if something else answers there, that is an
    error. For a machine of Vagrant's, there is no outside.
    """
    if not names or host.connect == "vagrant":
        return ()
    lookups = {name: partial(https.addresses, name) for name in (host.address, *(one.name for one in names))}
    found = https.together(lookups, RESOLVE_SECONDS)
    # The address of a host behind a jump host is for those who jump.
    own = () if host.proxy_jump else found.get(host.address, ())
    others = {one.address for one in hosts if one.name != host.name}
    # Behind a proxy, or where several hosts have one address, something else may rightly answer there.
    alone = {address for address in own if address not in others and host.tls.check_dns}
    places = [
        (one, address)
        for one in names
        for address in found.get(one.name) or own
        if address in own or address not in others
    ]
    trust = https.trusting(host.tls.root_ca.read_text() if host.tls.root_ca else "") if _trusted(host) else None
    calls: dict[tuple[PublicName | None, str], Callable[[], Reply]] = {
        (one, address): partial(https.ask, address, HTTPS, _question(one), trust) for one, address in places
    }
    calls |= {(None, address): partial(https.reach, address, HTTP) for _, address in places}
    replies = https.together(calls, ALL_SECONDS)
    seen = [
        Seen(one, address, port, address in alone, reply.hop, reply.why, reply.status, reply.said)
        for one, address in places
        for port, reply in (
            (443, replies.get((one, address), NOTHING)),
            (80, replies.get((None, address), NOTHING)),
        )
    ]
    return findings(seen, host, strict)


def _question(one: PublicName) -> Question:
    return Question(one.name, one.path, {QUESTION: one.release, "Cache-Control": "no-cache"}, ANSWER)


def _trusted(host: Host) -> bool:
    """Whether clients are to trust the host's certificates."""
    return "tls" in host.roles and (host.tls.issuer not in UNTRUSTED or host.tls.root_ca is not None)
