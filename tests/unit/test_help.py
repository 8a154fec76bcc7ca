"""The help of every task: no inventory, no server, nothing started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from provision.tasks import collection

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TASKS = sorted(collection().task_names)

# One process for all tasks; whatever would reach out of it is noticed before it happens, and refused.
PROGRAM = """
import contextlib, io, json, sys

KINDS = ("socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen",
         "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty")
noticed = []

def hook(event, arguments):
    if event in KINDS:
        noticed.append(f"{event} {arguments}")
        raise PermissionError(13, event)

sys.addaudithook(hook)
from invoke.main import program

answers = []
for words in json.load(sys.stdin):
    sys.argv[:] = ["invoke", *words]
    noticed.clear()
    printed, status = io.StringIO(), 0
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            program.run(list(sys.argv))
        except SystemExit as end:
            status = end.code or 0
    answers.append({"status": status, "printed": printed.getvalue(), "noticed": list(noticed)})
print(json.dumps(answers))
"""


def invoke(folder: Path, commands: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Each command's exit status, what it printed, and what it tried beyond its process."""
    (folder / "tasks.py").write_text("from provision.tasks import namespace\n")
    ran = subprocess.run(
        (sys.executable, "-c", PROGRAM),
        cwd=folder,
        env={**os.environ, "HOME": str(folder), "COLUMNS": "200"},
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    answers: list[dict[str, Any]] = json.loads(ran.stdout)
    return answers


def test_no_tasks_help_touches_a_server_or_needs_an_inventory(tmp_path: Path) -> None:
    assert {"deploy", "lab.up", "maintenance.on"} <= set(TASKS)
    before = invoke(tmp_path, [("--help", task) for task in TASKS])
    for task, answer in zip(TASKS, before, strict=True):
        assert (task, answer["status"], answer["noticed"]) == (task, 0, [])
        assert f"] {task} [" in answer["printed"].splitlines()[0]
        assert "Docstring:\n  none" not in answer["printed"]
    assert {path.name for path in tmp_path.iterdir()} <= {"tasks.py", "__pycache__"}


def test_help_after_a_task_touches_no_server_and_is_help_or_says_where_it_is(tmp_path: Path) -> None:
    after = invoke(tmp_path, [(task, "--help") for task in TASKS])
    for task, answer in zip(TASKS, after, strict=True):
        assert (task, answer["noticed"]) == (task, [])
        if answer["status"]:
            assert answer["printed"] == "Invoke takes --help before the task: invoke --help TASK\n"
        else:
            assert f"] {task} [" in answer["printed"].splitlines()[0]


def test_a_task_that_reaches_for_a_server_would_be_noticed(tmp_path: Path) -> None:
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories/prod.yml").write_text("hosts: {web1: {address: 127.0.0.1, port: 1}}\n")
    answer = invoke(tmp_path, [("plan", "--host", "web1")])[0]
    assert answer["status"] == 1
    assert any(event.startswith("socket.") for event in answer["noticed"])
