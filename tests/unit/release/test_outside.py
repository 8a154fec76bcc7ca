"""What answers from outside mean: the release's, another's, somebody else's, or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.release import outside
from provision.release.facts import ServerRelease
from provision.release.outside import PublicName, Seen
from provision.resources.nginx import Nginx
from tests.unit.tables import HOST, SHOP

if TYPE_CHECKING:
    from tests.unit.tables import MakeFacts, MakeHost

Judge = Callable[..., list[tuple[str, str, str]]]
RELEASE, HERE, THERE = "20261121T230500-abc1234", "203.0.113.10", "198.51.100.7"
NAME = PublicName("shop", "shop.example.com", "/health", RELEASE, tells=True)
OWN = Seen(NAME, HERE, 443, own=True, status=200, answer="this")
ELSEWHERE = replace(OWN, address=THERE, own=False)


def ended(seen: Seen, hop: str, why: str) -> Seen:
    """It ended there, without an answer."""
    return replace(seen, hop=hop, why=why, status=0, answer="")


@pytest.fixture
def judge(make_host: MakeHost) -> Judge:
    """The findings, but for those of what is well."""

    def judge(*seen: Seen, strict: bool = True, tls: str = "") -> list[tuple[str, str, str]]:
        host = make_host(f"hosts: {{web1: {HERE}}}\ntls: {{{tls}}}\n")
        findings = outside.findings(seen, host, strict)
        assert {one.check for one in findings} <= {"outside"}
        return [(one.level, one.what, one.fix) for one in findings if one.level != "ok"]

    return judge


@pytest.mark.parametrize(
    "seen",
    [
        OWN,
        replace(OWN, status=503),
        replace(OWN, of=replace(NAME, tells=False), answer=""),
        replace(OWN, port=80, status=0, answer=""),
        ended(OWN, "route", "Network is unreachable"),
        ELSEWHERE,
        replace(ELSEWHERE, answer="commit"),
        replace(ELSEWHERE, of=replace(NAME, tells=False), answer=""),
    ],
)
def test_of_the_right_answer_nothing_is_said_nor_of_a_network_that_leads_nowhere(judge: Judge, seen: Seen) -> None:
    assert judge(seen) == []


def test_the_doctor_hears_of_what_is_well(make_host: MakeHost) -> None:
    seen = (
        OWN,
        replace(OWN, address="2001:db8::1"),
        replace(OWN, of=replace(NAME, name="www.example.com", tells=False)),
    )
    findings = outside.findings(seen, make_host(HOST), strict=False)
    assert [(one.level, one.what) for one in findings] == [
        ("ok", f"shop: https://shop.example.com answers this machine at {HERE} and 2001:db8::1 from {RELEASE}"),
        ("ok", f"shop: https://www.example.com answers this machine at {HERE}"),
    ]


@pytest.mark.parametrize(
    ("answer", "other", "fix"),
    [
        ("another", "another release", "another server answers in its place: see where its address leads"),
        ("commit", "another release", "another server answers in its place: see where its address leads"),
        ("", "something else", outside.SECOND_SITE),
        ("this, this", "something else", outside.SECOND_SITE),
    ],
)
def test_what_is_not_the_releases_at_the_hosts_own_address_fails_a_deploy_and_is_a_warning_of_the_doctors(
    judge: Judge, answer: str, other: str, fix: str
) -> None:
    seen = replace(OWN, answer=answer)
    what = f"shop: https://shop.example.com at {HERE} answers this machine with 200, from {other} than {RELEASE}"
    assert judge(seen) == [("stop", what, fix)]
    assert judge(seen, strict=False) == [("warn", what, fix)]
    assert judge(replace(seen, hop="trust", why="certificate has expired")) == [("stop", what, fix)]


def test_what_is_not_the_releases_elsewhere_is_a_warning_that_names_the_address(judge: Judge) -> None:
    site, here = f"shop: https://shop.example.com at {THERE}", f"(the host is at {HERE})"
    for tls in ("", "check_dns: false"):
        assert judge(replace(ELSEWHERE, answer="another"), tls=tls) == [
            (
                "warn",
                f"{site} answers from another release than {RELEASE} {here}",
                "if a server of this app is behind it, deploy there; if it is a cache, empty it",
            )
        ]
    silent = replace(ELSEWHERE, answer="", status=404)
    assert judge(silent) == [
        (
            "warn",
            f"{site} answers 404, and does not say from which release {here}",
            "correct the DNS record, or set tls.check_dns: false where a proxy stands in front",
        )
    ]
    assert judge(silent, tls="check_dns: false") == []


def test_a_closed_hop_is_named_once_for_each_address_and_reason(judge: Judge) -> None:
    www = replace(NAME, name="www.example.com")
    closed = [ended(replace(OWN, of=of, port=port), "tcp", "timed out") for of in (NAME, www) for port in (443, 80)]
    drops = "a firewall drops it, on the server or before it (the provider's own, a security group): open"
    assert judge(*closed) == [
        (
            "warn",
            f"shop.example.com, www.example.com: this machine cannot connect to ports 80 and 443 of {HERE} (timed out)",
            f"{drops} 80,443/tcp there",
        )
    ]
    refused = ended(replace(OWN, port=80), "tcp", "Connection refused")
    assert judge(OWN, refused, replace(closed[0], address=THERE)) == [
        (
            "warn",
            f"shop.example.com: this machine cannot connect to port 80 of {HERE} (Connection refused), so http:// leads "
            "nowhere, and an issuer that asks over HTTP gets no answer",
            "nothing listens there, or a firewall refuses it: open 80/tcp there",
        ),
        (
            "warn",
            f"shop.example.com: this machine cannot connect to port 443 of {THERE} (timed out)",
            f"{drops} 443/tcp there",
        ),
    ]


@pytest.mark.parametrize(
    ("hop", "why", "what", "fix"),
    [
        ("tls", "timed out", "gives this machine no TLS (timed out)", "see what is in between"),
        ("http", "timed out", "gives this machine no answer (timed out)", "see what is in between"),
        (
            "trust",
            "unable to get local issuer certificate",
            "has a certificate that this machine does not trust (unable to get local issuer certificate)",
            "if clients do, name the root certificate in tls.root_ca",
        ),
        (
            "trust",
            "certificate has expired",
            "has a certificate that this machine does not trust (certificate has expired)",
            outside.CERTIFICATE,
        ),
    ],
)
def test_what_ends_after_the_connection_is_named(judge: Judge, hop: str, why: str, what: str, fix: str) -> None:
    seen = replace(OWN, hop=hop, why=why) if hop == "trust" else ended(OWN, hop, why)
    assert judge(seen) == [("warn", f"shop: https://shop.example.com at {HERE} {what}", fix)]


def names(found: tuple[PublicName, ...]) -> list[tuple[str, str, str, bool]]:
    return [(one.name, one.path, one.release, one.tells) for one in found]


def test_the_public_names_are_those_of_what_is_activated(make_host: MakeHost, make_known: MakeFacts) -> None:
    host, known = make_host(f"{HOST}apps:\n{SHOP}"), make_known()
    deploy = roles.public(host, known.facts, roles.everything(host, *known))
    assert names(deploy) == [("shop.example.com", "/health", known.wanted.releases["shop"], True)]
    assert {str(one.ref) for one in deploy} == {"activation:shop"}
    assert roles.public(host, known.facts, roles.server(host, *known)) == ()


def test_a_restart_goes_by_the_site_that_the_server_has(make_host: MakeHost, make_known: MakeFacts) -> None:
    host = make_host(f"{HOST}apps:\n{SHOP}")
    release = ServerRelease("shop", RELEASE, "abc1234", ".", "active")
    for tells in ((), ("/etc/nginx/sites-enabled/zz-shop.conf",)):
        known = make_known(releases=(release,), nginx=Nginx(True, True, tells=tells))
        expected = [("shop.example.com", "/health", RELEASE, bool(tells))]
        assert names(roles.public(host, known.facts, roles.restarted(host, *known))) == expected
        assert names(roles.serving(host, known.facts)) == expected
    bare = make_host(f"hosts: {{web1: {{address: {HERE}, roles: [base, python, app]}}}}\napps:\n{SHOP}")
    assert roles.serving(bare, known.facts) == ()
    assert roles.public(bare, known.facts, roles.restarted(bare, *known)) == ()
