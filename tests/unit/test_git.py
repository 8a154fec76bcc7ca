from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provision.resources.git import Mirror

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from provision.engine.resource import State

    Observe = Callable[..., tuple[State, ...]]
    Make = Callable[..., subprocess.CompletedProcess[str]]
    Git = Callable[..., str]

URL = "https://git.example.com/shop.git"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
MIRROR = Mirror("/srv/shop/repository.git", URL, COMMIT)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ((), f"mirror {URL} at 0123456"),
        (((URL,),), None),
        ((("",),), f"fetch {URL} at 0123456"),
        ((("https://elsewhere.example.com/shop.git",),), f"fetch {URL} at 0123456"),
    ],
)
def test_a_mirror_fetches_what_it_lacks(state: State, expected: str | None) -> None:
    change = MIRROR.plan(state, {})
    assert (change.summary if change else None) == expected
    assert change is None or change.id == MIRROR.id


@pytest.fixture
def commit(repository: Path, git: Git) -> str:
    return git("rev-parse", "HEAD", folder=repository)


def test_a_mirror_that_was_made_has_the_commit(
    tmp_path: Path, repository: Path, commit: str, observe: Observe, make: Make
) -> None:
    mirror = Mirror(str(tmp_path / "mirror.git"), str(repository), commit)
    (state,) = observe(mirror)
    assert state == ()
    assert make(mirror.plan(state, {})).returncode == 0
    (state,) = observe(mirror)
    assert state == ((str(repository),),)
    assert mirror.plan(state, {}) is None


def test_a_mirror_fetches_a_newer_commit(
    tmp_path: Path, repository: Path, commit: str, observe: Observe, make: Make, git: Git
) -> None:
    path = str(tmp_path / "mirror.git")
    make(Mirror(path, str(repository), commit).plan((), {}))
    git("commit", "--quiet", "--allow-empty", "--message=second", folder=repository)
    newer = Mirror(path, str(repository), git("rev-parse", "HEAD", folder=repository))
    (state,) = observe(newer)
    assert state == (("",),)
    assert make(newer.plan(state, {})).returncode == 0
    (state,) = observe(newer)
    assert newer.plan(state, {}) is None


def test_a_commit_that_no_branch_leads_to_any_more_is_fetched_by_its_name(
    tmp_path: Path, repository: Path, commit: str, observe: Observe, make: Make, git: Git
) -> None:
    git("commit", "--quiet", "--amend", "--message=other", folder=repository)
    mirror = Mirror(str(tmp_path / "mirror.git"), str(repository), commit)
    assert make(mirror.plan((), {})).returncode == 0
    (state,) = observe(mirror)
    assert mirror.plan(state, {}) is None


def test_a_mirror_of_another_repository_is_pointed_to_the_right_one(
    tmp_path: Path, repository: Path, commit: str, observe: Observe, make: Make, git: Git
) -> None:
    git("clone", "--quiet", "--bare", str(repository), str(tmp_path / "other"), folder=tmp_path)
    path = str(tmp_path / "mirror.git")
    make(Mirror(path, str(tmp_path / "other"), commit).plan((), {}))
    mirror = Mirror(path, str(repository), commit)
    (state,) = observe(mirror)
    assert make(mirror.plan(state, {})).returncode == 0
    (state,) = observe(mirror)
    assert mirror.plan(state, {}) is None


def test_a_folder_that_is_no_mirror_is_made_one(
    tmp_path: Path, repository: Path, commit: str, observe: Observe, make: Make
) -> None:
    (tmp_path / "mirror.git").mkdir()
    (tmp_path / "mirror.git" / "junk").touch()
    mirror = Mirror(str(tmp_path / "mirror.git"), str(repository), commit)
    (state,) = observe(mirror)
    assert make(mirror.plan(state, {})).returncode == 0
    (state,) = observe(mirror)
    assert mirror.plan(state, {}) is None


def test_a_commit_that_was_not_pushed_is_one_clear_line(tmp_path: Path, repository: Path, make: Make) -> None:
    ran = make(Mirror(str(tmp_path / "mirror.git"), str(repository), COMMIT).plan((), {}))
    assert ran.returncode == 1
    assert ran.stdout == f"error: {repository} has no commit {COMMIT}: was it pushed?\n"


def test_a_repository_that_the_server_cannot_read_is_one_clear_line(tmp_path: Path, make: Make) -> None:
    ran = make(Mirror(str(tmp_path / "mirror.git"), str(tmp_path / "nowhere"), COMMIT).plan((), {}))
    assert ran.returncode == 1
    assert ran.stdout.startswith(f"error: the server cannot read {tmp_path}/nowhere: ")
