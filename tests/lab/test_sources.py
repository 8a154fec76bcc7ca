"""What is installed, and from where: what belongs to a commit stays with it, and a lock is taken where uv finds it."""

import base64
import json
import shlex

import pytest

from tests.lab.conftest import https, shell
from tests.lab.refusals import APP, DOMAIN, MAIN, SERVER, Declared

pytest_plugins = ("tests.lab.refusals",)

ROOT = """\
[tool.uv]
constraint-dependencies = ["idna==3.4"]

[tool.uv.workspace]
members = ["backend"]
"""
BACKEND = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "shop"
version = "1"
requires-python = ">=3.11"
dependencies = ["fastapi==0.165.0", "idna"]

[tool.hatch.build.targets.wheel]
packages = ["src/shop"]
"""
PACKAGE = {"pyproject.toml": ROOT, "backend/pyproject.toml": BACKEND, "backend/src/shop/__init__.py": ""}


def written(text: str) -> str:
    """The app's module, which says this."""
    return MAIN.replace('"hello"', f'"{text}"')


def locked(files: dict[str, str]) -> str:
    """A uv.lock for these files, made by the server's uv."""
    write = "".join(
        f"mkdir -p $(dirname {shlex.quote(name)}); echo {base64.b64encode(text.encode()).decode()} | base64 -d >{shlex.quote(name)};"
        for name, text in files.items()
    )
    return shell(
        SERVER,
        f"work=$(mktemp -d) && cd $work && {write} UV_SYSTEM_CERTS=1 "
        "/opt/uv/*/bin/uv lock --quiet --no-cache --python /opt/pyenv/versions/3.13.5/bin/python && cat uv.lock && rm -r $work",
    )


def greeting() -> str:
    """What the site says."""
    said: str = json.loads(https(SERVER, "/", DOMAIN).stdout)["greeting"]
    return said


@pytest.fixture(scope="module")
def workspace(deployed: Declared) -> Declared:
    """The app's repository as a uv workspace whose only member has the app, at the branches one and two."""
    files = PACKAGE | {"uv.lock": locked(PACKAGE)}
    for name in ("one", "two"):
        deployed.repository.commit({**files, "backend/src/shop/main.py": written(name)}, name)
    return deployed


@pytest.mark.parametrize("folder", [".", "backend"])
def test_a_member_of_a_workspace_is_served_from_its_own_commit_with_the_workspaces_lock(
    workspace: Declared, folder: str
) -> None:
    controller = workspace(
        {"source": {"repository": workspace.repository.url, "folder": folder}, "module": "shop.main:app"}
    )
    for name in ("one", "two"):
        answer = controller.deploy(SERVER, "--revision", name)
        assert greeting() == name, answer.stdout
    installed = shell(SERVER, f"ls /srv/{APP}/current/.venv/lib/python*/site-packages")
    assert "idna-3.4.dist-info" in installed.split()
