"""Which file says what to install, and whether what it installs is the commit's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from provision.release import shell

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Call = Callable[..., subprocess.CompletedProcess[str]]

WORKSPACE = '[tool.uv.workspace]\nmembers = [\n    "backend", # the API\n    "libs/*",\n]\nexclude = ["libs/old"]\n'
PROJECT = '[project]\nname = "x"\n'
LOCK = '[[package]]\nname = "x"\nsource = { virtual = "." }\n[[package]]\nname = "y"\nsource = { registry = "https://i/simple" }\n'


@pytest.mark.parametrize(
    ("files", "folder", "found"),
    [
        ({"pyproject.toml": WORKSPACE, "uv.lock": "", "backend/pyproject.toml": PROJECT}, "backend", "../uv.lock"),
        ({"pyproject.toml": WORKSPACE, "uv.lock": "", "libs/a/pyproject.toml": PROJECT}, "libs/a", "../../uv.lock"),
        (
            {"pyproject.toml": WORKSPACE, "uv.lock": "", "libs/a/pyproject.toml": PROJECT},
            "libs/a/src",
            "../../../uv.lock",
        ),
        (
            {"pyproject.toml": WORKSPACE, "uv.lock": "", "libs/a/b/pyproject.toml": PROJECT},
            "libs/a/b",
            "pyproject.toml",
        ),
        (
            {"pyproject.toml": WORKSPACE, "uv.lock": "", "libs/old/pyproject.toml": PROJECT},
            "libs/old",
            "pyproject.toml",
        ),
        ({"pyproject.toml": WORKSPACE, "uv.lock": "", "other/pyproject.toml": PROJECT}, "other", "pyproject.toml"),
        ({"pyproject.toml": PROJECT, "uv.lock": "", "backend/main.py": ""}, "backend", "../uv.lock"),
        ({"pyproject.toml": PROJECT, "uv.lock": "", "backend/requirements.txt": ""}, "backend", "requirements.txt"),
        (
            {"pyproject.toml": WORKSPACE, "uv.lock": "", "backend/pyproject.toml": PROJECT, "backend/uv.lock": ""},
            "backend",
            "../uv.lock",
        ),
        ({"pyproject.toml": PROJECT, "a/pyproject.toml": PROJECT, "a/uv.lock": ""}, "a", "uv.lock"),
        ({"pyproject.toml": WORKSPACE, "uv.lock": ""}, ".", "uv.lock"),
        ({"backend/main.py": ""}, "backend", ""),
    ],
)
def test_the_lock_is_the_one_that_uv_itself_would_use(
    files: dict[str, str], folder: str, found: str, tmp_path: Path, call: Call
) -> None:
    write(tmp_path, files)
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    assert call([shell], f"requirements_file '{tmp_path}' '{folder}' auto").stdout.strip() == found


@pytest.mark.parametrize(
    ("text", "shared"),
    [
        ("fastapi==0.165.0\nuvicorn[standard] >= 0.3 ; python_version > '3.9'\nhttpx (>=0.1)\n", True),
        ("# all\n\n  fastapi==1 \\\n    --hash=sha256:abc\n--index-url https://i/simple\n", True),
        (
            "shop @ git+https://git.example.com/shop.git@v1\ngit+ssh://git@example.com/a.git\nhttps://e.com/a-1.tar.gz\n",
            True,
        ),
        ("uvicorn\r\nstarlette<1\r\n", True),
        ("-e .\n", False),
        ("./core\n", False),
        ("../core\n", False),
        ("libs/core\n", False),
        ("core[extra] @ file:./core\n", False),
        ("core @ ./core\n", False),
        ("file:core\n", False),
        ("core-1.0-py3-none-any.whl\n", False),
        ("core-1.0.tar.gz\n", False),
        ("wheels/core-1.0.tar.gz ; python_version > '3'\n", False),
        ("--find-links wheels\ncore\n", False),
        ("-f wheels\ncore\n", False),
        ("--editable=./core\n", False),
        ("${HERE}/core\n", False),
        ("/srv/core\n", False),
    ],
)
def test_a_list_with_code_of_the_commit_has_a_venv_for_each_commit(
    text: str, shared: bool, tmp_path: Path, call: Call
) -> None:
    assert shares({"requirements.txt": text}, tmp_path, call) == shared


@pytest.mark.parametrize(
    ("source", "shared"),
    [
        ('{ registry = "https://index.example.com/simple" }', True),
        ('{ git = "https://git.example.com/core.git?rev=v1#0123" }', True),
        ('{ git = "ssh://git@git.example.com/core.git?rev=v1#0123" }', True),
        ('{ url = "https://example.com/core.whl" }', True),
        ('{ virtual = "backend" }', True),
        ('{ editable = "backend" }', False),
        ('{ directory = "core" }', False),
        ('{ path = "core.whl" }', False),
        ('{ registry = "wheels" }', False),
        ('{ git = "file:///srv/core" }', False),
    ],
)
def test_a_lock_with_code_of_the_commit_has_a_venv_for_each_commit(
    source: str, shared: bool, tmp_path: Path, call: Call
) -> None:
    files = {"pyproject.toml": WORKSPACE, "uv.lock": f'{LOCK}[[package]]\nname = "core"\nsource = {source}\n'}
    assert shares(files, tmp_path, call) == shared


@pytest.mark.parametrize(
    ("text", "shared"),
    [
        (f'{PROJECT}dependencies = ["fastapi==0.165.0", "core @ git+https://e.com/core.git"]\n', True),
        (f'{PROJECT}[tool.pytest.ini_options]\npythonpath = "."\n[tool.uv]\ndev-dependencies = []\n', True),
        (f"{PROJECT}[build-system]\n", False),
        (f'{PROJECT}dynamic = ["dependencies"]\n', False),
        (f"{PROJECT}[tool.uv.sources]\ncore = {{ workspace = true }}\n", False),
        (f'{PROJECT}[tool.uv.sources]\ncore = {{ path = "../core" }}\n', False),
        (f'{PROJECT}[tool.uv.sources.core]\npath = "../core"\n', False),
        (f'{PROJECT}dependencies = ["core @ file:///srv/core"]\n', False),
        (f'{PROJECT}[[tool.uv.index]]\nurl = "./wheels"\n', False),
    ],
)
def test_a_project_with_code_of_the_commit_has_a_venv_for_each_commit(
    text: str, shared: bool, tmp_path: Path, call: Call
) -> None:
    assert shares({"pyproject.toml": text}, tmp_path, call) == shared


POETRY = '[tool.poetry]\nname = "x"\npackage-mode = false\n[build-system]\n'
ENTRY = '[[package]]\nname = "core"\nversion = "1"\nfiles = [\n    {file = "core-1-py3-none-any.whl", hash = "sha256:0"},\n]\n'


@pytest.mark.parametrize(
    ("name", "project", "entry", "shared"),
    [
        ("poetry.lock", POETRY, "", True),
        (
            "poetry.lock",
            POETRY,
            '[package.source]\ntype = "legacy"\nurl = "https://i/simple"\nreference = "own"\n',
            True,
        ),
        ("poetry.lock", POETRY, '[package.source]\ntype = "git"\nurl = "git@e.com:core.git"\n', True),
        ("poetry.lock", POETRY, '[package.source]\ntype = "git"\nurl = "../core"\n', False),
        ("poetry.lock", POETRY, '[package.source]\ntype = "directory"\nurl = "core"\n', False),
        ("poetry.lock", POETRY, '[package.source]\ntype = "file"\nurl = "core-1.tar.gz"\n', False),
        ("poetry.lock", POETRY.replace("package-mode = false", ""), "", False),
        ("pdm.lock", f"{PROJECT}[tool.pdm]\ndistribution = false\n[build-system]\n", "", True),
        ("pdm.lock", PROJECT, 'git = "https://e.com/core.git"\nrevision = "0"\n', True),
        ("pdm.lock", PROJECT, 'path = "./core"\n', False),
        ("pdm.lock", PROJECT, 'url = "file:///${PROJECT_ROOT}/core-1.tar.gz"\n', False),
        ("pdm.lock", f"{PROJECT}[build-system]\n", "", False),
        (
            "pylock.toml",
            f"{PROJECT}[build-system]\n",
            'wheels = [{ url = "https://e.com/core-1-py3-none-any.whl" }]\n',
            True,
        ),
        ("pylock.toml", PROJECT, 'wheels = [{ path = "core-1-py3-none-any.whl" }]\n', False),
        ("pylock.toml", PROJECT, 'directory = { path = ".", editable = true }\n', False),
        ("pylock.toml", PROJECT, '[packages.directory]\n"path" = "core"\n', False),
        (
            "pylock.toml",
            PROJECT,
            'vcs = { type = "git", url = "https://e.com/core.git", subdirectory = "core" }\n',
            True,
        ),
    ],
)
def test_a_lock_of_another_tool_with_code_of_the_commit_has_a_venv_for_each_commit(
    name: str, project: str, entry: str, shared: bool, tmp_path: Path, call: Call
) -> None:
    assert shares({"pyproject.toml": project, name: f"{ENTRY}{entry}"}, tmp_path, call) == shared


def shares(files: dict[str, str], folder: Path, call: Call) -> bool:
    """Whether two commits with these files share a venv."""
    keys = set()
    for commit in ("one", "two"):
        write(folder / commit, {**files, ".release": f"{commit}\t.\n"})
        ran = call([shell], f"requirements_key '{folder / commit}' . auto base")
        assert ran.returncode == 0, ran.stderr
        keys.add(ran.stdout)
    return len(keys) == 1


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize("leads", ["fifo", "/dev/zero", "elsewhere", "circle"])
@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("requirements.txt", {}),
        ("more.txt", {"requirements.txt": "-r more.txt\nfastapi==1\n"}),
        ("pyproject.toml", {}),
        ("uv.lock", {"pyproject.toml": PROJECT}),
        ("poetry.lock", {"pyproject.toml": PROJECT}),
    ],
)
def test_a_link_of_a_commit_is_not_read_where_it_leads_out_of_it(
    name: str, files: dict[str, str], leads: str, tmp_path: Path, call: Call
) -> None:
    """It could have no end, or be a FIFO that an app has put there: whoever reads it would wait."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "elsewhere").write_text("another==1\n[project]\nrequires-python = 'x'\n")
    tree = tmp_path / "tree"
    write(tree, {"main.py": "", ".release": "commit\t.\n", **files})
    (tree / name).symlink_to(name if leads == "circle" else tmp_path / leads)
    key = f"requirements_key {tree} . auto base"
    with_it = call([shell], f"{key}; requirements_tree={tree}; python_check_required {tree}/{name}")
    assert with_it.returncode == 0, with_it.stderr
    assert len(with_it.stdout.split()) == 1


def test_a_link_within_the_commit_is_read(tmp_path: Path, call: Call) -> None:
    write(tmp_path / "tree", {"real.txt": "fastapi==1\n", "app/main.py": ""})
    (tmp_path / "tree/app/requirements.txt").symlink_to("../real.txt")
    before = call([shell], f"requirements_key {tmp_path}/tree app auto base").stdout
    (tmp_path / "tree/real.txt").write_text("fastapi==2\n")
    assert call([shell], f"requirements_key {tmp_path}/tree app auto base").stdout != before


def test_files_that_include_each_other_without_an_end_are_read_for_a_while(tmp_path: Path, call: Call) -> None:
    """Eight levels of fifty each would take root for years, before anything is installed."""
    write(tmp_path, {"requirements.txt": "-r requirements.txt\n" * 50, ".release": "commit"})
    key = call([shell], f"requirements_key '{tmp_path}' . requirements.txt base")
    assert len(key.stdout.strip()) == 16
    (tmp_path / ".release").write_text("another commit")
    assert call([shell], f"requirements_key '{tmp_path}' . requirements.txt base").stdout != key.stdout
