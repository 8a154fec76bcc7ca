from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from provision.controller import known_hosts
from provision.engine.shell import quote
from provision.errors import PlanError
from provision.inventory import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Write = Callable[..., None]

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8eHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEA"
SHOP = Source(repository="git@git.example.com:you/shop.git")
ON_A_PORT = Source(repository="ssh://git@git.example.com:2222/you/shop.git")


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes the known_hosts that git's ssh has on this machine, and more of its configuration."""
    file, config = tmp_path / "known_hosts", tmp_path / "config"

    def write(*lines: str, more: str = "", hashed: bool = False) -> None:
        known_hosts.trusted.cache_clear()
        config.write_text(f"{more}\nUserKnownHostsFile {file}\nGlobalKnownHostsFile /dev/null\n")
        file.write_text("".join(f"{line}\n" for line in lines))
        if hashed:
            subprocess.run(["ssh-keygen", "-H", "-f", file], check=True, capture_output=True)
            assert "example" not in file.read_text()

    monkeypatch.setenv("GIT_SSH_COMMAND", f"ssh -F {quote(str(config))}")
    write()
    yield write
    known_hosts.trusted.cache_clear()


@pytest.mark.parametrize("hashed", [False, True])
def test_the_keys_that_this_machine_trusts_are_the_servers_too(known: Write, hashed: bool) -> None:
    known("elsewhere.example.com " + OTHER, "git.example.com " + KEY + " a comment", "# note", hashed=hashed)
    assert known_hosts.pinned("shop", SHOP) == (f"git.example.com {KEY}",)


@pytest.mark.parametrize("hashed", [False, True])
def test_a_host_on_another_port_has_a_key_of_its_own(known: Write, hashed: bool) -> None:
    known("git.example.com " + OTHER, "[git.example.com]:2222 " + KEY, hashed=hashed)
    assert known_hosts.pinned("shop", ON_A_PORT) == (f"[git.example.com]:2222 {KEY}",)


def test_a_host_that_ssh_config_calls_otherwise_has_the_key_of_that(known: Write) -> None:
    known("[10.0.0.7]:2200 " + KEY, more="Host git.example.com\n  HostName 10.0.0.7\n  Port 2200\nHost *\n")
    assert known_hosts.pinned("shop", SHOP) == (f"git.example.com {KEY}",)
    known("office " + KEY, more="Host git.example.com\n  HostKeyAlias office\nHost *\n")
    assert known_hosts.pinned("shop", SHOP) == (f"git.example.com {KEY}",)


def test_patterns_and_marks_of_known_hosts_are_understood(known: Write) -> None:
    known("@cert-authority *.example.com " + KEY, "@revoked git.example.com " + OTHER)
    assert known_hosts.pinned("shop", SHOP) == (
        f"@cert-authority git.example.com {KEY}",
        f"@revoked git.example.com {OTHER}",
    )
    known("@revoked git.example.com " + OTHER)
    with pytest.raises(PlanError, match="is known neither here nor in the inventory"):
        known_hosts.pinned("shop", SHOP)


def test_what_the_inventory_pins_wins_over_what_this_machine_trusts(known: Write) -> None:
    known("git.example.com " + OTHER)
    pinned = Source(repository=SHOP.repository, host_key=[KEY, f"git.example.com {KEY}"])
    assert known_hosts.pinned("shop", pinned) == (f"git.example.com {KEY}",)


def test_a_host_that_nobody_knows_is_refused_with_how_to_pin_it(known: Write) -> None:
    for source, name, scan in (
        (SHOP, "git.example.com", "ssh-keyscan git.example.com"),
        (ON_A_PORT, "[git.example.com]:2222", "ssh-keyscan -p 2222 git.example.com"),
    ):
        with pytest.raises(PlanError) as caught:
            known_hosts.pinned("shop", source)
        assert str(caught.value) == (
            f"shop: the host key of {name} is known neither here nor in the inventory: compare what {scan} prints with the keys "
            "that the host publishes, then write it into the inventory as source.host_key, or into ~/.ssh/known_hosts"
        )


def test_the_hosts_of_requirements_keep_their_names(tmp_path: Path) -> None:
    pushed = Source(push=tmp_path, host_key=[f"one.example.com,10.0.0.7  {KEY} a comment", f"@revoked * {OTHER}"])
    assert known_hosts.pinned("shop", pushed) == (f"one.example.com,10.0.0.7 {KEY}", f"@revoked * {OTHER}")


def test_a_repository_that_is_not_read_over_ssh_has_no_host_key(tmp_path: Path) -> None:
    for source in (
        Source(repository="https://git.example.com/shop.git"),
        Source(repository="/srv/shop"),
        Source(push=tmp_path),
    ):
        assert known_hosts.pinned("shop", source) == ()
