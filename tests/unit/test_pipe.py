"""The tasks in a process of their own, whose output nobody reads to its end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def deserted(words: list[str], folder: Path, unbuffered: str = "", error: int = subprocess.PIPE) -> tuple[int, str]:
    """A command's exit status and what it says to standard error; the reader of its standard output is gone before it writes."""
    reader, writer = os.pipe()
    os.close(reader)
    environ = {**os.environ, "PROVISION_LAB": str(folder), "PYTHONUNBUFFERED": unbuffered}
    try:
        done = subprocess.run(
            [sys.executable, *words], cwd=ROOT, env=environ, stdout=writer, stderr=error, text=True, timeout=60
        )
    finally:
        os.close(writer)
    return done.returncode, done.stderr or ""


@pytest.mark.parametrize(
    ("task", "status", "said"),
    [
        (["lab.status"], 0, ""),
        (["--list"], 0, ""),
        (
            ["plan", "--host", "prod", "--json", "--inventory", "none.yml"],
            1,
            "none.yml: there is no such file; correct the path\n",
        ),
    ],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_task_whose_output_nobody_reads_ends_as_it_would_have(
    task: list[str], status: int, said: str, unbuffered: str, tmp_path: Path
) -> None:
    assert deserted(["-m", "invoke", *task], tmp_path, unbuffered) == (status, said)


def test_an_error_that_nobody_reads_still_sets_the_exit_status(tmp_path: Path) -> None:
    words = ["-m", "invoke", "plan", "--host", "prod", "--inventory", "none.yml"]
    assert deserted(words, tmp_path, error=subprocess.STDOUT) == (1, "")


def test_what_would_never_end_can_know_that_nobody_reads(tmp_path: Path) -> None:
    script = """
from provision.report import pipe
pipe.outlive_readers()
while not pipe.deserted():
    print("a line", flush=True)
raise SystemExit(141)
"""
    assert deserted(["-c", script], tmp_path) == (141, "")
