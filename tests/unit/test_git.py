from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from provision.engine.resource import State
from provision.engine.shell import quote
from provision.resources import git as git_module
from provision.resources.git import Access, DeployKey, Mirror

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Observe = Callable[..., tuple[State, ...]]
    Run = subprocess.CompletedProcess[str]
    Make = Callable[..., Run]
    Git = Callable[..., str]

URL = "https://git.example.com/shop.git"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
MIRROR = Mirror("/srv/shop/repository.git", URL, COMMIT)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State(), f"mirror {URL} at 0123456"),
        (State.of({"repository": URL}), None),
        (State.of({"repository": ""}), f"fetch {URL} at 0123456"),
        (State.of({"repository": "https://elsewhere.example.com/shop.git"}), f"fetch {URL} at 0123456"),
    ],
)
def test_a_mirror_fetches_what_it_lacks(state: State, expected: str | None) -> None:
    change = MIRROR.plan(state, {})
    assert (change.summary if change else None) == expected
    assert change is None or change.id == str(MIRROR.ref)


@pytest.fixture
def commit(repository: Path, git: Git) -> str:
    return git("rev-parse", "HEAD", folder=repository)


def test_a_mirror_that_was_made_has_the_commit(
    tmp_path: Path, repository: Path, commit: str, observe: Observe, make: Make
) -> None:
    mirror = Mirror(str(tmp_path / "mirror.git"), str(repository), commit)
    (state,) = observe(mirror)
    assert not state
    assert make(mirror.plan(state, {})).returncode == 0
    (state,) = observe(mirror)
    assert state == State.of({"repository": repository})
    assert mirror.plan(state, {}) is None


def test_a_mirror_fetches_a_newer_commit(
    tmp_path: Path, repository: Path, commit: str, observe: Observe, make: Make, git: Git
) -> None:
    path = str(tmp_path / "mirror.git")
    make(Mirror(path, str(repository), commit).plan(State(), {}))
    git("commit", "--quiet", "--allow-empty", "--message=second", folder=repository)
    newer = Mirror(path, str(repository), git("rev-parse", "HEAD", folder=repository))
    (state,) = observe(newer)
    assert state == State.of({"repository": ""})
    assert make(newer.plan(state, {})).returncode == 0
    (state,) = observe(newer)
    assert newer.plan(state, {}) is None


def test_a_commit_that_no_branch_leads_to_any_more_is_fetched_by_its_name(
    tmp_path: Path, repository: Path, commit: str, observe: Observe, make: Make, git: Git
) -> None:
    git("commit", "--quiet", "--amend", "--message=other", folder=repository)
    mirror = Mirror(str(tmp_path / "mirror.git"), str(repository), commit)
    assert make(mirror.plan(State(), {})).returncode == 0
    (state,) = observe(mirror)
    assert mirror.plan(state, {}) is None


def test_a_mirror_of_another_repository_is_pointed_to_the_right_one(
    tmp_path: Path, repository: Path, commit: str, observe: Observe, make: Make, git: Git
) -> None:
    git("clone", "--quiet", "--bare", str(repository), str(tmp_path / "other"), folder=tmp_path)
    path = str(tmp_path / "mirror.git")
    make(Mirror(path, str(tmp_path / "other"), commit).plan(State(), {}))
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
    ran = make(Mirror(str(tmp_path / "mirror.git"), str(repository), COMMIT).plan(State(), {}))
    assert ran.returncode == 1
    assert ran.stdout == f"error: {repository} has no commit {COMMIT}: was it pushed?\n"


def test_a_repository_that_the_server_cannot_read_is_one_clear_line(tmp_path: Path, make: Make) -> None:
    ran = make(Mirror(str(tmp_path / "mirror.git"), str(tmp_path / "nowhere"), COMMIT).plan(State(), {}))
    assert ran.returncode == 1
    assert ran.stdout.startswith(f"error: the server cannot read {tmp_path}/nowhere: ")


SSH_URL = "git@git.example.com:you/shop.git"
PINNED = "/etc/shop/known_hosts"
KEY = DeployKey("shop", "/etc/shop/deploy_key", "shop@web1", SSH_URL)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State(), f"shop: make a deploy key for {SSH_URL}"),
        (State.of({"usable": "yes", "access": "600 root:root"}), None),
        (
            State.of({"usable": "yes", "access": "644 root:root"}),
            "/etc/shop/deploy_key: 644 root:root -> 600 root:root",
        ),
        (
            State.of({"usable": "no", "access": "600 root:root"}),
            f"shop: make a deploy key for {SSH_URL} (the one there cannot be read)",
        ),
    ],
)
def test_a_deploy_key_is_made_once_and_stays_roots(state: State, expected: str | None) -> None:
    change = KEY.plan(state, {})
    assert (change.summary if change else None) == expected
    assert change is None or change.id == str(KEY.ref)


