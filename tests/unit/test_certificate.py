from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from provision.engine.resource import State
from provision.errors import PlanError
from provision.resources import certificate as module
from provision.resources.certificate import WEBROOT, Certificate, Placeholder, ProvidedCertificate, Switch
from provision.resources.domains import Domains

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Observe = Callable[..., tuple[State, ...]]
    Call = Callable[..., subprocess.CompletedProcess[str]]

ACME = "https://acme.example.com/directory"
SHOP = Certificate("shop", ("www.example.com", "shop.example.com"), ACME, "ops@example.com", "203.0.113.10")
NAMES = "shop.example.com www.example.com"
LIVE = "/etc/letsencrypt/live/shop"
HERE = (
    {"here": "10.0.0.5 203.0.113.10 2001:db8::1 203.0.113.10"},
    {"domain": "www.example.com", "addresses": "203.0.113.10 "},
    {"domain": "shop.example.com", "addresses": "203.0.113.10 2001:db8::1 "},
)


def seen(
    target: str = "", own: str = "", own_days: str = "", server: str = "", names: str = "", days: str = ""
) -> dict[str, str]:
    return {
        "target": target,
        "placeholder_names": own,
        "placeholder_days": own_days,
        "server": server,
        "names": names,
        "days": days,
        "lineage": "shop" if server else "",
        "state": "whole" if server else "",
    }


FINAL = Placeholder("shop", SHOP.domains, final=True)
FIRST = Placeholder("shop", SHOP.domains)


@pytest.mark.parametrize(
    ("resource", "row", "changes"),
    [
        (FIRST, seen(), True),
        (FIRST, seen("placeholder/shop", NAMES, "3000"), False),
        (FIRST, seen("placeholder/shop", "other.example.com", "3000"), False),
        (FIRST, seen(LIVE, NAMES, "1"), False),
        (FINAL, seen(), True),
        (FINAL, seen("placeholder/shop", NAMES, "3000"), False),
        (FINAL, seen("placeholder/shop", "other.example.com", "3000"), True),
        (FINAL, seen("placeholder/shop", NAMES, "14"), True),
        (FINAL, seen("placeholder/shop"), True),
        (FINAL, seen(LIVE, NAMES, "3000"), True),
        (FINAL, seen("", NAMES, "3000"), True),
    ],
)
def test_a_placeholder_is_made_where_nginx_would_have_none_or_a_wrong_final_one(
    resource: Placeholder, row: dict[str, str], changes: bool
) -> None:
    change = resource.plan(State.of(row), {})
    assert (change is not None) is changes
    if change:
        assert change.id == str(resource.ref)
        assert change.summary == "self-signed certificate for www.example.com, shop.example.com"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (seen(), f"certificate for www.example.com, shop.example.com from {ACME}"),
        (seen(LIVE, server=ACME, names=NAMES, days="60"), None),
        (
            seen(LIVE, server=ACME, names=NAMES, days="14"),
            f"renew the certificate for www.example.com, shop.example.com from {ACME}",
        ),
        (
            seen(LIVE, server=ACME, names="shop.example.com", days="60"),
            f"certificate for www.example.com, shop.example.com from {ACME}",
        ),
        (
            seen(LIVE, server="https://other.example.com/directory", names=NAMES, days="60"),
            f"certificate for www.example.com, shop.example.com from {ACME}",
        ),
        (
            seen("placeholder/shop", server=ACME, names=NAMES, days="60"),
            f"put the certificate in order that there is for www.example.com, shop.example.com from {ACME}",
        ),
    ],
)
def test_a_certificate_is_had_where_there_is_none_that_fits(row: dict[str, str], expected: str | None) -> None:
    change = SHOP.plan(State.of(row, *HERE), {})
    assert (change.summary if change else None) == expected
    assert change is None or change.id == str(SHOP.ref)


@pytest.mark.parametrize(
    ("row", "how"),
    [
        (seen(), "new"),
        (seen("placeholder/shop", server=ACME, names=NAMES, days="60"), "no"),
        (seen(LIVE, server=ACME, names=NAMES, days="5"), "renew"),
        (seen(LIVE, server=ACME, names=NAMES, days="0"), "force"),
        (seen(LIVE, server=ACME, names=NAMES, days="-3"), "force"),
        (seen(LIVE, server=ACME, names="old.example.com", days="60"), "force"),
    ],
)
def test_the_authority_is_asked_only_for_what_is_not_there(row: dict[str, str], how: str) -> None:
    change = SHOP.plan(State.of(row, *HERE), {})
    assert change is not None
    assert f" {how} {WEBROOT} " in change.script


