"""What a commit has, read from a checkout and from a repository."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.controller.commit_files import Commit, CommitFiles, read
from provision.inventory import Source

if TYPE_CHECKING:
    from collections.abc import Callable

    Git = Callable[..., str]

WANTED = {"pyproject.toml", "a b/pyproject.toml", "gone.toml", "link.toml"}


@pytest.fixture
def commit(repository: Path, git: Git) -> str:
    """A commit with two wanted files, one more, and a link; then the files change."""
    (repository / "a b").mkdir()
    (repository / "pyproject.toml").write_text('name = "shop"\n')
    (repository / "a b" / "pyproject.toml").write_text("\nname = 'ä'\n\n")
    (repository / "main.py").write_text("app = None\n")
    (repository / "link.toml").symlink_to("pyproject.toml")
    git("add", ".", folder=repository)
    git("commit", "--quiet", "--message=files", folder=repository)
    found = git("rev-parse", "HEAD", folder=repository)
    (repository / "pyproject.toml").write_text("changed\n")
    git("commit", "--quiet", "--all", "--message=more", folder=repository)
    return found


@pytest.mark.parametrize("way", ["push", "repository", "url"])
def test_a_commit_has_the_names_of_all_files_and_the_texts_of_the_wanted_ones(
    way: str, repository: Path, commit: str, git: Git
) -> None:
    git("config", "uploadpack.allowFilter", "true", folder=repository)
    git("config", "uploadpack.allowAnySHA1InWant", "true", folder=repository)
    source = Source(
        push=repository if way == "push" else None,
        repository={"repository": str(repository), "url": f"file://{repository}"}.get(way),
    )
    found = read(source, commit, WANTED.__contains__)
    assert found is not None
    assert {"pyproject.toml", "a b/pyproject.toml", "main.py", "link.toml"} <= found.names
    assert found.texts == {"pyproject.toml": 'name = "shop"\n', "a b/pyproject.toml": "\nname = 'ä'\n\n"}


def test_a_remote_without_filters_is_read_all_the_same(repository: Path, commit: str) -> None:
    found = read(Source(repository=f"file://{repository}"), commit, WANTED.__contains__)
    assert found is not None
    assert set(found.texts) == {"pyproject.toml", "a b/pyproject.toml"}


def test_a_submodule_is_a_name_without_a_text(repository: Path, git: Git) -> None:
    git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},libs/a", folder=repository)
    git("commit", "--quiet", "--message=module", folder=repository)
    found = read(Source(push=repository), git("rev-parse", "HEAD", folder=repository), lambda _: True)
    assert found is not None
    assert "libs/a" in found.names - found.texts.keys()


def test_what_cannot_be_read_is_none(repository: Path, tmp_path: Path) -> None:
    assert read(Source(repository=str(repository)), "0" * 40, WANTED.__contains__) is None
    assert read(Source(push=tmp_path), "0" * 40, WANTED.__contains__) is None


def test_a_path_in_another_encoding_is_no_obstacle(repository: Path, git: Git) -> None:
    Path(os.fsdecode(bytes(repository) + b"/caf\xe9.txt")).write_text("")
    git("add", ".", folder=repository)
    git("commit", "--quiet", "--message=latin", folder=repository)
    found = read(Source(push=repository), git("rev-parse", "HEAD", folder=repository), WANTED.__contains__)
    assert found is not None
    assert "caf\ufffd.txt" in found.names


def test_a_path_that_leads_out_of_the_tree_is_left_out(repository: Path, git: Git, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("outside")
    blob = git("hash-object", "-w", str(tmp_path / "text"), folder=repository)
    (tmp_path / "inner").write_bytes(b"100644 pyproject.toml\0" + bytes.fromhex(blob))
    inner = git("hash-object", "-w", "-t", "tree", str(tmp_path / "inner"), folder=repository)
    (tmp_path / "outer").write_bytes(b"40000 ..\0" + bytes.fromhex(inner))
    outer = git("hash-object", "--literally", "-w", "-t", "tree", str(tmp_path / "outer"), folder=repository)
    commit = git("commit-tree", "-m", "out", outer, folder=repository)
    assert read(Source(push=repository), commit, lambda _: True) == CommitFiles(frozenset(), {})


def test_a_commit_without_a_wanted_text_cannot_be_read(repository: Path, commit: str, git: Git) -> None:
    blob = git("rev-parse", f"{commit}:pyproject.toml", folder=repository)
    (repository / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    assert read(Source(push=repository), commit, WANTED.__contains__) is None


def test_a_commit_of_more_names_than_memory_holds_is_not_read(repository: Path, git: Git, tmp_path: Path) -> None:
    """Two million files, of one text and seven folders: three folders more would be two thousand million."""
    (tmp_path / "text").write_text("")
    mode, each = "100644", git("hash-object", "-w", str(tmp_path / "text"), folder=repository)
    for count in (10, 10, 10, 10, 10, 10, 2):
        tree = b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(each) for name in range(count))
        (tmp_path / "tree").write_bytes(tree)
        mode, each = "40000", git("hash-object", "-w", "-t", "tree", str(tmp_path / "tree"), folder=repository)
    commit = git("commit-tree", "-m", "many", each, folder=repository)
    assert read(Source(push=repository), commit, lambda _: False) is None


def test_a_text_that_is_too_large_is_not_read(repository: Path, git: Git) -> None:
    with (repository / "pyproject.toml").open("wb") as file:
        file.truncate(65 * 1024**2)
    git("add", ".", folder=repository)
    git("commit", "--quiet", "--message=large", folder=repository)
    assert read(Source(push=repository), git("rev-parse", "HEAD", folder=repository), WANTED.__contains__) is None


def test_a_commit_is_read_once(repository: Path, commit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[str] = []

    def once(source: Source, commit: str, wanted: object) -> CommitFiles:
        times.append(commit)
        return CommitFiles(frozenset(), {})

    monkeypatch.setattr("provision.controller.commit_files.read", once)
    one = Commit(Source(push=repository), commit, WANTED.__contains__)
    assert one.files == one.files == CommitFiles(frozenset(), {})
    assert times == [commit]
