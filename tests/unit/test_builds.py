"""Builds on this machine, with its own git and sh."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

import pytest

from provision.controller.builds import Commands, build
from provision.errors import PlanError, RunError
from provision.inventory import Inventory, Source, load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Git = Callable[..., str]

COUNT = Commands("count", "echo run >>{counter}\nmkdir out\nls -A >out/seen\n", (), ("out",))


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inventory:
    """Any; what is built is kept in a folder of the test's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "prod.yml").write_text("hosts: {web1: 203.0.113.10}\n")
    return load(tmp_path / "prod.yml")


def read(path: Path) -> dict[str, str]:
    """The files in a tar, by name."""
    with tarfile.open(path) as packed:
        assert {(each.uid, each.uname) for each in packed} == {(0, "root")}
        found = ((each.name, packed.extractfile(each)) for each in packed)
        return {name: file.read().decode() for name, file in found if file}


def steps(tmp_path: Path, inputs: tuple[str, ...] = ()) -> list[Commands]:
    program = COUNT.program.replace("{counter}", str(tmp_path / "counter"))
    return [
        Commands("count", program, inputs, ("out",)),
        Commands("copy", "cp out/seen copy\n", inputs, ("copy",)),
    ]


def test_it_runs_in_a_clean_checkout_and_only_where_what_it_reads_has_changed(
    inventory: Inventory, repository: Path, git: Git, tmp_path: Path
) -> None:
    source = Source(push=repository)
    (repository / "untracked").touch()
    first = git("rev-parse", "HEAD", folder=repository).strip()
    found = read(build("shop", source, first, steps(tmp_path, ("app",)), inventory, tmp_path / "one.tar"))
    assert found == {"copy": "app\nout\n", "out/seen": "app\nout\n"}
    (repository / "elsewhere").touch()
    git("add", "elsewhere", folder=repository)
    git("commit", "--quiet", "--message=another", folder=repository)
    second = git("rev-parse", "HEAD", folder=repository).strip()
    build("shop", source, second, steps(tmp_path, ("app",)), inventory, tmp_path / "two.tar")
    assert (tmp_path / "counter").read_text() == "run\n"
    build("shop", source, second, steps(tmp_path), inventory, tmp_path / "three.tar")
    assert (tmp_path / "counter").read_text() == "run\nrun\n"


def test_it_has_none_of_the_variables_that_an_app_may_have(
    inventory: Inventory, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_SECRET_KEY", "a-secret-value")
    step = Commands("env", "env >out\n", (), ("out",))
    found = read(build("shop", Source(push=repository), "HEAD", [step], inventory, tmp_path / "one.tar"))["out"]
    assert "PATH=" in found
    assert "a-secret-value" not in found


def test_a_commit_that_names_something_twice_is_refused_and_leads_nowhere(
    inventory: Inventory, repository: Path, git: Git, tmp_path: Path
) -> None:
    """A link out of the tree, and a file in what it is."""
    (tmp_path / "outside").mkdir()
    for name, text in (("link", str(tmp_path / "outside")), ("file", "text")):
        (tmp_path / name).write_text(text)
    link, file = (git("hash-object", "-w", str(tmp_path / name), folder=repository) for name in ("link", "file"))
    entries = ((b"120000 a", link), (b"100644 a/out", file))
    (tmp_path / "tree").write_bytes(b"".join(name + b"\0" + bytes.fromhex(each) for name, each in entries))
    tree = git("hash-object", "--literally", "-w", "-t", "tree", str(tmp_path / "tree"), folder=repository)
    commit = git("commit-tree", "-m", "twice", tree, folder=repository)
    with pytest.raises(PlanError, match="shop: the commit cannot be unpacked on this machine: tar: a/out"):
        build("shop", Source(push=repository), commit, steps(tmp_path), inventory, tmp_path / "one.tar")
    assert [*(tmp_path / "outside").iterdir()] == []


def test_commands_that_fail_say_which_and_why(inventory: Inventory, repository: Path, tmp_path: Path) -> None:
    step = Commands("make", "printf '$ make all\\n'\necho no rule >&2\nexit 2\n", (), ("out",))
    with pytest.raises(RunError, match="shop: the build on this machine failed at `make all`: no rule") as failed:
        build("shop", Source(push=repository), "HEAD", [step], inventory, tmp_path / "one.tar")
    assert failed.value.output == ("$ make all", "no rule")
    assert not (tmp_path / "one.tar").exists()


@pytest.mark.parametrize("program", ["true", "ln -s /etc out", "mkdir -p x; ln -s /etc y"])
def test_an_output_is_a_file_or_a_folder_of_the_checkout(
    inventory: Inventory, repository: Path, tmp_path: Path, program: str
) -> None:
    outputs = ("y/passwd",) if "y" in program else ("out",)
    with pytest.raises(RunError, match="that is a file or a folder"):
        build(
            "shop",
            Source(push=repository),
            "HEAD",
            [Commands("x", program, (), outputs)],
            inventory,
            tmp_path / "one.tar",
        )


def test_an_input_that_the_commit_lacks_is_named(inventory: Inventory, repository: Path, tmp_path: Path) -> None:
    step = Commands("x", "true", ("nowhere",), ("out",))
    with pytest.raises(PlanError, match="nowhere"):
        build("shop", Source(push=repository), "HEAD", [step], inventory, tmp_path / "one.tar")
