from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from provision.engine.resource import State
from provision.release.tree import Release

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Observe = Callable[..., tuple[State, ...]]
    Make = Callable[..., subprocess.CompletedProcess[str]]

ID = "20261121T230500-0123456"
RELEASE = Release("shop", ID, "0123456789abcdef0123456789abcdef01234567", "app")
UNMODIFIED, MODIFIED = (State.of({"tree": tree}) for tree in ("unmodified", "modified"))


def summary(state: State) -> str | None:
    change = RELEASE.plan(state, {})
    assert change is None or (change.id, change.phase, change.undo) == ("release:shop", "prepare", "")
    return change.summary if change else None


def test_a_release_is_exported_once_and_restored_when_it_was_modified() -> None:
    assert summary(State()) == f"shop: release {ID}"
    assert summary(UNMODIFIED) is None
    assert summary(MODIFIED) == f"shop: restore release {ID} (its files were modified)"


@pytest.fixture
def shop(root: Path, repository: Path, git: Callable[..., str], owners: Callable[[], list[str]]) -> Path:
    """/srv/shop with the app's repository."""
    folder = root / "srv" / "shop"
    (folder / "releases").mkdir(parents=True)
    git("clone", "--quiet", "--bare", str(repository), str(folder / "repository.git"), folder=root)
    return folder


@pytest.fixture
def commit(repository: Path, git: Callable[..., str]) -> str:
    return git("rev-parse", "HEAD", folder=repository)


def test_a_release_that_was_exported_is_unmodified_until_a_file_changes(
    shop: Path, commit: str, observe: Observe, make: Make
) -> None:
    release = replace(RELEASE, commit=commit)
    assert observe(release) == (State(),)
    assert make(release.plan(State(), {})).returncode == 0
    tree = shop / "releases" / ID
    assert (tree / "app" / "main.py").read_text() == "app = None\n"
    assert [path.name for path in tree.parent.iterdir()] == [ID]
    assert observe(release, RELEASE, replace(release, folder="other")) == (UNMODIFIED, State(), State())
    later = (tree / ".release").stat().st_mtime + 60
    os.utime(tree / "app" / "main.py", (later, later))
    assert observe(release) == (MODIFIED,)
    assert make(release.plan(MODIFIED, {})).returncode == 0
    assert observe(release) == (UNMODIFIED,)


def test_a_restored_release_keeps_its_venv(shop: Path, commit: str, make: Make) -> None:
    release = replace(RELEASE, commit=commit)
    make(release.plan(State(), {}))
    link = shop / "releases" / ID / ".venv"
    link.symlink_to("../../venvs/key")
    make(release.plan(MODIFIED, {}))
    assert str(link.readlink()) == "../../venvs/key"


def test_a_release_has_the_versions_of_the_one_that_serves_until_one_upgrades(
    shop: Path, commit: str, make: Make
) -> None:
    def upgraded(name: str, upgrades: bool = False) -> str:
        made = replace(RELEASE, commit=commit, release=name, upgrades=upgrades)
        ran = make(made.plan(State(), {}))
        assert ran.returncode == 0, ran.stdout
        file = shop / "releases" / name / ".upgraded"
        return file.read_text().strip() if file.exists() else ""

    assert upgraded("1") == ""
    (shop / "current").symlink_to("releases/1")
    assert (upgraded("2", upgrades=True), upgraded("3")) == ("2", "")
    (shop / "current").unlink()
    (shop / "current").symlink_to("releases/2")
    assert (upgraded("4"), upgraded("3"), upgraded("2")) == ("2", "", "2")


def committed(repository: Path, shop: Path, git: Callable[..., str], *files: str) -> Release:
    """The release of a commit with these files, whose app has the folders data and media/uploads in shared/."""
    for name in files:
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text("")
    git("add", "--all", "--force", folder=repository)
    git("-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-m", "Files", folder=repository)
    git("fetch", "--quiet", "origin", folder=shop / "repository.git")
    commit = git("rev-parse", "HEAD", folder=repository)
    return replace(RELEASE, commit=commit, shared=("data", "media/uploads"))


