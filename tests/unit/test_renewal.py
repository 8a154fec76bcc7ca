from __future__ import annotations

from dataclasses import replace

import pytest

from provision.engine.resource import State
from provision.errors import PlanError
from provision.inventory import Host
from provision.release import certificates
from provision.resources.certificate import LIVE, Certificate
from provision.resources.renewal import Renewal

ACME = "https://acme.example.com/directory"
SHOP = Certificate("shop", ("www.example.com", "shop.example.com"), ACME, "ops@example.com", "203.0.113.10")
THERE = {
    "target": f"{LIVE}/shop",
    "lineage": "shop",
    "state": "whole",
    "server": ACME,
    "names": "shop.example.com www.example.com",
    "days": "60",
    "wait": "",
}
HERE = {"here": "203.0.113.10"}
ELSEWHERE = tuple({"domain": name, "addresses": "198.51.100.7"} for name in SHOP.domains)
TO_HERE = tuple({"domain": name, "addresses": "203.0.113.10"} for name in SHOP.domains)


def test_where_another_issuer_is_asked_the_certificate_that_serves_stays_until_there_is_one() -> None:
    change = SHOP.plan(State.of({**THERE, "server": "https://old.example.com/"}, HERE, *TO_HERE), {})
    assert change
    assert " replace " in change.script
    assert (
        SHOP.plan(State.of({**THERE, "server": "https://old.example.com/", "wait": "soon"}, HERE, *TO_HERE), {}) is None
    )


@pytest.mark.parametrize(
    "names", ["shop.example.com www.example.com", "a.example.com shop.example.com www.example.com"]
)
def test_dns_that_leads_elsewhere_is_a_warning_while_a_certificate_serves_all_domains(names: str) -> None:
    state = State.of({**THERE, "server": "https://old.example.com/", "names": names}, HERE, *ELSEWHERE)
    assert SHOP.plan(state, {}) is None
    (found,) = SHOP.findings(state, {})
    assert (found.level, "serves on" in found.what) == ("warn", True)


@pytest.mark.parametrize(
    "other",
    [{"names": "shop.example.com"}, {"days": "0"}, {"days": "-3"}, {"state": "broken"}, {"target": "placeholder/shop"}],
)
def test_it_is_an_error_where_none_does(other: dict[str, str]) -> None:
    state = State.of({**THERE, "server": "https://old.example.com/", **other}, HERE, *ELSEWHERE)
    assert SHOP.findings(state, {}) == ()
    with pytest.raises(PlanError, match=r"points to 198\.51\.100\.7"):
        SHOP.plan(state, {})


def test_a_certificate_that_is_wanted_says_nothing() -> None:
    assert SHOP.findings(State.of(THERE), {}) == ()
    assert SHOP.plan(State.of(THERE), {}) is None


def test_a_renewal_asks_the_directory_again_whatever_is_left() -> None:
    change = Renewal(SHOP).plan(State.of(THERE), {})
    assert change
    assert change.ref == SHOP.ref, "nginx reloads what the certificate's change is"
    assert change.summary.endswith(", 60 days before its end")
    assert "certificate_renew shop" in change.script


@pytest.mark.parametrize(
    "other",
    [
        {"server": "https://old.example.com/"},
        {"names": "shop.example.com"},
        {"state": "linkless"},
        {"target": "files/shop"},
    ],
)
def test_nothing_is_renewed_but_what_nginx_reads_from_this_directory(other: dict[str, str]) -> None:
    with pytest.raises(PlanError, match="that could be renewed: deploy"):
        Renewal(SHOP).plan(State.of({**THERE, **other}), {})


def test_a_directory_is_asked_again_within_the_hour_by_force_alone() -> None:
    state = State.of({**THERE, "wait": "2026-11-28T01:00:00Z"})
    with pytest.raises(PlanError, match="at 2026-11-28T01:00:00Z, or now with --force"):
        Renewal(SHOP).plan(state, {})
    assert Renewal(replace(SHOP, again=True)).plan(state, {})


def test_what_a_server_says_of_its_certificates_is_read() -> None:
    line = "app=shop\tdomains=shop.example.com\tissuer=CN=R3\tserial=0A\tuntil=2027-01-01T00:00:00Z\tdays=30\trenewal={}\tlast={}"
    host = Host.model_construct(name="web1", apps={"shop": None})
    (good,) = certificates.infos(host, [line.format("certbot", "2026-11-28T00:00:00Z"), ""])
    assert (good.days, good.serial, good.renewed, good.failed) == (30, "0A", "2026-11-28T00:00:00Z", "")
    (bad,) = certificates.infos(host, [line.format("certbot", "2026-11-28T00:00:00Z timed \x1b[31mout")])
    assert (bad.renewed, bad.failed.startswith("2026-11-28T00:00:00Z timed ")) == ("", True)
    assert "\x1b" not in bad.failed
    for wrong in (line.format("magic", ""), line.format("certbot", "").replace("shop", "blog", 1)):
        with pytest.raises(ValueError, match="was not asked for"):
            certificates.infos(host, [wrong])
