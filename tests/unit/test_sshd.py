from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from provision.engine.resource import State
from provision.errors import PlanError
from provision.resources.sshd import CLASSICAL, KEYS, PATH, QUANTUM_SAFE, SshServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SETTINGS = (("PermitRootLogin", "prohibit-password"),)
ALGORITHMS = (("KexAlgorithms", (QUANTUM_SAFE, *CLASSICAL)), ("Ciphers", ("new", "a")))
WANTED = SshServer(SETTINGS, ALGORITHMS)
CONTENT = "# Written by provision.\nPermitRootLogin prohibit-password\nKexAlgorithms curve25519-sha256\nCiphers a\n"


def state(content: str = "", keys: str = "", **more: str) -> State:
    encoded = {"content": base64.b64encode(content.encode()).decode(), "keys": base64.b64encode(keys.encode()).decode()}
    present = {"include": "yes", "kex": "older,curve25519-sha256", "cipher": "a,b", "mac": "", "key": "", **more}
    return State.of(encoded, present, {"t.permitrootlogin": more.get("root", "without-password")})


def test_settings_are_written_with_the_algorithms_that_the_server_has() -> None:
    change = WANTED.plan(state(), {})
    assert change is not None
    assert change.summary == f"sshd: write {PATH}, if a new login succeeds with that"
    assert [line[1:] for line in change.diff.splitlines()[3:]] == CONTENT.splitlines()
    assert WANTED.plan(state(CONTENT), {}) is None


def test_what_a_quantum_computer_breaks_is_for_servers_that_have_nothing_else() -> None:
    change = WANTED.plan(state(kex=f"{QUANTUM_SAFE},{CLASSICAL[0]}"), {})
    assert change is not None
    assert f"+KexAlgorithms {QUANTUM_SAFE}\n" in change.diff


def test_a_file_that_comes_before_ours_is_named() -> None:
    with pytest.raises(PlanError, match=r"sshd has PermitRootLogin yes, although .* says prohibit-password"):
        WANTED.plan(state(CONTENT, root="yes"), {})


def test_a_server_that_does_not_read_the_folder_is_refused() -> None:
    with pytest.raises(PlanError, match=r"does not read /etc/ssh/sshd_config.d: begin it with the line: Include "):
        WANTED.plan(state(include="no"), {})


def test_keys_are_roots_and_only_for_their_user() -> None:
    wanted = SshServer(SETTINGS, ALGORITHMS, "ann", ("ssh-ed25519 AAAA ann",))
    change = wanted.plan(state(CONTENT), {})
    assert change is not None
    assert change.summary.startswith(f"sshd: write {PATH}, {KEYS}/ann, if")
    assert "+Match User ann\n+    AuthorizedKeysFile /etc/ssh/authorized_keys.provision/%u" in change.diff
    content = f"{CONTENT}Match User ann\n    AuthorizedKeysFile {KEYS}/%u\n"
    assert wanted.plan(state(content, "ssh-ed25519 AAAA ann\n"), {}) is None
    assert wanted.plan(state(content, "ssh-ed25519 BBBB eve\n"), {}) is not None


def test_without_settings_our_file_goes_and_that_of_somebody_else_stays() -> None:
    change = SshServer().plan(state(CONTENT), {})
    assert change is not None
    assert change.summary == f"sshd: remove {PATH}"
    assert SshServer().plan(state("PermitRootLogin yes\n"), {}) is None
    assert SshServer().plan(state(), {}) is None


def test_the_probe_says_what_sshd_has(
    root: Path, stand_in: Callable[[str, str], Path], observe: Callable[..., Any]
) -> None:
    stand_in("ssh", "printf '%s\\n' one two")
    stand_in("sshd", "printf '%s\\n' 'permitrootlogin yes' 'listenaddress [::]:22' 'ciphers a,b'")
    path = root / PATH[1:]
    path.parent.mkdir(parents=True)
    path.write_text("mine\n")
    (root / "etc/ssh/sshd_config").write_text("# comment\nInclude /etc/ssh/sshd_config.d/*.conf\n")
    found, none = observe(WANTED, SshServer())
    assert (found["kex"], found["include"], found["t.permitrootlogin"]) == ("one,two", "yes", "yes")
    assert base64.b64decode(found["content"]) == base64.b64decode(none["content"]) == b"mine\n"
    assert none["kex"] == ""
