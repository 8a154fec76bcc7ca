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


def test_help_after_a_task_is_help_too_and_touches_no_server(tmp_path: Path) -> None:
    after = invoke(tmp_path, [(task, "--help") for task in TASKS])
    for task, answer in zip(TASKS, after, strict=True):
        assert (task, answer["noticed"]) == (task, [])
        assert f"] {task} [" in answer["printed"].splitlines()[0]


NO_HOST = "which host? add --host NAME: an inventory (all its hosts), a group, or one host"
MISTAKES = {
    ("deploy",): NO_HOST,
    ("logs",): NO_HOST,
    ("maintenance.on",): NO_HOST,
    (
        "deploy",
        "--host",
        "web1",
    ): "{here} has no folder inventories: go to your project's folder, or name a file with --inventory FILE",
    (
        "logs",
        "--host",
        "web1",
        "--lines",
        "abc",
    ): "--lines abc: not a number of lines; write digits only, for example --lines 200",
    (
        "logs",
        "--host",
        "web1",
        "--lines",
        "-1",
    ): "--lines -1: not a number of lines; write digits only, for example --lines 200",
    ("remove", "--host", "web1"): "remove asks before it begins, and there is no terminal to ask on: add --yes",
    ("remove", "--host", "web1", "--yes", "--with-data", "shop"): (
        "--with-data shop: write the name of the host whose data is to go, web1"
    ),
    (
        "remove",
        "--host",
        "web1",
        "--app",
        "../etc",
    ): '--app: "../etc" is not an app name; use a-z, 0-9 and -, begin with a letter, at most 26 characters',
    ("remove", "--host", "web1", "--app", "", "--yes"): (
        "--app is empty: name an app, or leave --app out to remove all apps and this toolkit"
    ),
    ("remove", "--host", "web1", "--app", "shop"): (
        "remove asks before it begins, and there is no terminal to ask on: add --yes"
    ),
    ("remove", "--host", "web1", "--app", "shop", "--with-data", "blog", "--yes"): (
        "--with-data blog: write the name of the app whose data is to go, shop"
    ),
    ("lab.up", "--count", "two"): "--count two: not a number of servers; write for example --count 3",
}


def test_a_mistake_is_one_line_that_says_what_to_type(tmp_path: Path) -> None:
    answers = invoke(tmp_path, list(MISTAKES))
    for (words, said), answer in zip(MISTAKES.items(), answers, strict=True):
        assert (words, answer["status"], answer["noticed"]) == (words, 1, [])
        assert answer["printed"] == said.format(here=tmp_path) + "\n"


def test_a_missing_host_names_the_inventories_that_are_here(tmp_path: Path) -> None:
    (tmp_path / "inventories").mkdir()
    for name in ("staging.yml", "production.yml", "production.example.yml"):
        (tmp_path / "inventories" / name).touch()
    assert invoke(tmp_path, [("plan",)])[0]["printed"] == f"{NO_HOST}; inventories here: production, staging\n"


def test_an_app_that_no_host_has_is_one_line_before_any_connection(tmp_path: Path) -> None:
    app = "{{source: https://git.example.com/shop.git, module: a:b, domains: [{0}.example.com]}}"
    apps = "".join(f"  {name}: {app.format(name)}\n" for name in ("shop", "blog"))
    (tmp_path / "two.yml").write_text(f"hosts: {{web1: 127.0.0.1}}\napps:\n{apps}")
    tasks = (
        "plan",
        "deploy",
        "promote",
        "rollback",
        "restart",
        "logs",
        "releases",
        "status",
        "maintenance.on",
        "deploy-key",
    )
    options = ("--host", "web1", "--inventory", "two.yml", "--app", "shpo")
    for task, answer in zip(tasks, invoke(tmp_path, [(task, *options) for task in tasks]), strict=True):
        assert (task, answer["status"], answer["noticed"]) == (task, 1, [])
        assert answer["printed"] == 'web1 has no app "shpo"; did you mean "shop"?; there are: apps blog, shop\n'


def test_the_module_runs_the_tasks_in_a_folder_without_a_tasks_file(tmp_path: Path) -> None:
    listed = subprocess.run(
        (sys.executable, "-m", "provision", "--list"), cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert listed.returncode == 0, listed.stderr
    assert {"deploy", "maintenance.on"} <= set(listed.stdout.split())


def test_a_task_that_reaches_for_a_server_would_be_noticed(tmp_path: Path) -> None:
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories/prod.yml").write_text("hosts: {web1: {address: 127.0.0.1, port: 1}}\n")
    answer = invoke(tmp_path, [("plan", "--host", "web1")])[0]
    assert answer["status"] == 1
    assert any(event.startswith("socket.") for event in answer["noticed"])
