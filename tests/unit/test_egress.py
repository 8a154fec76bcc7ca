from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from provision.engine.resource import Change, State
from provision.resources.egress import Egress
from provision.roles.hardening import hardening

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.tables import MakeFacts, MakeHost

SHOP = Egress("my-shop", "my-shop-build")


def state(content: str = "", listens: tuple[str, ...] = (), live: str = "yes", boot: str = "yes") -> State:
    encoded = base64.b64encode(content.encode()).decode()
    return State.of({"content": encoded, "live": live, "boot": boot}, *({"listens": one} for one in listens))


def rules(wanted: Egress) -> list[str]:
    """The rules that the server gets, from the diff of its plan."""
    change = wanted.plan(state(), {})
    assert change is not None
    return [line[1:].strip() for line in change.diff.splitlines()[3:]]


def test_an_app_and_its_builder_have_a_table_of_their_own() -> None:
    found = rules(SHOP)
    assert "table inet provision_app_my_shop" in found
    assert {'meta skuid "my-shop" jump app', 'meta skuid "my-shop-build" jump both'} <= {*found}
    assert "tcp dport { 80, 443 } return" in found


@pytest.mark.parametrize(
    ("to", "last"),
    [
        (None, ["meta l4proto { tcp, udp } th dport 53 accept"]),
        ((), ["jump refuse"]),
        (
            ("10.0.0.0/8", "fd00::/8"),
            ["ip daddr { 10.0.0.0/8 } accept", "ip6 daddr { fd00::/8 } accept", "jump refuse"],
        ),
    ],
)
def test_other_machines_are_open_unless_networks_are_named(to: tuple[str, ...] | None, last: list[str]) -> None:
    found = rules(Egress("shop", "shop-build", to=to))
    end = found.index("}", found.index("chain app {"))
    assert found[end - len(last) : end] == last


def test_it_is_right_drifts_and_goes() -> None:
    content = "".join(f"{line}\n" for line in (SHOP.plan(state(), {}) or Change(SHOP.ref, "", "")).diff.splitlines())
    text = "".join(f"{line[1:]}\n" for line in content.splitlines()[3:])
    assert SHOP.plan(state(text), {}) is None
    drifts: list[dict[str, Any]] = [{"live": "no"}, {"boot": "no"}]
    for drift in drifts:
        change = SHOP.plan(state(text, **drift), {})
        assert change is not None
        assert change.summary == "my-shop: load again where it may connect to"
    off = Egress("my-shop", "my-shop-build", wanted=False)
    gone = off.plan(state(text), {})
    assert gone is not None
    assert gone.summary == "my-shop: may connect to anything again"
    assert off.plan(state(), {}) is None


def test_what_an_app_will_not_reach_is_named_where_that_changes() -> None:
    seen = state(listens=("22 sshd", "80 nginx", "5432 postgres", "6379 redis-server"))
    wanted = Egress("shop", "shop-build", local=(6379,))
    (found,) = wanted.findings(seen, {wanted.ref: Change(wanted.ref, "", "")})
    assert str(found) == (
        "shop may not connect to what listens on the server: 5432 postgres: if it has to, name it: egress: {local: [5432]}"
    )
    assert wanted.findings(seen, {}) == ()


def test_the_probe_asks_what_listens_only_where_something_changes(
    stand_in: Callable[[str, str], Path], observe: Callable[..., Any]
) -> None:
    stand_in("ss", "echo 'LISTEN 0 128 127.0.0.1:5432 0.0.0.0:* users:((\"postgres\",pid=2,fd=3))'")
    found, none = observe(SHOP, Egress("blog", "blog-build", wanted=False))
    assert (found["live"], found.all("listens"), none.all("listens")) == ("no", ("5432 postgres",), ())


TEXT = "hosts: {web1: 203.0.113.10}\nhardening: {%s}\napps:\n  shop: {source: https://git.example.com/shop.git, module: shop:app, domains: [a.test]%s}\n"


def test_each_app_has_what_the_inventory_gives_it(make_host: MakeHost, make_known: MakeFacts) -> None:
    host = make_host(TEXT % ("egress: true", ", egress: {local: [5432], to: [10.0.0.0/8]}"))
    (found,) = (one for one in hardening(host, *make_known()) if isinstance(one, Egress))
    assert found == Egress("shop", "shop-build", True, (5432,), ("10.0.0.0/8",))


def test_egress_without_the_part_that_limits_it_is_refused(make_host: MakeHost) -> None:
    with pytest.raises(Exception, match=r"egress of shop has no effect without hardening: \{egress: true\}"):
        make_host(TEXT % ("ssh: true", ", egress: {to: []}"))
