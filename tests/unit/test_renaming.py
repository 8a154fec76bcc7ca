"""An app takes over from another, which it was before it had another name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.engine.resource import Change, Ref, State
from provision.errors import PlanError
from provision.release import shell
from provision.release.activation import Activation
from provision.release.migration import Migration
from provision.release.present import PresentApp
from provision.release.takeover import Takeover
from provision.release.uninstall import Uninstalled, inherited
from provision.resources.file_set import FileSet
from provision.resources.service import Service
from tests.unit.tables import BLOG, COMMIT, HOST, SHOP, ids

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.conftest import Run
    from tests.unit.tables import MakeFacts, MakeHost

STORE = PresentApp("store", ("shop.example.com",), "", ("store@blue.service",))
RENAMED = SHOP.replace("domains:", "renamed_from: store, domains:")
TEXT = f"{HOST}apps:\n{RENAMED}"
SITE = Ref("uninstalled", "store/site")


def test_it_serves_before_it_has_the_site_and_the_old_one_goes_last(make_host: MakeHost, make_known: MakeFacts) -> None:
    found = roles.everything(make_host(TEXT), *make_known(present=(STORE,)))
    order = ids(found)
    assert len(order) == len({*order})
    steps = [
        "files:nginx-first",
        "certificate:/etc/ssl/provision/shop",
        "check:shop",
        "activation:shop",
        "files:nginx",
        "service:nginx",
    ]
    steps += [f"uninstalled:store/{part}" for part in ("runs", "certificate", "files", "data", "users", "record")]
    assert [
        name
        for name in order
        if name in {*steps, "service:nginx-first", "service:nginx-certificates", "migration:shop", str(SITE)}
    ] == steps
    late = [one for one in found if isinstance(one, FileSet | Service) and one.phase == "finish"]
    assert [str(one.ref) for one in late] == ["files:nginx", "service:nginx"]
    (takes,) = (one for one in found if isinstance(one, Takeover))
    assert isinstance(takes.migration, Migration)


def test_another_deploy_leaves_both_as_they_are(make_host: MakeHost, make_known: MakeFacts) -> None:
    host = make_host(f"{TEXT}{BLOG}")
    facts, wanted = make_known(present=(STORE,), commits={"blog": COMMIT}, wanted={"app": "blog"})
    found = ids(roles.everything(host, facts, wanted))
    assert not [name for name in found if name.startswith(("uninstalled:", "activation:shop")) or name == "files:nginx"]
    assert "service:nginx-certificates" in found
    assert roles.strangers(host, facts) == ()


def test_once_the_old_one_is_gone_its_name_changes_nothing(make_host: MakeHost, make_known: MakeFacts) -> None:
    found = roles.everything(make_host(TEXT), *make_known())
    assert [one for one in found if isinstance(one, Activation)]
    rest = [one for one in found if isinstance(one, Uninstalled)]
    assert len(rest) == 8
    there = State.of({"thing": "/srv/store"})
    assert [one.plan(there, {}) for one in rest] == [None] * 8


def test_what_is_left_after_a_run_that_was_killed_goes() -> None:
    *_, record, adopted = inherited("store", "shop", taken=False)
    change = record.plan(State.of({"heir": "yes"}, {"thing": "/var/lib/provision/apps/store"}), {})
    assert change is not None
    assert change.script.endswith("uninstall_record store no\nuninstall_inherited store shop")
    change = adopted.plan(
        State.of({"heir": "yes"}, {"thing": "user:store"}, {"thing": "passed:/etc/nginx/sites-enabled/a"}), {}
    )
    assert change is not None
    assert (
        change.summary
        == "store: pass on what it adopted (/etc/nginx/sites-enabled/a); put back the user store as it was"
    )
    assert change.script.splitlines() == [
        "adopted_pass_on store shop",
        "layout_app store",
        "uninstall_adopted store no",
        "uninstall_inherited store shop",
    ]


def test_an_app_passes_on_the_sites_that_it_adopted(root: Path, call: Callable[..., Run]) -> None:
    adopted = root / "var/lib/provision/adopted"
    for app, site in (("store", "a"), ("shop", "b")):
        enabled = adopted / app / "tree/etc/nginx/sites-enabled"
        enabled.mkdir(parents=True)
        (enabled / site).symlink_to(f"../sites-available/{site}")
        (adopted / app / "sites").write_text(f"/etc/nginx/sites-enabled/{site}\n")
    (adopted / "store/user").write_text("-\n-\n\n")
    mark = root / "var/lib/provision/apps/shop/takes-over"
    mark.parent.mkdir(parents=True)
    mark.write_text("store\n")
    modules = [shell]
    for _ in "again":
        ran = call(modules, "adopted_pass_on store shop; uninstall_inherited store shop")
        assert (ran.returncode, ran.stderr) == (0, "")
        assert (adopted / "shop/sites").read_text().split() == [
            "/etc/nginx/sites-enabled/b",
            "/etc/nginx/sites-enabled/a",
        ]
        assert sorted(each.name for each in (adopted / "shop/tree/etc/nginx/sites-enabled").iterdir()) == ["a", "b"]
        assert sorted(each.name for each in (adopted / "store").iterdir()) == ["user"]
        assert mark.exists(), "as long as something is to be put back"
    (adopted / "store/user").unlink()
    (adopted / "store").rmdir()
    assert call(modules, "uninstall_inherited store shop").returncode == 0
    assert not mark.exists()


def test_data_that_is_still_there_stays(make_host: MakeHost, make_known: MakeFacts) -> None:
    (data,) = (one for one in inherited("store", "shop", taken=True) if one.part == "data")
    change = data.plan(State.of({"thing": "/srv/store/shared"}), {})
    assert change is not None
    assert change.script.endswith("uninstall_data store no")


@pytest.mark.parametrize(
    ("present", "more", "line"),
    [
        (
            PresentApp("store", ("a.b",), "", ()),
            "",
            "shop: takes over from store, which does not serve shop.example.com",
        ),
        (STORE, "blog", "blog: its domains change while shop takes over from store"),
    ],
)
def test_two_moves_are_two_deploys(
    present: PresentApp, more: str, line: str, make_host: MakeHost, make_known: MakeFacts
) -> None:
    there = (present, *((PresentApp("blog", ("old.example.com",), "", ()),) if more else ()))
    with pytest.raises(PlanError, match=rf"^{line}"):
        roles.server(make_host(TEXT + (BLOG if more else "")), *make_known(present=there))


def test_a_release_that_is_held_takes_over_from_nobody(make_host: MakeHost, make_known: MakeFacts) -> None:
    with pytest.raises(PlanError, match="shop: takes over from store, which cannot be held"):
        roles.previewed(make_host(TEXT), *make_known(present=(STORE,)))


@pytest.mark.parametrize(
    ("state", "line"),
    [
        ({"serves": "yes"}, "shop: renamed_from names store, and both have served"),
        ({"serves": "yes", "takes": "other"}, "shop: renamed_from names store, and both have served"),
        ({"apart": "yes"}, "shop: /srv/store/shared is a link, or not on the file system of /srv/shop"),
    ],
)
def test_what_cannot_be_taken_over_is_said_before_anything_is_changed(
    state: dict[str, str], line: str, make_host: MakeHost, make_known: MakeFacts
) -> None:
    (takes,) = (
        one for one in roles.everything(make_host(TEXT), *make_known(present=(STORE,))) if isinstance(one, Takeover)
    )
    with pytest.raises(PlanError, match=f"^{line}"):
        takes.plan(State.of(state), {})
    change = takes.plan(State(), {})
    assert isinstance(change, Change)
    assert change.summary.startswith("shop: takes over from store, with its data: activate ")
    assert (change.phase, change.undo) == ("rolling", "")