def test_a_deploy_key_that_was_made_prints_its_public_half_and_is_not_made_again(
    tmp_path: Path, observe: Observe, make: Make, me: tuple[str, str]
) -> None:
    own = replace(KEY, path=str(tmp_path / "deploy_key"))
    assert observe(own) == ((),)
    ran = make(own.plan(State(), {}))
    assert ran.returncode == 0, ran.stderr
    public = subprocess.run(["ssh-keygen", "-y", "-f", tmp_path / "deploy_key"], capture_output=True, text=True).stdout
    kind, key, *_ = public.split()
    assert kind == "ssh-ed25519"
    assert (
        ran.stdout == f"notice: shop: add this deploy key at {SSH_URL} (read-only is enough): {kind} {key} shop@web1\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["deploy_key"]
    assert observe(own) == (State.of({"usable": "yes", "access": f"600 {me[0]}:{me[1]}"}),)
    (tmp_path / "deploy_key").chmod(0o644)
    assert observe(own) == (State.of({"usable": "yes", "access": f"644 {me[0]}:{me[1]}"}),), (
        "a key that others may read is the same key"
    )
    (tmp_path / "deploy_key").write_text("no key\n")
    assert observe(own)[0]["usable"] == "no"


def test_a_private_key_is_in_no_representation_and_travels_encoded_on_standard_input() -> None:
    secret = "the-private-half"
    mirror = Mirror(
        "/srv/shop/repository.git", SSH_URL, COMMIT, access=Access("shop", "shop@web1", PINNED, "sent", private=secret)
    )
    change = mirror.plan(State(), {})
    assert change
    assert secret not in f"{mirror!r}{change!r}"
    assert change.script.startswith(
        "base64 -d <<'END_OF_BASE64' | git_over_ssh shop sent shop@web1 /etc/shop/known_hosts '' git_mirror "
    )


def test_only_a_fetch_with_the_agent_asks_for_it() -> None:
    for key in ("own", "agent", "root"):
        change = Mirror(
            "/srv/shop/repository.git", SSH_URL, COMMIT, access=Access("shop", "shop@web1", PINNED, key)
        ).plan(State(), {})
        assert change
        assert change.agent == ("forward_agent" if key == "agent" else "")


READ = "fatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.\n"
CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
The fingerprint for the ED25519 key sent by the remote host is\r
SHA256:mlYzLLUuHVn6b3vdp+Vc3DQ3JsBbXQdXdRr4Rb7a4Rs.\r
Host key verification failed.\r
"""
SETTING = "set source.deploy_key: generate, or source.forward_agent: true"


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (f"git@git.example.com: Permission denied (publickey).\r\n{READ}", f"{SSH_URL} refused the server's own keys: {SETTING}"),
        (f"ERROR: Repository not found.\n{READ}", f"{SSH_URL} refused the server's own keys: {SETTING}"),
        (f"remote: The project you were looking for could not be found.\n{READ}", f"{SSH_URL} refused the server's own keys: {SETTING}"),
        (
            CHANGED + READ,
            f"the server is shown a host key, SHA256:mlYzLLUuHVn6b3vdp+Vc3DQ3JsBbXQdXdRr4Rb7a4Rs, that is not pinned for {SSH_URL}: where "
            "the host has a new one, pin it (source.host_key, or known_hosts on your machine); otherwise somebody is in between",
        ),
        (
            f"No ED25519 host key is known for git.example.com and you have requested strict checking.\r\nHost key verification failed.\r\n{READ}",
            f"the server is shown a host key that is not pinned for {SSH_URL}: where the host has a new one, pin it "
            "(source.host_key, or known_hosts on your machine); otherwise somebody is in between",
        ),
        (
            f"ssh: connect to host git.example.com port 22: Connection refused\r\n{READ}",
            f"the server does not reach {SSH_URL} (ssh: connect to host git.example.com port 22: Connection refused): may it connect "
            "to that host and port?",
        ),
        (
            f"kex_exchange_identification: Connection closed by remote host\r\n{READ}",
            f"the server does not reach {SSH_URL} (kex_exchange_identification: Connection closed by remote host): may it connect "
            "to that host and port?",
        ),
        ("fatal: write error: No space left on device\n", f"the server cannot fetch {SSH_URL}: fatal: write error: No space left on device"),
    ],
)  # fmt: skip
def test_what_ssh_says_is_one_line(said: str, line: str, call: Callable[..., Run]) -> None:
    script = f"app=shop whose=root who=shop@web1 said={quote(said)}\ngit_not_fetched {quote(SSH_URL)}"
    ran = call([git_module], script)
    assert (ran.returncode, ran.stdout) == (1, f"error: shop: {line}\n")


def test_a_refused_deploy_key_is_shown_in_its_public_half(tmp_path: Path, call: Callable[..., Run]) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "somebody", "-f", key], check=True)
    public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
    ran = call([git_module], f"app=shop whose=own who=shop@web1 key={quote(str(key))}\ngit_refused {SSH_URL}")
    assert ran.stdout == (
        f"error: shop: {SSH_URL} refused the deploy key of this server; add it there (read-only is enough), then run again: {public} shop@web1\n"
    )


def test_a_server_that_forwards_no_agent_is_one_clear_line(call: Callable[..., Run]) -> None:
    ran = call(
        [git_module], "unset SSH_AUTH_SOCK\ngit_over_ssh shop agent shop@web1 /etc/shop/known_hosts '' git_mirror a b c"
    )
    assert ran.returncode == 1
    assert ran.stdout.startswith(
        "error: shop: this server's sshd does not forward an SSH agent: set AllowAgentForwarding yes"
    )
