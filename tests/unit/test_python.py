from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.engine.resource import State, Transfer
from provision.errors import PlanError
from provision.inventory import Mirrors, Python
from provision.resources.python import KNOWN, REVISIONS, CachedPython, CPython, Pyenv
from tests.unit.conftest import planned as earlier

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable


PYENV = Pyenv("https://git.example.com/pyenv.git", "v2.6.30")
BARE = CPython("3.13.5", False, "", "deployer", "/home/deployer")
CACHED = CachedPython(Path("/cache/3.13.5.tar.gz"), "ab" * 32, 41_600_000, ("libssl3",))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State(), "install pyenv v2.6.30 from https://git.example.com/pyenv.git"),
        (State.of({"state": "unmodified"}), None),
        (State.of({"state": "modified"}), "restore pyenv v2.6.30 (it was modified)"),
    ],
)
def test_pyenv_is_one_release_unmodified(state: State, expected: str | None) -> None:
    change = PYENV.plan(state, {})
    assert (change.summary if change else None) == expected
    assert change is None or change.id == str(PYENV.ref)


def test_a_python_that_is_there_is_right() -> None:
    assert BARE.plan(State.of({"state": "built"}), {}) is None


def test_a_python_is_built_where_nothing_is_cached() -> None:
    change = BARE.plan(State(), {})
    assert change is not None
    assert (change.id, change.summary) == (str(BARE.ref), "build Python 3.13.5 with pyenv")
    assert (change.upload, change.download) == (None, None)
    assert "--disable-test-modules" in change.script


def test_an_optimized_python_is_another_one() -> None:
    optimized = replace(BARE, optimized=True)
    change = optimized.plan(State(), {})
    assert change is not None
    assert change.summary == "build Python 3.13.5 with pyenv, optimized"
    assert "--enable-optimizations" in change.script
    assert optimized.prefix == "/opt/pyenv/versions/3.13.5-optimized"
    assert str(optimized.ref) != str(BARE.ref)


def test_a_built_python_is_fetched_for_the_cache() -> None:
    change = replace(BARE, keep=Path("/cache/kept.tar.gz")).plan(State(), {})
    assert change is not None
    assert change.download is not None
    assert change.download.local == Path("/cache/kept.tar.gz")
    assert change.download.remote in change.script


def test_a_cached_python_is_placed_not_built() -> None:
    change = replace(BARE, cached=CACHED, keep=Path("/cache/kept.tar.gz")).plan(State(), {})
    assert change is not None
    assert change.summary == "place Python 3.13.5 from the controller's cache (42 MB)"
    assert change.download is None
    assert change.upload == Transfer(CACHED.path, f".provision-{'ab' * 8}.tar.gz", CACHED.sha256, CACHED.size)
    assert f"/home/deployer/{change.upload.remote}" in change.script


def test_a_python_was_built_to_its_end_when_it_has_its_stamp(
    tmp_path: Path, observe: Callable[..., tuple[State, ...]]
) -> None:
    prefix = tmp_path / "opt/pyenv/versions" / "3.13.5"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "lib").mkdir()
    (prefix / "bin" / "python").touch(0o755)
    assert observe(BARE) == ((),)
    (prefix / ".provision").touch()
    assert observe(BARE, replace(BARE, optimized=True)) == (State.of({"state": "built"}), State())
    (prefix / "bin" / "python").unlink()
    assert observe(BARE) == ((),)


def test_pyenv_is_installed_from_its_repository_and_restored_when_it_was_modified(
    tmp_path: Path,
    repository: Path,
    git: Callable[..., str],
    observe: Callable[..., tuple[State, ...]],
    make: Callable[..., subprocess.CompletedProcess[str]],
    owners: Callable[[], list[str]],
) -> None:
    git("tag", "v1", folder=repository)
    pyenv = Pyenv(str(repository), "v1")
    for expected in (State(), State.of({"state": "modified"})):
        (state,) = observe(pyenv)
        assert state == expected
        assert make(pyenv.plan(state, {})).returncode == 0
        assert observe(pyenv) == (State.of({"state": "unmodified"}),)
        (tmp_path / "opt/pyenv/app" / "main.py").write_text("broken")


def test_the_list_of_versions_is_of_the_pyenv_that_inventories_take_by_default() -> None:
    assert Mirrors().pyenv_revision in REVISIONS
    assert Python().exact in KNOWN


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_python_that_the_listed_pyenv_does_not_know_is_refused_before_pyenv_is_there(revision: str) -> None:
    before = earlier(f"pyenv:{revision}")
    with pytest.raises(PlanError) as refusal:
        replace(BARE, version="3.9.99", pyenv=revision).plan(State(()), before)
    assert str(refusal.value) == (
        f"pyenv {revision[:12]} does not know Python 3.9.99: the newest 3.9 that it knows is 3.9.25; "
        "write a version that it knows, or name a newer pyenv with mirrors.pyenv_revision"
    )
    assert replace(BARE, pyenv=revision).plan(State(()), before)
    assert replace(BARE, version="3.9.99", pyenv=revision, cached=CACHED).plan(State(()), before), "it is not built"


def test_of_a_pyenv_that_is_yet_to_come_and_not_listed_nothing_is_said() -> None:
    before = earlier("pyenv:v9")
    assert replace(BARE, version="3.99.1", pyenv="v9").plan(State.of({"state": "unknown", "newest": ""}), before)


def test_the_pyenv_on_the_server_knows_better_than_the_list() -> None:
    newer = replace(BARE, version="3.99.1", pyenv=REVISIONS[0])
    assert newer.plan(State(), {})
    with pytest.raises(PlanError, match=r"does not know Python 3\.13\.5: it knows no 3\.13 at all; write"):
        BARE.plan(State.of({"state": "unknown", "newest": ""}), {})


def test_the_probe_says_which_python_pyenv_cannot_build_and_the_newest_that_it_can(
    tmp_path: Path, observe: Callable[..., tuple[State, ...]]
) -> None:
    definitions = tmp_path / "opt/pyenv/plugins/python-build/share/python-build"
    definitions.mkdir(parents=True)
    for name in ("3.13.5", "3.13.9", "3.13.10", "3.13.11t", "3.13-dev", "miniforge3-25.1"):
        (definitions / name).touch()
    wanted = (BARE, replace(BARE, version="3.13.12"), replace(BARE, version="3.14.0"))
    states = (
        State(),
        State.of({"state": "unknown", "newest": "3.13.10"}),
        State.of({"state": "unknown", "newest": ""}),
    )
    assert observe(*wanted) == states
