from __future__ import annotations

from typing import TYPE_CHECKING

from provision.engine.resource import Change, State
from provision.release import shell
from provision.release.activation import Activation
from provision.release.layout import PRELUDE, Layout
from provision.release.paths import RELEASE, Paths

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

SHOP = Paths("shop", (("start", 0o750),))


def test_what_is_wrong_is_named_in_one_change_after_the_activation() -> None:
    wrong = {"path": "/etc/shop/blue/env", "wrong": "mode_666"}
    change = SHOP.plan(State.of({"slot": "blue"}, wrong, {"path": "/etc/shop/current", "wrong": "leads_elsewhere"}), {})
    assert change is not None
    assert change.summary == "shop: put right /etc/shop/blue/env (mode 666), /etc/shop/current (leads elsewhere)"
    assert change.phase == "finish"


def test_nothing_changes_where_all_is_right_or_an_activation_is_to_come() -> None:
    ref = Activation.ref_to("shop")
    assert SHOP.plan(State.of({"slot": "blue"}), {}) is None
    assert SHOP.plan(State(), {ref: Change(ref, "", "")}) is None


def test_each_slot_and_the_active_release_are_looked_at_with_the_manager_s_copies() -> None:
    places = list(SHOP.places())
    assert "file,640,root:shop,/etc/shop/blue/env" in places
    assert "file,750,root:shop,/etc/shop/green/start" in places
    assert f"directory,750,root:shop,{Layout('shop').release(RELEASE).folder}" in places


def test_another_type_mode_or_owner_is_seen(
    tmp_path: Path, me: tuple[str, str], sh: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    owner = ":".join(me)
    for name in ("right", "open", "empty"):
        (tmp_path / name).write_text("" if name == "empty" else name)
        (tmp_path / name).chmod(0o666 if name == "open" else 0o640)
    (tmp_path / "link").symlink_to("right")
    names = ("right", "open", "empty", "link", "missing")
    places = "\n".join(f"file,640,{owner if name != 'empty' else 'other:other'},{tmp_path}/{name}" for name in names)
    ran = sh(f"{PRELUDE}{shell.text('paths')}paths_attributes '{places}'")
    assert sorted(ran.stdout.splitlines()) == sorted(
        [
            f"{tmp_path}/open mode_666 mode=640",
            f"{tmp_path}/empty owner_{owner} owner=other:other",
            f"{tmp_path}/link a_symbolic_link type=file,640,{owner}",
        ]
    ), ran.stderr
