"""What a checkout has that a commit to push does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provision.controller.checkout import uncommitted
from provision.inventory import Source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Git = Callable[..., str]

COMMIT = "abc1234" * 5 + "abcde"
START = "shop: not in the commit abc1234, so not deployed: "


def said(checkout: Path, folder: str = ".") -> str:
    return uncommitted("shop", Source(push=checkout, folder=folder), COMMIT)


def test_a_clean_checkout_is_not_spoken_of_and_neither_is_a_repository_without_files(repository: Path) -> None:
    assert said(repository) == ""
    assert said(repository / ".git") == ""
    assert uncommitted("shop", Source(repository="https://git.example.com/shop.git"), COMMIT) == ""


def test_changed_new_and_ignored_files_are_named_a_few_and_then_counted(repository: Path, git: Git) -> None:
    (repository / ".gitignore").write_text("*.local\n.venv\n__pycache__\n*.egg-info\n")
    git("add", ".", folder=repository)
    git("commit", "--quiet", "--message=ignore", folder=repository)
    (repository / "app/main.py").write_text("app = 1\n")
    for name in ("a", "b b", "ż", "d", "new\nline"):
        (repository / name).touch()
    (repository / "settings.local").touch()
    for leftover in (".venv", "app/__pycache__", "shop.egg-info"):
        (repository / leftover).mkdir()
        (repository / leftover / "x").touch()
    assert said(repository) == (f"{START}changed app/main.py; not added a, b b, d and 2 more; ignored settings.local")
    (repository / "d").unlink()
    assert "not added a, b b, new?line and 1 more" in said(repository)


@pytest.mark.parametrize("inside", ["", "app"])
def test_of_ignored_files_those_of_the_apps_folder_count(repository: Path, git: Git, inside: str) -> None:
    (repository / ".git/info/exclude").write_text("*.local\nbuilt\n")
    (repository / "other").mkdir()
    for name in ("one.local", "app/two.local", "other/three.local"):
        (repository / name).touch()
    assert said(repository / inside, "app") == f"{START}ignored app/two.local"
    git("mv", "app/main.py", "app/renamed.py", folder=repository)
    assert said(repository / inside, "app") == f"{START}changed app/renamed.py; ignored app/two.local"
