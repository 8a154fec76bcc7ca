"""The files of a release that nginx serves itself."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.unit.release.serving import ID, OTHER, SLOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provision.release.slot import Serving, Slot
    from tests.unit.release.serving import Serve, Shell

SERVED = replace(SLOT, static=(("/static/", "app/static"), ("/media/img", "media")))
SET = "static='static=app/static\nmedia/img=media'; "


def links(server: Path, slot: str) -> dict[str, str]:
    folder = server / "srv" / "shop" / "static" / slot
    return {str(path.relative_to(folder)): str(path.readlink()) for path in folder.rglob("*") if path.is_symlink()}


def test_a_slot_has_links_by_url_and_only_those_of_its_release(slots: Path, root: Path, shell: Shell) -> None:
    old = root / "srv" / "shop" / "static" / "green" / "old"
    old.parent.mkdir(parents=True)
    old.symlink_to("/srv/shop/releases/gone/old")
    assert shell(f"{SET}new=green; slot_prepare").returncode == 0
    release = root / "srv" / "shop" / "releases" / ID
    assert links(root, "green") == {"static": f"{release}/app/static", "media/img": f"{release}/media"}
    assert shell("new=green; slot_prepare").returncode == 0
    assert links(root, "green") == {}


def test_the_links_go_with_the_traffic(slots: Path, root: Path, shell: Shell, health: Serve) -> None:
    health(root / "run" / "shop" / "green.sock")
    assert shell(f"{SET}activation_run").returncode == 0
    current = root / "srv" / "shop" / "static" / "current"
    assert str(current.readlink()) == "green"


def test_the_links_of_a_slot_are_compared_with_what_is_wanted(
    slots: Path, root: Path, shell: Shell, probed: Callable[[Slot], Serving]
) -> None:
    sums = tuple(
        (name, hashlib.sha256((slots / name).read_bytes()).hexdigest()) for name in ("env", "gunicorn.conf.py")
    )
    shell(f"{SET}new=green; slot_prepare")
    link = root / "run" / "shop" / "current.sock"
    link.unlink()
    link.symlink_to("green.sock")
    assert probed(replace(SERVED, copies=sums)).copies == "same"
    assert probed(replace(SLOT, copies=sums)).copies == "differs"
    static = root / "srv" / "shop" / "static" / "green" / "static"
    static.unlink()
    assert probed(replace(SERVED, copies=sums)).copies == "differs"
    static.symlink_to(f"/srv/shop/releases/{OTHER}/app/static")
    assert probed(replace(SERVED, copies=sums)).copies == "differs"
