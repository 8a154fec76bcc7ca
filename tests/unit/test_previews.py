"""Releases that can be previewed, promoted, dropped; and what the inventory no longer names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.engine.resource import State
from provision.errors import PlanError
from provision.release.activation import Activation, Promotion
from provision.release.facts import ServerRelease
from provision.release.preview import NoPreview, Preview
from provision.release.removal import RemovedUnit
from provision.release.tree import Release
from provision.resources.git import Mirror
from tests.unit.tables import (
    BUSY,
    COMMIT,
    HOLD,
    HOST,
    NEWER,
    OLDEST,
    RELEASE,
    SERVER,
    SHOP,
    TOKEN,
    TWO,
    activation,
    ids,
    keep,
    released,
)

if TYPE_CHECKING:
    from provision.engine.resource import Resource
    from tests.unit.tables import MakeFacts, MakeHost


def test_a_hold_has_all_of_a_deploy_but_the_activation(make_host: MakeHost, make_known: MakeFacts) -> None:
    listed = {*SERVER, *RELEASE, *HOLD}
    found = roles.previewed(make_host(), *make_known(wanted={"token": TOKEN}))
    assert [name for name in ids(found) if name in listed] == SERVER + HOLD
    assert not [one for one in found if isinstance(one, Activation)]


def test_what_is_held_is_what_a_deploy_would_activate(make_host: MakeHost, make_known: MakeFacts) -> None:
    """So a deploy of the same commit only promotes it."""
    (hold,) = (
        one for one in roles.previewed(make_host(), *make_known(wanted={"token": TOKEN})) if isinstance(one, Preview)
    )
    wanted = activation(roles.everything(make_host(), *make_known()))
    assert (hold.slot, hold.release, hold.folder, hold.fingerprint) == (
        wanted.slot,
        wanted.release,
        wanted.folder,
        wanted.fingerprint,
    )
    assert hold.token == TOKEN


def test_two_apps_are_held_with_one_token(make_host: MakeHost, make_known: MakeFacts) -> None:
    found = roles.previewed(
        make_host(TWO), *make_known(commits={"shop": COMMIT, "blog": COMMIT}, wanted={"token": TOKEN})
    )
    assert [(one.slot.app, one.token) for one in found if isinstance(one, Preview)] == [
        ("shop", TOKEN),
        ("blog", TOKEN),
    ]


def test_a_host_without_apps_holds_nothing(make_host: MakeHost, make_known: MakeFacts) -> None:
    host = make_host(f"{HOST}roles: [base]\napps:\n{SHOP}")
    assert ids(roles.previewed(host, *make_known(wanted={"token": TOKEN}))) == ids(roles.server(host, *make_known()))


def test_the_release_that_is_held_is_promoted_and_no_other(make_host: MakeHost, make_known: MakeFacts) -> None:
    facts = make_known(commits={}, releases=keep("good", "-", "active", "new"), previews={"shop": (NEWER, TOKEN)})
    found = roles.promoted(make_host(TWO), *facts)
    assert [(one.slot.app, one.release) for one in found if isinstance(one, Promotion)] == [("shop", NEWER)]
    assert not [one for one in found if isinstance(one, Activation | Release | Mirror)]


def test_a_release_is_promoted_with_the_hooks_of_its_own_folder(make_host: MakeHost, make_known: MakeFacts) -> None:
    kept = (
        ServerRelease("shop", NEWER, "4" * 40, "services/shop", "new"),
        ServerRelease("blog", NEWER, "4" * 40, "blog", "new"),
    )
    facts = make_known(commits={}, releases=kept, previews={"shop": (NEWER, TOKEN)})
    host = make_host(f"{HOST}apps:\n{SHOP[:-2]}, processes: {{worker: run}}, hooks: {{after: tell}}}}\n")
    (promotion,) = (one for one in roles.promoted(host, *facts) if isinstance(one, Promotion))
    assert promotion.folder == "services/shop"
    assert promotion.slot.after == "tell"


@pytest.mark.parametrize("held", [{}, {"gone": (NEWER, TOKEN)}], ids=["nothing", "of an app that is not declared"])
def test_a_promotion_without_a_release_that_is_held_is_refused(
    held: dict[str, tuple[str, str]], make_host: MakeHost, make_known: MakeFacts
) -> None:
    with pytest.raises(PlanError) as caught:
        roles.promoted(make_host(), *make_known(commits={}, previews=held))
    assert str(caught.value) == "web1: no release is held here: invoke deploy --hold holds one"


def test_a_promotion_is_refused_where_the_host_has_no_apps(make_host: MakeHost, make_known: MakeFacts) -> None:
    host = make_host(f"{HOST}roles: [base, web]\napps:\n{SHOP}")
    with pytest.raises(PlanError, match=r"^web1: no release is held here"):
        roles.promoted(host, *make_known(commits={}, previews={"shop": (NEWER, TOKEN)}))


def test_a_rollback_drops_what_is_held_and_touches_nothing_else(make_host: MakeHost, make_known: MakeFacts) -> None:
    kept = (*keep("good", "good", "active", "new"), *keep("-", "active", app="blog"))
    facts = make_known(commits={}, releases=kept, previews={"shop": (NEWER, TOKEN)})
    found = roles.rolled_back(make_host(TWO), *facts)
    assert ids(found) == ["hold:shop"]
    (dropped,) = found
    assert isinstance(dropped, NoPreview)
    assert dropped.release == NEWER


def test_a_rollback_to_a_release_that_is_named_goes_there_whatever_is_held(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    facts = make_known(commits={}, releases=keep("good", "good", "active", "new"), previews={"shop": (NEWER, TOKEN)})
    assert released(roles.rolled_back(make_host(), *facts, OLDEST)) == {"shop": OLDEST}
    assert released(roles.rolled_back(make_host(), *facts, NEWER)) == {"shop": NEWER}


def test_what_is_held_of_an_app_that_is_not_declared_does_not_matter(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    facts = make_known(commits={}, releases=keep("good", "-", "active"), previews={"gone": (NEWER, TOKEN)})
    assert released(roles.rolled_back(make_host(), *facts)) == {"shop": OLDEST}


SLOTS = [f"shop@{slot}.{kind}" for slot in ("blue", "green") for kind in ("service", "socket")]


def retired(resources: tuple[Resource, ...]) -> list[str]:
    return [one.path for one in resources if isinstance(one, RemovedUnit)]


def test_units_that_the_inventory_does_not_name_any_more_go_once_the_release_serves(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    paths = [
        f"/etc/systemd/system/{name}"
        for name in (
            *SLOTS,
            "shop-worker.service",
            "shop-mail.service",
            "shop-tidy.timer",
            "shop-tell.timer",
            "shop@.service",
        )
    ]
    units = (*(("shop", path) for path in paths), ("blog", "/etc/systemd/system/blog-x.service"))
    found = roles.everything(make_host(BUSY), *make_known(managed=units))
    gone = ["shop-mail.service", "shop-tell.timer", "shop@.service"]
    assert retired(found) == [f"/etc/systemd/system/{name}" for name in gone]
    assert all(ids(found).index(f"retired:{name}") > ids(found).index("activation:shop") for name in gone)
    assert {change.phase for one in found if isinstance(one, RemovedUnit) if (change := one.plan(State(), {}))} == {
        "finish"
    }


def test_an_apps_units_and_timers_come_before_its_release_and_only_that_makes_systemd_read_them(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    found = ids(roles.everything(make_host(BUSY), *make_known()))
    units = "/etc/shop/units"
    listed = [
        f"directory:{units}",
        f"file:{units}/shop@.service",
        f"file:{units}/shop@.socket",
        f"file:{units}/shop-worker.service",
        f"file:{units}/shop-tidy.service",
        f"file:{units}/shop-tidy.timer",
        "activation:shop",
    ]
    assert [name for name in found if name in listed] == listed
    assert not [name for name in found if "/etc/systemd/system/shop" in name or name.startswith("service:shop")]


def test_a_release_that_is_held_leaves_the_one_that_serves_its_processes(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    """What the inventory does not name any more goes with the traffic: until then, the release that has it needs it."""
    units = (("shop", "/etc/systemd/system/shop-mail.service"), ("shop", "/etc/systemd/system/shop-tell.timer"))
    facts = make_known(managed=units, wanted={"token": TOKEN}, previews={"shop": (NEWER, TOKEN)})
    assert retired(roles.previewed(make_host(BUSY), *facts)) == []
    assert retired(roles.promoted(make_host(BUSY), *facts)) == [path for _, path in units]


def test_a_hold_starts_no_timer_and_a_promotion_starts_those_of_the_slot(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    """They are among the slot's copies; an activation, and nothing else, makes systemd read them."""
    facts = make_known(wanted={"token": TOKEN}, previews={"shop": (NEWER, TOKEN)})
    held = roles.previewed(make_host(BUSY), *facts)
    (hold,) = (one for one in held if isinstance(one, Preview))
    assert "units/shop-tidy.timer" in dict(hold.slot.copies)
    assert ids(roles.promoted(make_host(BUSY), *facts)) == ["activation:shop"]
    for found in (held, roles.promoted(make_host(BUSY), *facts)):
        assert not [name for name in ids(found) if name.startswith("service:shop") or "/etc/systemd/system" in name]
