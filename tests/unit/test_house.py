"""Sizes and borders that keep the house in order."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
FILE_LINES, FUNCTION_LINES, CLASS_LINES, CLASS_FIELDS = 400, 50, 150, 12


def tracked(*patterns: str) -> list[Path]:
    """The files of the project, as Git has them."""
    listed = subprocess.run(("git", "ls-files", *patterns), cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.splitlines() if not (ROOT / name).is_symlink()]


PYTHON, SHELL = tracked("*.py"), tracked("*.sh", ".ci/run")


def python_functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or 0) - node.lineno + 1


def shell_functions(path: Path) -> Iterator[tuple[str, int]]:
    for found in re.finditer(r"^([a-z_0-9]+)\(\) \{\n.*?^\}$", path.read_text(), re.MULTILINE | re.DOTALL):
        yield found[1], found[0].count("\n") + 1


def large_classes(path: Path) -> Iterator[str]:
    """Classes above the limits whose docstring does not say why they have to be."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef) and " because " not in " ".join((ast.get_docstring(node) or "").split()):
            fields = sum(isinstance(statement, ast.AnnAssign) for statement in node.body)
            lines = (node.end_lineno or 0) - node.lineno + 1
            if fields > CLASS_FIELDS or lines > CLASS_LINES:
                yield f"{node.name}: {fields} fields, {lines} lines"


def test_the_files_are_found() -> None:
    assert len(PYTHON) > 150
    assert len(SHELL) > 20


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_is_longer_than_400_lines() -> None:
    paths = [*PYTHON, *SHELL, *tracked("*.j2")]
    assert [name(path) for path in paths if len(path.read_text().splitlines()) > FILE_LINES] == []


def test_no_function_is_longer_than_50_lines() -> None:
    functions = [(name(path), *each) for path in PYTHON for each in python_functions(path)]
    functions += [(name(path), *each) for path in SHELL for each in shell_functions(path)]
    assert len(functions) > 1500
    assert [each for each in functions if each[2] > FUNCTION_LINES] == []


def test_a_large_class_says_why_it_has_to_be() -> None:
    assert [(name(path), large) for path in PYTHON for large in large_classes(path)] == []


def found(pattern: str, *folders: str) -> list[str]:
    """Which tracked files below the folders have the pattern."""
    paths = (path for path in tracked(*folders) if path.suffix in (".py", ".sh"))
    return [name(path) for path in paths if re.search(pattern, path.read_text())]


def test_the_engine_the_run_and_the_reports_know_no_kind() -> None:
    assert found(r"supervisor|pyenv|/srv/", "provision/engine", "provision/run", "provision/report") == []


def test_an_apps_paths_stand_in_the_layouts_alone() -> None:
    layout, supervisors = "provision/release/layout.py", "provision/release/supervisor.py"
    assert found(r"/srv/", "provision/*.py", "provision/*.sh") == [layout]
    assert found(r"/(etc|run)/(\{app\}|\$\{?app\b)", "provision/*.py", "provision/*.sh") == [layout, supervisors]


def test_the_process_managers_are_known_by_name_where_they_are_declared_and_made() -> None:
    allowed = {"provision/inventory", "provision/release", "provision/checks"}
    assert [
        path
        for path in found(r"[Ss]upervisor", "provision/*.py", "provision/*.sh")
        if str(Path(path).parent) not in allowed
    ] == []
