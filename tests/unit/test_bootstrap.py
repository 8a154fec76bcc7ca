"""What first contact knows before it connects: keys, and which host keys are pinned."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from provision.controller import connection
from provision.errors import UsageError
from provision.run import bootstrap

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.tables import MakeHost


def key(folder: Path, comment: str = "ann@laptop") -> Path:
    path = folder / f"key-{comment}"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path], check=True)
    return path


def test_a_fingerprint_is_what_ssh_keygen_prints(tmp_path: Path) -> None:
    public = key(tmp_path).with_name("key-ann@laptop.pub")
    said = subprocess.run(["ssh-keygen", "-l", "-f", public], check=True, capture_output=True, text=True).stdout.split()
    assert connection.fingerprint(public.read_text()) == f"ssh-ed25519 {said[1]}"


def test_the_inventorys_key_is_let_in_or_those_of_a_file(tmp_path: Path, make_host: MakeHost) -> None:
    path = key(tmp_path)
    host = make_host(f"hosts: {{web1: {{address: 203.0.113.10, key: '{path}'}}}}\n")
    public = path.with_name("key-ann@laptop.pub").read_text().strip()
    assert bootstrap.public_keys(host) == (public,)
    team = tmp_path / "team"
    other = key(tmp_path, "bob").with_name("key-bob.pub").read_text()
    team.write_text(f"# the team\n\n{public}\n{other}")
    assert bootstrap.public_keys(host, team) == (public, other.strip())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no public key to let in"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "this is not a public key: -----BEGIN"),
        ("ssh-ed25519 not-base64!\n", "this is not a public key: ssh-ed25519"),
        ("ssh-ed25519\n", "this is not a public key: ssh-ed25519"),
    ],
)
def test_what_is_no_public_key_is_refused(text: str, said: str, tmp_path: Path, make_host: MakeHost) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(UsageError, match=said):
        bootstrap.public_keys(make_host("hosts: {web1: 203.0.113.10}\n"), file)


def test_a_key_that_is_not_there_is_said_with_what_to_do(tmp_path: Path, make_host: MakeHost) -> None:
    (tmp_path / "none").touch()
    host = make_host(f"hosts: {{web1: {{address: 203.0.113.10, key: '{tmp_path}/none'}}}}\n")
    with pytest.raises(
        UsageError, match=r"none\.pub: No such file or directory: name a file of public keys with --keys"
    ):
        bootstrap.public_keys(host)


def test_a_host_key_that_is_pinned_is_not_asked_for_again(tmp_path: Path, make_host: MakeHost) -> None:
    known = tmp_path / "known"
    known.write_text(f"203.0.113.10 {key(tmp_path).with_name('key-ann@laptop.pub').read_text()}")
    text = "hosts: {{web1: {{address: 203.0.113.10, port: {}, known_hosts: '{}', connect_timeout: 1}}}}\n"

    def never(name: str, fingerprint: str) -> bool:
        raise AssertionError

    assert list(bootstrap.pin(make_host(text.format(22, known)), never)) == []
