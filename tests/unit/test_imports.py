"""What a task imports, and what it leaves alone: each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import contextlib, io, json, sys
from invoke.main import program

with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    program.run(["invoke", *sys.argv[1:]])
print(json.dumps(sorted(sys.modules)))
"""
NOBODYS = {
    "provision.lab",
    "provision.run.verification",
    "http.client",
    "packaging",
    "pyrage",
    "pytest",
    "testinfra",
    "urllib.request",
}
HEAVY = {"cryptography", "fabric", "jinja2", "paramiko", "pydantic", "rich"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose one server refuses the connection."""
    (tmp_path / "tasks.py").write_text("from provision.tasks import namespace\n")
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories/prod.yml").write_text("hosts: {web1: {address: 127.0.0.1, port: 1}}\n")
    return tmp_path


def imported(project: Path, *words: str) -> set[str]:
    """The modules that a task has imported when it ends."""
    ran = subprocess.run(
        (sys.executable, "-c", PROGRAM, *words), cwd=project, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    found: list[str] = json.loads(ran.stdout)
    return set(found)


def test_the_list_of_tasks_imports_what_declares_them_and_no_more(project: Path) -> None:
    found = imported(project, "--list")
    assert found & (NOBODYS | HEAVY) == set()
    ours = {name for name in found if name.startswith("provision.") and not name.startswith("provision.tasks")}
    assert ours == {"provision.errors", "provision.report", "provision.report.pipe", "provision.untrusted"}


def test_a_deploy_imports_no_lab_no_checks_and_nobody_elses_report(project: Path) -> None:
    found = imported(project, "deploy", "--host", "web1")
    assert {"provision.run.fleet", "provision.report.console", *HEAVY} <= found
    assert found & (NOBODYS | {"provision.run.ask", "provision.report.document"}) == set()


def test_a_deploy_for_a_program_imports_nothing_of_the_terminal(project: Path) -> None:
    found = imported(project, "deploy", "--host", "web1", "--json")
    assert {"provision.run.fleet", "provision.report.document"} <= found
    forbidden = {"provision.run.ask", "provision.report.console", "provision.report.tables", "rich"}
    assert found & (NOBODYS | forbidden) == set()


def test_importing_the_tasks_leaves_standard_output_alone() -> None:
    script = "import sys; own = sys.stdout; import provision.tasks as t; t.collection(); assert sys.stdout is own"
    assert subprocess.run((sys.executable, "-c", script), capture_output=True, timeout=60).returncode == 0


@pytest.mark.parametrize(("told", "written"), [("", "True"), ("1", "False")])
def test_what_a_task_imports_is_compiled_once_though_invoke_would_not_keep_it(
    project: Path, told: str, written: str
) -> None:
    (project / "tasks.py").write_text(
        "import sys\nfrom provision.tasks import namespace\nprint(not sys.dont_write_bytecode)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "invoke", "--list"],
        cwd=project,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": told},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.splitlines()[0] == written