def test_a_certificate_by_dns_is_renewed_by_dns_and_needs_no_name_that_leads_here() -> None:
    dns = replace(SHOP, domains=("shop.example.com", "*.shop.example.com"), dns="rfc2136", wait=7)
    names = "*.shop.example.com shop.example.com"
    first = dns.plan(State.of(seen()), {})
    assert first is not None
    assert "none rfc2136 7 shop.example.com '*.shop.example.com'" in first.script
    ours = {**seen(LIVE, server=ACME, names=names, days="60"), "dns": "rfc2136"}
    assert dns.plan(State.of(ours), {}) is None
    over_http = dns.plan(State.of({**ours, "dns": ""}), {})
    assert over_http is not None
    assert " replace " in over_http.script
    back = replace(SHOP, domains=("shop.example.com",)).plan(
        State.of({**ours, "names": "shop.example.com"}, HERE[0], HERE[2]), {}
    )
    assert back is not None


def test_an_issuer_that_was_just_asked_is_asked_again_only_if_that_is_wished() -> None:
    asked = State.of({**seen(), "wait": "2026-05-04T12:00:00Z"}, *HERE)
    with pytest.raises(
        PlanError, match=r"shop: .* asked again at 2026-05-04T12:00:00Z, or now with --force$"
    ) as caught:
        SHOP.plan(asked, {})
    assert "\n" not in str(caught.value)
    assert replace(SHOP, again=True).plan(asked, {}) is not None
    fits = {**seen(LIVE, server=ACME, names=NAMES, days="60"), "wait": "2026-05-04T12:00:00Z"}
    assert SHOP.plan(State.of(fits), {}) is None


def test_a_certificate_that_is_held_is_in_order_before_nginx_reads_it() -> None:
    ready = State.of({**seen("before/shop", server=ACME, names=NAMES, days="60"), "next": LIVE})
    held = replace(SHOP, held=True)
    assert held.plan(ready, {}) is None
    assert SHOP.plan(ready, {}) is not None
    assert Switch("shop").plan(State(), {}) is None
    assert Switch("shop").plan(State.of({"type": "symbolic link"}), {}) is not None


def test_a_certificate_that_is_still_good_stops_no_deploy_and_its_issuer_is_asked_once_an_hour() -> None:
    ends = seen(LIVE, server=ACME, names=NAMES, days="5")
    asked = {**ends, "wait": "2026-05-04T12:00:00Z"}
    assert SHOP.plan(State.of(asked), {}) is None
    again = replace(SHOP, again=True).plan(State.of(asked), {})
    assert again is not None
    assert " renew " in again.script
    unlinked = SHOP.plan(State.of({**asked, "target": "placeholder/shop"}), {})
    assert unlinked is not None
    assert " no " in unlinked.script
    with pytest.raises(PlanError, match="may be asked again"):
        SHOP.plan(State.of({**asked, "days": "0"}), {})


@pytest.mark.parametrize(
    ("addresses", "refused"),
    [
        ("203.0.113.10 ", False),
        ("203.0.113.10 2001:db8::1 ", False),
        ("203.0.113.10 2001:db8::1 2001:db8::2 ", False),
        ("2001:db8::1 ", False),
        ("203.0.113.10 2001:db8::9 ", True),
    ],
)
def test_an_ipv6_address_that_leads_elsewhere_is_refused_though_the_other_is_right(
    addresses: str, refused: bool
) -> None:
    state = State.of(seen(), HERE[0], HERE[1], {"domain": "shop.example.com", "addresses": addresses})
    if refused:
        with pytest.raises(
            PlanError, match=r"the AAAA record of shop\.example\.com points to 2001:db8::9, not to this server"
        ):
            SHOP.plan(state, {})
    else:
        assert SHOP.plan(state, {}) is not None


