"""What is built for releases: the plan, and what root takes and places, in a server's root folder."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.engine.resource import State, Transfer
from provision.errors import PlanError
from provision.release import shell as shell_module
from provision.release.artifacts import Artifacts, Step, steps
from provision.release.box import box, builds_box
from tests.unit.conftest import planned
from tests.unit.tables import COMMIT, HOST, SHOP

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.release.serving import Ran
    from tests.unit.tables import MakeHost

FRONT = (
    '{run: [npm ci, npm run build], folder: front, inputs: [front], outputs: [front/dist], environment: {A: "it\'s"}}'
)
WANTED = Artifacts("shop", "one", COMMIT, (Step("npm ci", "npm ci\n", (), ("dist",)),))


def test_commands_without_outputs_run_together_with_the_next_that_have_them(make_host: MakeHost) -> None:
    text = f"{HOST}apps:\n{SHOP[:-2]}, build: [{FRONT}, echo one, {{run: echo two, outputs: [out]}}]}}\n"
    front, both = steps(make_host(text).apps["shop"])
    assert (front.says, front.inputs, front.outputs) == ("npm ci, npm run build (front)", ("front",), ("front/dist",))
    assert (both.says, both.inputs, both.outputs) == ("echo one, echo two", (), ("out",))


def test_a_program_runs_each_command_where_it_belongs_and_says_so_before(make_host: MakeHost, tmp_path: Path) -> None:
    build = "[{run: ['echo $A', pwd], folder: front, environment: {A: \"it's $HOME\"}}, {run: 'pwd; echo ${A-none}', outputs: [out]}]"
    (step,) = steps(make_host(f"{HOST}apps:\n{SHOP[:-2]}, build: {build}}}\n").apps["shop"])
    (tmp_path / "front").mkdir()
    ran = subprocess.run(["sh", "-eu", "-c", step.program], cwd=tmp_path, capture_output=True, text=True, check=True)
    said = ["$ echo $A", "it's $HOME", "$ pwd", f"{tmp_path}/front", "$ pwd; echo ${A-none}", str(tmp_path), "none"]
    assert ran.stdout.splitlines() == said


def test_the_first_command_that_fails_ends_a_program(make_host: MakeHost, tmp_path: Path) -> None:
    build = "[{run: ['exit 3', 'echo later'], outputs: [out]}]"
    (step,) = steps(make_host(f"{HOST}apps:\n{SHOP[:-2]}, build: {build}}}\n").apps["shop"])
    ran = subprocess.run(["sh", "-eu", "-c", step.program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (3, "$ exit 3\n")


def test_a_release_that_has_them_needs_nothing_until_its_files_or_its_environment_are_made_again() -> None:
    right = State.of({"build": "right"})
    assert WANTED.plan(right, {}) is None
    for name in ("release:shop", "venv:shop"):
        assert WANTED.plan(right, planned(name)) is not None
    change = WANTED.plan(State(), {})
    assert change is not None
    assert change.summary == "shop: build: npm ci: run, or taken where its inputs are the same"


def test_what_the_controller_builds_is_sent_unless_the_server_has_it() -> None:
    on = replace(WANTED, on="controller", home="/home/me")
    with pytest.raises(PlanError, match="lacks what this machine built for it"):
        on.plan(State(), {})
    kept = on.plan(State.of({"kept": "yes"}), {})
    assert kept is not None
    assert kept.upload is None
    sent = replace(on, sent=Transfer(Path("built.tar"), ".built")).plan(State(), {})
    assert sent is not None
    assert (sent.upload, sent.summary) == (
        Transfer(Path("built.tar"), ".built"),
        "shop: build on this machine, and send: npm ci",
    )
    assert "/home/me/.built" in sent.script


def test_a_build_is_boxed_as_the_environments_is_and_has_a_cache_of_its_own(make_host: MakeHost) -> None:
    app = make_host(f"{HOST}apps:\n{SHOP}").apps["shop"]
    ours, theirs = {*builds_box(app)}, {*box(app)}
    assert ours - theirs == {
        "ReadWritePaths=/var/cache/provision/npm-shop",
        "InaccessiblePaths=-/var/cache/provision/build-shop",
    }
    assert theirs - ours == {
        "ReadWritePaths=/var/cache/provision/build-shop",
        "MemoryDenyWriteExecute=yes",
        "ProcSubset=pid",
    }


@pytest.fixture
def tree(server: Path) -> Path:
    """A release's folder."""
    made = server / "srv/shop/releases/one"
    made.mkdir()
    return made


def above(call: Callable[..., Ran], tree: Path, path: str, make: str = "") -> Ran:
    return call([shell_module], f"app=shop; artifacts_above {tree} {path} {make}")


def test_nothing_is_put_or_taken_behind_a_link(call: Callable[..., Ran], tree: Path, tmp_path: Path) -> None:
    (tree / "linked").symlink_to(tmp_path)
    (tree / "real").mkdir()
    (tree / "file").touch()
    for path in ("linked/x", "linked/deep/x", "file/x"):
        for make in ("", "make"):
            ran = above(call, tree, path, make)
            assert ran.returncode == 1
            assert "is no folder, so there is no" in ran.stdout + ran.stderr
    assert above(call, tree, "real/x").returncode == 0
    assert above(call, tree, "real/new/x").returncode == 1
    assert above(call, tree, "real/new/x", "make").returncode == 0
    assert (tree / "real/new").is_dir()
    assert not (tmp_path / "deep").exists()


def test_a_copy_takes_the_place_of_what_the_commit_has(call: Callable[..., Ran], server: Path, tree: Path) -> None:
    kept = server / "srv/shop/builds/key"
    (kept / "out/front/dist").mkdir(parents=True)
    (kept / "out/front/dist/new").write_text("new")
    (kept / "out/front/link").symlink_to("/etc/shadow")
    (kept / "outputs").write_text("front/dist\nfront/link\n")
    (tree / "front/dist").mkdir(parents=True)
    (tree / "front/dist/old").touch()
    (tree / "front/link").symlink_to(server)
    ran = call([shell_module], f"app=shop; layout_app shop; artifacts_lay key {tree}")
    assert ran.returncode == 0, ran.stderr
    assert [each.name for each in (tree / "front/dist").iterdir()] == ["new"]
    assert (tree / "front/link").readlink() == Path("/etc/shadow")
    assert sorted(each.name for each in (tree / "front").iterdir()) == ["dist", "link"]


@pytest.mark.parametrize("command", ["mkdir", "mv"])
def test_what_was_built_is_kept_whole_or_not_at_all(
    command: str, call: Callable[..., Ran], server: Path, stand_in: Callable[[str, str], Path], owners: object
) -> None:
    """A disk that is full while root takes the first of two outputs: without it, later deploys would take what is kept for whole."""
    work = server / "work"
    for name in ("one/a", "two/b"):
        (work / "source" / name).mkdir(parents=True)
    (server / "srv/shop/builds").mkdir()
    program = subprocess.run(["sh", "-c", f"command -v {command}"], capture_output=True, text=True, check=True).stdout
    stand_in(command, f'case "$*" in *out/one*) exit 1 ;; esac; exec {program.strip()} "$@"')
    took = f"app=shop; layout_app shop; work={work} key=key outputs='one/a\ntwo/b'; PATH={server}/bin:$PATH; artifacts_take"
    ran = call([shell_module], took)
    assert (ran.returncode, [*(server / "srv/shop/builds").iterdir()]) == (1, []), ran.stdout + ran.stderr
    assert "no space left for what was built" in ran.stdout
