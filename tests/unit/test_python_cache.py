"""Packed Pythons: what is taken from a server, what pins it, and what is used of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from provision.controller import python_cache
from provision.engine.facts import SYSTEM
from provision.engine.resource import Transfer
from provision.errors import CacheError
from provision.inventory import Inventory, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from provision.controller.ssh import Session
    from provision.inventory import Host
    from tests.unit.conftest import Known

    MakeHost = Callable[..., Host]
    MakeFacts = Callable[..., Known]

CONTENT = b"a packed Python"
SHA = hashlib.sha256(CONTENT).hexdigest()
KEY = "3.13.5-debian12-x86_64"
PINNED = {"3.13.5": KEY}


class Server:
    """What a server has to fetch."""

    def __init__(self, content: bytes = CONTENT, about: bytes = b"libffi8\nlibssl3\n") -> None:
        self.files = {"/outbox/3.13.5.tar.gz": content, "/outbox/3.13.5.tar.gz.about": about}

    def get(self, remote: str, local: Path, limit: int) -> None:
        assert len(self.files[remote]) <= limit
        local.write_bytes(self.files[remote])


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inventory:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("provision.controller.files.get", Server.get)
    path = tmp_path / "prod.yml"
    path.write_text("hosts: {web1: 203.0.113.10}\n")
    return load(path)


def take(inventory: Inventory, server: Server) -> None:
    built = Transfer(python_cache.location(inventory) / KEY, "/outbox/3.13.5.tar.gz")
    python_cache.take(cast("Session", server), inventory, built)


def kept(inventory: Inventory) -> list[str]:
    """The archives in the cache, and the pinned ones."""
    files = python_cache.location(inventory).iterdir()
    lock = python_cache.lock(inventory)
    lines = lock.read_text().splitlines() if lock.exists() else []
    return sorted(path.name for path in files if path.name != ".lock") + [line for line in lines if line[0] != "#"]


def test_an_archive_that_was_built_is_pinned_and_used(inventory: Inventory, tmp_path: Path) -> None:
    take(inventory, Server())
    assert kept(inventory) == [f"{KEY}-{SHA[:16]}.tar.gz", f"{SHA} {KEY} libffi8 libssl3"]
    assert python_cache.lock(inventory) == tmp_path / "prod.pythons.lock"
    found = python_cache.read(inventory, PINNED)["3.13.5"]
    assert (found.path.read_bytes(), found.sha256, found.packages) == (CONTENT, SHA, ("libffi8", "libssl3"))


def test_no_archive_takes_the_place_of_another(inventory: Inventory) -> None:
    take(inventory, Server())
    before = kept(inventory)
    take(inventory, Server(b"another one"))
    assert kept(inventory) == before


def test_an_archive_that_is_not_pinned_is_not_used(inventory: Inventory) -> None:
    take(inventory, Server())
    lock = python_cache.lock(inventory)
    text = lock.read_text()
    lock.unlink()
    assert python_cache.read(inventory, PINNED) == {}
    lock.write_text(text.replace(SHA, "0" * 64))
    assert python_cache.read(inventory, PINNED) == {}
    take(inventory, Server())
    assert python_cache.read(inventory, PINNED)["3.13.5"].sha256 == SHA


@pytest.mark.parametrize(
    "about",
    [b"-oDPkg::Pre-Invoke::=reboot", b"libssl3-", b"openssh-server", b"lib../x", b"\x1b[2J", b"\xff", b"libssl3 " * 51],
)
def test_what_is_no_library_is_not_kept(inventory: Inventory, about: bytes) -> None:
    with pytest.raises(CacheError, match="is not kept, as it names") as raised:
        take(inventory, Server(about=about))
    assert "\x1b" not in str(raised.value)
    assert kept(inventory) == []


@pytest.mark.parametrize("architecture", ["../../other/x86_64", "", "x86_64\n", "x86 64", "X" * 40])
def test_an_architecture_that_is_none_is_refused(architecture: str, make_host: MakeHost, make_known: MakeFacts) -> None:
    with pytest.raises(CacheError, match="is not the name of a Python"):
        python_cache.keys(make_known(architecture=architecture).facts[SYSTEM], make_host())


def test_pythons_are_for_systems_like_the_one_that_built_them(make_host: MakeHost, make_known: MakeFacts) -> None:
    assert python_cache.keys(make_known().facts[SYSTEM], make_host()) == PINNED
    for other in ({"version": "13"}, {"architecture": "aarch64"}):
        assert python_cache.keys(make_known(**other).facts[SYSTEM], make_host()) != PINNED


@pytest.mark.parametrize(
    "line", ["nonsense", f"{SHA} ../{KEY}", f"{SHA[1:]} {KEY}", f"{SHA} {KEY} -y", f"{SHA} {KEY} ", "\x1b[2J"]
)
def test_a_lock_file_with_another_line_is_one_line_that_says_which(inventory: Inventory, line: str) -> None:
    lock = python_cache.lock(inventory)
    lock.write_text(f"# a comment\n{line}\n")
    with pytest.raises(CacheError) as raised:
        python_cache.read(inventory, PINNED)
    assert (
        str(raised.value) == f"{lock}:2: not a line that provision writes; take the file from Git, or remove the line"
    )