@pytest.mark.parametrize("knows", ["yes", "no"])
def test_an_ipv6_address_is_seen_though_the_server_has_none_and_with_an_old_getent_too(
    knows: str, observe: Observe, stand_in: Callable[[str, str], Path]
) -> None:
    both = "printf '203.0.113.10 STREAM x\\n2001:db8::9 STREAM x\\n'"
    stand_in(
        "getent",
        f"""case "{knows} $*" in 'yes -A '*) {both} ;; 'no -A '*) exit 64 ;; *' hosts '* | 'no hosts '*) echo '2001:db8::9 x' ;;
            *) echo '203.0.113.10 STREAM x' ;; esac""",
    )
    (state,) = observe(Domains("shop", ("shop.example.com",), "203.0.113.10"))
    assert [set(each["addresses"].split()) for each in state.records if "domain" in each] == [
        {"203.0.113.10", "2001:db8::9"}
    ]


def test_a_domain_that_does_not_resolve_is_refused_before_anything_is_touched() -> None:
    state = State.of(seen(), HERE[0], HERE[1], {"domain": "shop.example.com", "addresses": ""})
    with pytest.raises(
        PlanError, match=r"shop: shop\.example\.com does not resolve: add a DNS record .* 203\.0\.113\.10"
    ):
        SHOP.plan(state, {})


def test_a_domain_that_leads_elsewhere_is_refused_before_anything_is_touched() -> None:
    state = State.of(seen(), HERE[0], HERE[1], {"domain": "shop.example.com", "addresses": "198.51.100.7 "})
    with pytest.raises(PlanError, match=r"shop\.example\.com points to 198\.51\.100\.7, not to this server") as caught:
        SHOP.plan(state, {})
    assert "\n" not in str(caught.value)
    assert replace(SHOP, check_dns=False).plan(state, {}) is not None


def test_dns_is_not_asked_for_a_certificate_that_fits() -> None:
    assert SHOP.plan(State.of(seen(LIVE, server=ACME, names=NAMES, days="5")), {}) is not None


def test_a_placeholder_that_was_made_is_right(tmp_path: Path, observe: Observe, make: Call, call: Call) -> None:
    assert make(FINAL.plan(State(), {})).returncode == 0
    (state,) = observe(FINAL)
    assert FINAL.plan(state, {}) is None
    assert (state["target"], state["placeholder_names"]) == ("placeholder/shop", NAMES)
    assert replace(FINAL, domains=("shop.example.com",)).plan(state, {}) is not None
    assert (tmp_path / "etc/ssl/provision" / "shop" / "privkey.pem").stat().st_mode & 0o777 == 0o600
    assert {path.name for path in (tmp_path / "etc/ssl/provision").iterdir()} == {"shop", "placeholder"}
    ran = call(
        [module],
        f"certificate_read '{tmp_path}/etc/ssl/provision/shop/fullchain.pem'; printf '%s\\n' \"$its_names\" \"$its_days\"",
    )
    names, days = ran.stdout.splitlines()
    assert names == NAMES
    assert int(days) in (3649, 3650)


def test_an_acme_certificate_is_seen_with_its_directory_names_and_days(
    tmp_path: Path, observe: Observe, make: Call
) -> None:
    make(FINAL.plan(State(), {}))
    lineage(tmp_path, "shop")
    (state,) = observe(SHOP)
    assert (state["server"], state["names"], state["lineage"], state["state"]) == (ACME, NAMES, "shop", "whole")
    assert (int(state["days"]) > 3600, state["dns"]) == (True, "")
    assert len(state) == 1
    renewal = tmp_path / "etc/letsencrypt/renewal/shop.conf"
    renewal.write_text(f"{renewal.read_text()}dns_rfc2136_credentials = /etc/provision/dns.ini\n")
    (state,) = observe(SHOP)
    assert state["dns"] == "rfc2136"


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        ("rm -r live", ("shop", "linkless", "")),
        ("ln -sfn ../../archive/shop/none.pem live/shop/chain.pem", ("shop", "linkless", "")),
        (": >archive/shop/privkey1.pem", ("", "", "shop")),
        (": >renewal/shop.conf", ("", "", "shop")),
        ("rm renewal/shop.conf", ("", "", "shop")),
        ("mkdir live/shop-0001 archive/shop-0002 live/shopping-0001", ("shop", "whole", "shop-0001 shop-0002")),
        (
            "mv renewal/shop.conf renewal/other.conf; mv archive/shop archive/other; rm -r live",
            ("other", "linkless", ""),
        ),
    ],
)
def test_what_is_wrong_with_a_lineage_is_seen(
    tmp_path: Path, observe: Observe, make: Call, call: Call, harm: str, expected: tuple[str, str, str]
) -> None:
    make(FINAL.plan(State(), {}))
    lineage(tmp_path, "shop")
    assert call([], f"cd '{tmp_path}/etc/letsencrypt'; {harm}").returncode == 0
    (state,) = observe(SHOP)
    assert (state["lineage"], state["state"], state["spare"]) == expected


