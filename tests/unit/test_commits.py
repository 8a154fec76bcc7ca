from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from provision.controller import commits as revision
from provision.controller.commits import resolve
from provision.errors import PlanError
from provision.inventory import Source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Git = Callable[..., str]


@pytest.fixture
def commits(repository: Path, git: Git) -> tuple[str, str]:
    """The commit of the tag v1 and of the branch feature/one, and the newer one of main."""
    first = git("rev-parse", "HEAD", folder=repository)
    git("branch", "feature/one", folder=repository)
    git("tag", "--annotate", "--message=one", "v1", folder=repository)
    git("tag", "light", folder=repository)
    git("commit", "--quiet", "--allow-empty", "--message=second", folder=repository)
    return first, git("rev-parse", "HEAD", folder=repository)


def find(repository: Path, wanted: str | None = None, revision: str = "HEAD") -> str:
    return resolve("shop", Source(repository=str(repository), revision=revision), wanted)


def test_a_tag_or_a_branch_is_its_commit(repository: Path, commits: tuple[str, str]) -> None:
    for wanted in ("v1", "light", "feature/one", "refs/heads/feature/one", "refs/tags/light"):
        assert find(repository, wanted) == commits[0]


def test_the_head_is_the_newest_commit(repository: Path, commits: tuple[str, str]) -> None:
    for wanted in (None, "HEAD", "main"):
        assert find(repository, wanted) == commits[1]


def test_the_command_line_wins_over_the_inventory(repository: Path, commits: tuple[str, str]) -> None:
    assert find(repository, revision="v1") == commits[0]
    assert find(repository, "main", revision="v1") == commits[1]


def test_a_hash_is_its_commit(repository: Path, commits: tuple[str, str]) -> None:
    for digits in (40, 7):
        assert find(repository, commits[0][:digits]) == commits[0]


def test_a_branch_that_only_ends_in_the_name_is_another_one(repository: Path, commits: tuple[str, str]) -> None:
    with pytest.raises(PlanError):
        find(repository, "one")


def test_a_branch_wins_over_a_tag(repository: Path, commits: tuple[str, str], git: Git) -> None:
    git("tag", "main", commits[0], folder=repository)
    assert find(repository, "main") == commits[1]


def test_the_full_name_of_an_annotated_tag_is_its_commit(repository: Path, commits: tuple[str, str]) -> None:
    assert find(repository, "refs/tags/v1") == commits[0]


def test_an_unknown_revision_is_one_line(repository: Path, commits: tuple[str, str]) -> None:
    for wanted in ("nope", "0123456", "0" * 40, "--all", "main~9"):
        with pytest.raises(PlanError) as caught:
            find(repository, wanted)
        assert str(caught.value) == f"shop: {repository} has no branch, tag or commit {wanted}: was it pushed?"


def test_a_repository_that_cannot_be_read_is_one_line(tmp_path: Path, git: Git) -> None:
    with pytest.raises(PlanError, match=r"^shop: .*/nowhere cannot be read from here: ") as caught:
        find(tmp_path / "nowhere")
    assert "\n" not in str(caught.value)


def test_a_checkout_on_this_machine_is_resolved_without_a_remote(repository: Path, commits: tuple[str, str]) -> None:
    pushed = Source(push=repository / ".git")
    assert resolve("shop", pushed) == commits[1]
    assert resolve("shop", pushed, "v1") == commits[0]
    with pytest.raises(PlanError, match=r"^shop: .* is no checkout that has a branch, tag or commit nothing$"):
        resolve("shop", pushed, "nothing")


@pytest.mark.parametrize("push", [True, False])
def test_a_machine_without_git_is_one_line(
    repository: Path, push: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    source = Source(push=repository) if push else Source(repository=str(repository))
    with pytest.raises(PlanError, match=r"^git is not installed on this machine: install it$"):
        resolve("shop", source)


def test_a_pack_has_the_commit_and_what_leads_to_it(
    repository: Path, commits: tuple[str, str], git: Git, tmp_path: Path
) -> None:
    other = tmp_path / "other.git"
    git("init", "--quiet", "--bare", str(other), folder=tmp_path)

    def receive(pack: Path) -> None:
        done = subprocess.run(
            ["git", "--git-dir", other, "index-pack", "--stdin", "--fix-thin"],
            stdin=pack.open("rb"),
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr

    whole = revision.pack(Source(push=repository / ".git"), commits[0], None, tmp_path / "whole")
    receive(whole)
    assert git("log", "-1", "--format=%H", commits[0], folder=other) == commits[0]
    rest = revision.pack(Source(push=repository / ".git"), commits[1], commits[0], tmp_path / "rest")
    assert rest.stat().st_size < whole.stat().st_size
    receive(rest)
    assert git("log", "-1", "--format=%H", commits[1], folder=other) == commits[1]
    unknown = revision.pack(Source(push=repository / ".git"), commits[1], "f" * 40, tmp_path / "unknown")
    assert unknown.stat().st_size > rest.stat().st_size


PRIVATE = Source(repository="git@git.example.com:you/shop.git")
CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
The fingerprint for the ED25519 key sent by the remote host is
SHA256:mlYzLLUuHVn6b3vdp+Vc3DQ3JsBbXQdXdRr4Rb7a4Rs.
Offending ED25519 key in /home/you/.ssh/known_hosts:7
Host key verification failed.
"""


def test_a_private_repository_that_refuses_this_machine_says_why_access_is_needed() -> None:
    said = "Warning: Permanently added 'x'\r\ngit@git.example.com: Permission denied (publickey).\r\nfatal: Could not read\n"
    assert revision.why("shop", PRIVATE, said) == (
        "shop: git@git.example.com:you/shop.git cannot be read from here: git@git.example.com: Permission denied (publickey); "
        "this machine needs access too, to find the commit"
    )


def test_a_host_key_that_changed_is_one_line_with_the_key_and_the_place_of_the_old_one() -> None:
    line = (
        "shop: the host key of git.example.com, SHA256:mlYzLLUuHVn6b3vdp+Vc3DQ3JsBbXQdXdRr4Rb7a4Rs, is none that {}: where the host "
        "has a new one, compare it with what the host publishes and correct {}; otherwise do not connect"
    )
    own = line.format("this machine's known_hosts has", "/home/you/.ssh/known_hosts:7")
    assert revision.why("shop", PRIVATE, CHANGED) == own
    pinned = Source(
        repository=PRIVATE.repository,
        host_key=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"],
    )
    assert revision.why("shop", pinned, CHANGED) == line.format("source.host_key pins", "source.host_key")
