from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import provision
from provision.engine.shell import heredoc, library, words

if TYPE_CHECKING:
    from collections.abc import Callable

    Sh = Callable[..., subprocess.CompletedProcess[str]]

ODD = ["", " ", "it's", '"', "$HOME", "`id`", "a\\b", "*", "a\nb", "größe ☃", "-n", "~"]


def test_any_word_arrives_as_it_is(sh: Sh) -> None:
    assert sh(words("printf", "%s\\0", *ODD)).stdout.split("\0")[:-1] == ODD


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"no newline", b"END_OF_BASE64\n", b"$HOME `id` \\ '\n", bytes(range(256)), b"x" * 10_000],
    ids=["empty", "newline", "no newline", "its own end", "shell", "all bytes", "large"],
)
def test_any_content_arrives_as_it_is(content: bytes, sh: Sh) -> None:
    assert sh(heredoc("od -An -v -tx1", content)).stdout.split() == [f"{byte:02x}" for byte in content]


def test_a_here_document_may_stand_in_another_one(sh: Sh) -> None:
    inner = heredoc("cat", b"inner\n")
    assert sh(f"script=$(cat <<'END_OF_CHANGE_0'\n{inner}\nEND_OF_CHANGE_0\n)\neval \"$script\"").stdout == "inner\n"


def test_no_line_of_a_here_document_is_long() -> None:
    assert max(map(len, heredoc("cat", b"x" * 10_000).splitlines())) <= 76


def test_a_library_is_the_shell_file_beside_the_module_without_its_comments(tmp_path: Path) -> None:
    (tmp_path / "one.sh").write_text("# for the reader\n\none() {\n    # here too\n    echo 1 # stays\n}\n")
    assert library(str(tmp_path / "one.py")) == "one() {\n    echo 1 # stays\n}\n"


@pytest.mark.parametrize("module", ["apply", "facts", "probe"])
def test_the_engines_libraries_are_well_formed(module: str, parses: Callable[[str], bool]) -> None:
    assert parses(f"engine/{module}.py")


@pytest.mark.parametrize(
    "module",
    sorted(
        str(path.relative_to(Path(provision.__file__).parent).with_suffix(".py"))
        for folder in ("resources", "release")
        for path in (Path(provision.__file__).parent / folder).glob("*.sh")
    ),
)
def test_the_libraries_of_kinds_are_well_formed(module: str, parses: Callable[[str], bool]) -> None:
    assert parses(module)


def test_no_two_libraries_define_the_same_function_for_one_script_holds_them_all() -> None:
    files = sorted(Path(provision.__file__).parent.glob("*/*.sh"))
    names = [name for file in files for name in re.findall(r"^([a-z_]+)\(\)", file.read_text(), re.MULTILINE)]
    assert len(names) > 100
    assert sorted(set(names)) == sorted(names)


def test_no_shell_takes_names_as_they_are_from_a_folder_that_is_everybodys() -> None:
    """What matches a pattern there may be anybody's, and hold a newline."""
    files = sorted(Path(provision.__file__).parent.glob("*/*.sh"))
    glob = re.compile(r"/(?:tmp|var/tmp|dev/shm)\"?/\S*\*")
    assert [str(file) for file in files if glob.search(file.read_text())] == []


def test_what_an_app_says_is_never_kept_as_a_whole() -> None:
    """It may have no end, and root's shell would keep all of it in memory: command_told has the end of it."""
    files = sorted(Path(provision.__file__).parent.glob("*/*.sh"))
    kept = re.compile(r'=\$\((?:cd / && )?(?:command_run|sandbox_run|runuser -u "\$)[^|]*\)')
    assert [found for file in files for found in kept.findall(file.read_text())] == []


def test_no_variable_of_a_command_is_set_by_an_argument() -> None:
    """All users of a server can read arguments, and what comes from a variable of the shell may be an app's secret."""
    files = sorted(Path(provision.__file__).parent.glob("*/*.sh"))
    given = re.compile(r'\benv (?:[A-Z_]+=\S+ )*[A-Z_]+="?\$.*')
    assert [found for file in files for found in given.findall(file.read_text())] == []


def test_root_imports_nothing_from_the_folder_in_which_it_is() -> None:
    """That is the login's home: without -I, Python would look there first, for a pip.py or an ssl.py. What is boxed is not root's."""
    files = [
        file for file in Path(provision.__file__).parent.glob("*/*.sh") if file.name not in ("build.sh", "check.sh")
    ]
    lines = [
        line for file in files for line in file.read_text().splitlines() if not re.search("command_run|lab/", line)
    ]
    assert [line for line in lines if re.search(r'python3?"? -[cm] ', line)] == []


@pytest.fixture
def parses() -> Callable[[str], bool]:
    """Whether sh can read a library; nothing of it is run."""

    def read(module: str) -> bool:
        text = library(str(Path(provision.__file__).parent / module))
        return subprocess.run(("sh", "-n"), input=text, capture_output=True, text=True).returncode == 0

    return read


def test_a_removal_leaves_the_toolkits_folder_for_what_comes_after_it() -> None:
    """A folder that was there when the plan was made is made by nobody in that run. What is last in a run, or removes all, may take it along."""
    found = {
        path.name
        for path in Path(provision.__file__).parent.rglob("*.sh")
        if re.search("rmdir .*etc/provision\\b", path.read_text())
    }
    assert found == {"restored.sh", "uninstall.sh", "egress.sh"}