def lineage(root: Path, name: str) -> None:
    """The placeholder's certificate, as certbot keeps one."""
    certbot = root / "etc/letsencrypt"
    made = root / "etc/ssl/provision/placeholder" / name
    for folder in ("live", "archive"):
        (certbot / folder / name).mkdir(parents=True)
    (certbot / "renewal").mkdir()
    kinds = {"cert": "fullchain", "chain": "fullchain", "fullchain": "fullchain", "privkey": "privkey"}
    for kind, source in kinds.items():
        (certbot / "archive" / name / f"{kind}1.pem").write_bytes((made / f"{source}.pem").read_bytes())
        (certbot / "live" / name / f"{kind}.pem").symlink_to(f"../../archive/{name}/{kind}1.pem")
    conf = [f"{kind} = {certbot}/live/{name}/{kind}.pem\n" for kind in kinds]
    (certbot / "renewal" / f"{name}.conf").write_text("".join((*conf, f"[renewalparams]\nserver = {ACME}\n")))


def test_where_a_certificate_is_yet_to_be_had_the_addresses_come_too(tmp_path: Path, observe: Observe) -> None:
    local = replace(SHOP, domains=("localhost",), address="127.0.0.1")
    (state,) = observe(local)
    assert [next(iter(each)) for each in state.records] == ["target", "here", "domain"]
    assert "127.0.0.1" in state["here"].split()
    assert state["domain"] == "localhost"
    assert state["addresses"].split()


def test_a_file_that_is_no_certificate_has_no_names_and_no_days(tmp_path: Path, call: Call) -> None:
    (tmp_path / "junk").write_text("junk")
    ran = call([module], f"certificate_read '{tmp_path}/junk'; echo \"$its_names$its_days$its_public\"")
    assert ran.stdout.strip() == ""


def test_a_certificate_from_files_is_installed_with_its_key_and_repaired(
    tmp_path: Path, observe: Observe, make: Call, me: tuple[str, str]
) -> None:
    chain, key = "a certificate\nand its authority's\n", "a\nsecret\nkey\n"
    given = ProvidedCertificate("shop", SHOP.domains, chain, key)
    assert "secret" not in f"{given}"

    def right(resource: ProvidedCertificate) -> bool:
        (state,) = observe(resource)
        owner = [tuple(field.replace(":".join(me), "root:root") for field in row) for row in state]
        return resource.plan(State(owner), {}) is None

    assert not right(given)
    for resource in (replace(given, key="an older key\n"), given):
        change = resource.plan(State(), {})
        assert change is not None
        assert change.summary == "certificate for www.example.com, shop.example.com, from its files"
        assert change.diff == ""
        assert make(change).returncode == 0
        assert right(resource)
        assert len(list((tmp_path / "etc/ssl/provision" / "files").iterdir())) == 1, "the one before is gone"
    folder = tmp_path / "etc/ssl/provision" / "shop"
    assert [(folder / name).read_text() for name in ("fullchain.pem", "privkey.pem")] == [chain, key]
    assert [(folder / name).stat().st_mode & 0o777 for name in ("fullchain.pem", "privkey.pem")] == [0o644, 0o600]
    for harm in (
        lambda: (folder / "privkey.pem").write_text("another"),
        lambda: (folder / "privkey.pem").chmod(0o640),
        lambda: (folder / "fullchain.pem").unlink(),
        folder.unlink,
    ):
        harm()
        assert not right(given)
        assert make(given.plan(State(), {})).returncode == 0
        assert right(given)


def test_without_openssl_a_certificate_in_use_is_left_alone() -> None:
    """Neither put aside as broken, nor asked for again: openssl is installed first, and the next run can read it."""
    assert SHOP.plan(State.of({"unread": "yes"}), {}) is None