def test_folders_in_shared_are_links_and_one_that_differs_is_a_modification(
    shop: Path, repository: Path, git: Callable[..., str], observe: Observe, make: Make
) -> None:
    release = committed(repository, shop, git, "app/data/.gitkeep", "app/data/.gitignore")
    change = release.plan(State(), {})
    assert change
    assert change.summary == f"shop: release {ID}, with data, media/uploads in shared/"
    ran = make(change)
    assert ran.returncode == 0, ran.stdout
    tree = shop / "releases" / ID / "app"
    for name in release.shared:
        assert str((tree / name).readlink()) == str(shop / "shared" / name)
    assert not (shop / "shared").exists(), "what is in there is the app's to make"
    assert observe(release, replace(release, shared=("data",)), replace(release, shared=())) == (
        UNMODIFIED,
        State(),
        State(),
    )
    (tree / "data").unlink()
    assert observe(release) == (MODIFIED,)
    (tree / "data").symlink_to("/etc")
    assert observe(release) == (MODIFIED,)
    assert make(release.plan(MODIFIED, {})).returncode == 0
    assert observe(release) == (UNMODIFIED,)


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("app/data/seed.json", "the commit has files in data, which is a link into shared/ (shared)"),
        ("app/data", "the commit has files in data, which is a link into shared/ (shared)"),
        ("app/media", "media is no folder, so there is no media/uploads in it (shared)"),
    ],
)
def test_a_commit_with_files_where_a_link_is_to_be_is_refused(
    file: str, why: str, shop: Path, repository: Path, git: Callable[..., str], make: Make
) -> None:
    ran = make(committed(repository, shop, git, file).plan(State(), {}))
    assert (ran.returncode, why in ran.stdout) == (1, True), ran.stdout
    assert list((shop / "releases").iterdir()) == []


def test_a_link_of_the_commit_is_not_followed(
    shop: Path, repository: Path, git: Callable[..., str], make: Make, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (repository / "app" / "media").symlink_to(tmp_path / "outside")
    ran = make(committed(repository, shop, git).plan(State(), {}))
    assert (ran.returncode, "media is no folder" in ran.stdout) == (1, True), ran.stdout
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_restored_release_keeps_the_list_of_its_packages(shop: Path, commit: str, make: Make) -> None:
    release = replace(RELEASE, commit=commit)
    make(release.plan(State(), {}))
    (shop / "releases" / ID / ".packages").write_text("idna==3.4\n")
    make(release.plan(MODIFIED, {}))
    assert (shop / "releases" / ID / ".packages").read_text() == "idna==3.4\n"


def test_a_commit_without_the_apps_folder_is_one_clear_line(shop: Path, commit: str, make: Make) -> None:
    ran = make(replace(RELEASE, commit=commit, folder="web").plan(State(), {}))
    assert ran.returncode == 1
    assert ran.stdout == "error: shop: the commit has no folder web (source.folder)\n"
    assert list((shop / "releases").iterdir()) == []


@pytest.mark.parametrize("name", [".release", ".venv", ".packages", ".upgraded"])
def test_a_commit_with_a_name_that_the_server_needs_is_refused_and_nothing_is_written_through_it(
    name: str, shop: Path, repository: Path, git: Callable[..., str], make: Make
) -> None:
    victim = repository.parent / "victim"
    victim.write_text("untouched")
    (repository / name).symlink_to(victim)
    git("add", "--all", folder=repository)
    git("-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-m", "A link", folder=repository)
    git("fetch", "--quiet", "origin", folder=shop / "repository.git")
    release = replace(RELEASE, commit=git("rev-parse", "HEAD", folder=repository))
    done = make(release.plan(State(), {}))
    assert done.returncode == 1
    assert f"the commit has a {name} at its top, where the server puts its own" in done.stdout
    assert victim.read_text() == "untouched"
    assert list((shop / "releases").iterdir()) == []


def test_an_apps_folder_does_not_lead_out_of_its_commit(
    shop: Path, repository: Path, git: Callable[..., str], make: Make
) -> None:
    """Root would look for what imports Alembic in all of the disk."""
    for name, target in (("out", "/"), ("up", "../../.."), ("same", "app")):
        (repository / name).symlink_to(target)
    git("add", ".", folder=repository)
    git("commit", "--quiet", "--message=links", folder=repository)
    git("fetch", "--quiet", str(repository), "main:links", folder=shop / "repository.git")
    commit = git("rev-parse", "HEAD", folder=repository)
    for folder in ("out", "up", "out/etc"):
        made = make(replace(RELEASE, commit=commit, folder=folder).plan(State(), {}))
        assert made.returncode == 1
        assert f"{folder} is a link that leads out of the commit (source.folder)" in made.stdout
        assert [*(shop / "releases").iterdir()] == []
    assert make(replace(RELEASE, commit=commit, folder="same").plan(State(), {})).returncode == 0


def test_a_commit_takes_no_more_than_a_part_of_the_free_space(
    shop: Path, repository: Path, git: Callable[..., str], make: Make, stand_in: Callable[[str, str], Path]
) -> None:
    """On a disk that is full, even for as long as a release is being written, PostgreSQL stops."""
    with (repository / "large").open("wb") as file:
        file.truncate(8 * 1024**2)
    git("add", ".", folder=repository)
    git("commit", "--quiet", "--message=large", folder=repository)
    git("fetch", "--quiet", str(repository), "main:large", folder=shop / "repository.git")
    change = replace(RELEASE, commit=git("rev-parse", "HEAD", folder=repository)).plan(State(), {})
    program = stand_in("df", f"echo Avail; echo {16 * 2048}")
    made = make(change)
    assert made.returncode == 1
    assert "the release cannot be written" in made.stdout
    assert [*(shop / "releases").iterdir()] == []
    program.unlink()
    assert make(change).returncode == 0
