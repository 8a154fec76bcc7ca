"""The files of a release that nginx serves itself."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.unit.release.serving import ID, SLOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provision.release.slot import Serving, Slot
    from tests.unit.release.serving import Serve, Shell

SERVED = replace(SLOT, static=(("/static/", "app/static"), ("/media/img", "media")))
SET = "static='static=app/static\nmedia/img=media'; "


@pytest.fixture
def release(root: Path) -> Path:
    """The release's folder, with static files."""
    folder = root / "srv" / "shop" / "releases" / ID
    for name in ("app/static/site.css", "media/logo.png", "app/main.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def copies(server: Path, slot: str = "green") -> dict[str, str]:
    folder = server / "srv" / "shop" / "static" / slot
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_slot_has_copies_by_url_and_only_those_of_its_release(
    slots: Path, root: Path, release: Path, shell: Shell
) -> None:
    old = root / "srv" / "shop" / "static" / "green" / "old"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    assert shell(f"{SET}new=green; slot_prepare").returncode == 0
    assert copies(root) == {"static/site.css": "app/static/site.css", "media/img/logo.png": "media/logo.png"}
    assert shell("new=green; slot_prepare").returncode == 0
    assert copies(root) == {}


def test_a_link_within_the_commit_is_copied_as_what_it_leads_to(
    slots: Path, root: Path, release: Path, shell: Shell
) -> None:
    (release / "app" / "static" / "same.css").symlink_to("site.css")
    (release / "app" / "static" / "media").symlink_to("../../media")
    (release / "media" / "deep.css").symlink_to("../app/static/same.css")
    assert shell(f"{SET}new=green; slot_prepare").returncode == 0
    css = "app/static/site.css"
    assert {name: text for name, text in copies(root).items() if name.startswith("static")} == {
        "static/site.css": css,
        "static/same.css": css,
        "static/media/logo.png": "media/logo.png",
        "static/media/deep.css": css,
    }


@pytest.mark.parametrize(
    ("link", "target", "says"),
    [
        ("app/static/leak", "/etc/passwd", "is a link that leads out of the commit"),
        ("app/static/leak", "../../../../../../../../etc", "is a link that leads out of the commit"),
        ("app/static/leak", "../../.venv/pyvenv.cfg", "is a link that leads out of the commit"),
        ("app/static/leak", "/nowhere/at/all", "is a link that leads out of the commit"),
        ("media/leak", "/etc/passwd", "is a link that leads out of the commit"),
        ("app/static/round", "../static", "lead in circles"),
        ("app/static/a\nb", "site.css", "control character"),
    ],
)
def test_a_link_that_leaves_the_commit_is_refused(
    link: str, target: str, says: str, slots: Path, root: Path, release: Path, shell: Shell
) -> None:
    (release / link).symlink_to(target)
    said = shell(f"{SET}new=green; slot_prepare")
    assert said.returncode == 1
    (line,) = [line for line in said.stdout.splitlines() if line.startswith("error: ")]
    assert says in line
    assert str(root) not in line


def test_a_link_is_seen_by_its_whole_name(slots: Path, root: Path, release: Path, shell: Shell) -> None:
    (release / "media" / " leak ").symlink_to("/etc/passwd")
    (release / "media" / "leak").write_text("something else")
    said = shell(f"{SET}new=green; slot_prepare")
    assert "is a link that leads out of the commit" in said.stdout


def test_the_links_go_with_the_traffic(slots: Path, root: Path, shell: Shell, health: Serve) -> None:
    health(root / "run" / "shop" / "green.sock")
    assert shell(f"{SET}activation_run").returncode == 0
    current = root / "srv" / "shop" / "static" / "current"
    assert str(current.readlink()) == "green"


def test_the_copies_of_a_slot_are_compared_with_what_is_wanted(
    slots: Path, root: Path, release: Path, shell: Shell, probed: Callable[[Slot], Serving]
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
    (root / "srv" / "shop" / "static" / "green" / "static" / "site.css").write_text("touched")
    assert probed(replace(SERVED, copies=sums)).copies == "differs"
