from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.engine.facts import CachedPython
from provision.engine.resource import Transfer
from provision.resources.python import CPython, Pyenv

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from provision.engine.resource import State

PYENV = Pyenv("https://git.example.com/pyenv.git", "v2.6.30")
BARE = CPython("3.13.5", False, "", "deployer", "/home/deployer")
CACHED = CachedPython(Path("/cache/3.13.5.tar.gz"), "ab" * 32, 41_600_000, ("libssl3",))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ((), "install pyenv v2.6.30 from https://git.example.com/pyenv.git"),
        ((("unmodified",),), None),
        ((("modified",),), "restore pyenv v2.6.30 (it was modified)"),
    ],
)
def test_pyenv_is_one_release_unmodified(state: State, expected: str | None) -> None:
    change = PYENV.plan(state, {})
    assert (change.summary if change else None) == expected
    assert change is None or change.id == PYENV.id


def test_a_python_that_is_there_is_right() -> None:
    assert BARE.plan(((),), {}) is None


def test_a_python_is_built_where_nothing_is_cached() -> None:
    change = BARE.plan((), {})
    assert change is not None
    assert (change.id, change.summary) == (BARE.id, "build Python 3.13.5 with pyenv")
    assert (change.upload, change.download) == (None, None)


def test_an_optimized_python_is_another_one() -> None:
    optimized = replace(BARE, optimized=True)
    change = optimized.plan((), {})
    assert change is not None
    assert change.summary == "build Python 3.13.5 with pyenv, optimized"
    assert "--enable-optimizations" in change.script
    assert optimized.prefix == "/opt/pyenv/versions/3.13.5-optimized"
    assert optimized.id != BARE.id


def test_a_built_python_is_fetched_for_the_cache() -> None:
    change = replace(BARE, keep=Path("/cache/kept.tar.gz")).plan((), {})
    assert change is not None
    assert change.download is not None
    assert change.download.local == Path("/cache/kept.tar.gz")
    assert change.download.remote in change.script


def test_a_cached_python_is_placed_not_built() -> None:
    change = replace(BARE, cached=CACHED, keep=Path("/cache/kept.tar.gz")).plan((), {})
    assert change is not None
    assert change.summary == "place Python 3.13.5 from the controller's cache (42 MB)"
    assert change.download is None
    assert change.upload == Transfer(CACHED.path, f".provision-{'ab' * 8}.tar.gz", CACHED.sha256, CACHED.size)
    assert f"/home/deployer/{change.upload.remote}" in change.script


def test_a_python_was_built_to_its_end_when_it_has_its_stamp(
    tmp_path: Path, observe: Callable[..., tuple[State, ...]]
) -> None:
    places = {"/opt/pyenv": tmp_path}
    prefix = tmp_path / "versions" / "3.13.5"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "lib").mkdir()
    (prefix / "bin" / "python").touch(0o755)
    assert observe(BARE, places=places) == ((),)
    (prefix / ".provision").touch()
    assert observe(BARE, replace(BARE, optimized=True), places=places) == (((),), ())
    (prefix / "bin" / "python").unlink()
    assert observe(BARE, places=places) == ((),)


def test_pyenv_is_installed_from_its_repository_and_restored_when_it_was_modified(
    tmp_path: Path,
    repository: Path,
    git: Callable[..., str],
    observe: Callable[..., tuple[State, ...]],
    make: Callable[..., subprocess.CompletedProcess[str]],
    me: tuple[str, str],
) -> None:
    places = {"/opt/pyenv": tmp_path / "pyenv", "root root": " ".join(me)}
    git("tag", "v1", folder=repository)
    pyenv = Pyenv(str(repository), "v1")
    for expected in ((), (("modified",),)):
        (state,) = observe(pyenv, places=places)
        assert state == expected
        assert make(pyenv.plan(state, {}), places).returncode == 0
        assert observe(pyenv, places=places) == ((("unmodified",),),)
        (tmp_path / "pyenv" / "app" / "main.py").write_text("broken")
