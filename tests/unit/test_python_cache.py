from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from provision.controller import python_cache
from provision.engine.facts import SYSTEM
from provision.errors import CacheError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provision.inventory import Host
    from provision.resources.python import CachedPython
    from tests.unit.conftest import Known

    MakeHost = Callable[..., Host]
    MakeFacts = Callable[..., Known]

CONTENT = b"a packed Python"
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Python 3.13.5 for Debian 12, as a server packed it."""
    path = tmp_path / "3.13.5-debian12-x86_64.tar.gz"
    path.write_bytes(CONTENT)
    path.with_name(path.name + ".about").write_text(f"{SHA} {len(CONTENT)}\nlibffi8\nlibssl3\n")
    return path


def read(kept: Path, host: Host, known: Known) -> dict[str, CachedPython]:
    return python_cache.read(python_cache.archives(kept, known.facts[SYSTEM], host))


def test_a_packed_python_is_found_for_a_server_like_the_one_that_built_it(
    packed: Path, make_host: MakeHost, make_known: MakeFacts
) -> None:
    found = read(packed.parent, make_host(), make_known())
    assert list(found) == ["3.13.5"]
    assert (found["3.13.5"].path, found["3.13.5"].sha256) == (packed, SHA)
    assert found["3.13.5"].packages == ("libffi8", "libssl3")
    for other in ({"version": "13"}, {"architecture": "aarch64"}):
        assert read(packed.parent, make_host(), make_known(**other)) == {}
    assert read(packed.parent / "elsewhere", make_host(), make_known()) == {}


def test_a_packed_python_that_is_not_whole_is_not_used(
    packed: Path, make_host: MakeHost, make_known: MakeFacts
) -> None:
    packed.write_bytes(CONTENT[:-1])
    assert read(packed.parent, make_host(), make_known()) == {}


def test_a_python_that_arrived_whole_is_kept(packed: Path) -> None:
    python_cache.verify(packed)
    assert packed.exists()


def test_a_python_that_did_not_arrive_whole_is_forgotten(packed: Path) -> None:
    packed.write_bytes(CONTENT[::-1])
    with pytest.raises(CacheError, match="did not arrive whole"):
        python_cache.verify(packed)
    assert [path for path in packed.parent.iterdir() if path.name.startswith("3.13.5")] == []
