"""What is installed, and from where: what belongs to a commit stays with it, and a lock is taken where uv finds it."""

import base64
import json
import shlex

import pytest

from tests.lab.conftest import https, sampled, shell
from tests.lab.index import serving
from tests.lab.refusals import APP, DOMAIN, MAIN, SERVER, Declared, lab_values, refused

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


@pytest.mark.parametrize("folder", sampled([".", "backend"]))
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


@pytest.mark.long
def test_a_member_is_installed_through_an_index_of_the_inventory_too(workspace: Declared) -> None:
    files = {"uv.lock": locked(PACKAGE), **PACKAGE, "backend/src/shop/main.py": written("three")}
    workspace.repository.commit(files, "three")
    app = {"source": workspace.repository.url, "module": "shop.main:app"}
    with serving("secret") as index:
        mirrors = lab_values().get("mirrors", {}) | {"index": index.url()}
        workspace(app, mirrors=mirrors).deploy(SERVER, "--revision", "three")
    assert greeting() == "three"
    assert "fastapi" in index.asked


def test_a_release_that_would_load_another_ones_code_is_not_activated(workspace: Declared) -> None:
    app = {"source": {"repository": workspace.repository.url, "folder": "backend"}, "module": "shop.main:app"}
    workspace(app).deploy(SERVER, "--revision", "two")
    library = f"/srv/{APP}/shared/library"
    shell(SERVER, f"mkdir -p {library} && cp -r /srv/{APP}/current/backend/src/shop {library}/")
    misled = workspace({**app, "environment": {"PYTHONPATH": library}})
    error = refused(misled("deploy", SERVER, "--json", "--revision", "two"))
    shell(SERVER, f"rm -r {library}")
    assert "does not load its own code: shop is loaded from /srv/refusals/shared/library/shop" in error
    assert greeting() == "two"


@pytest.mark.long
def test_verify_finds_a_slot_that_runs_what_another_commit_installed(workspace: Declared) -> None:
    app = {"source": {"repository": workspace.repository.url, "folder": "backend"}, "module": "shop.main:app"}
    controller = workspace(app)
    controller.deploy(SERVER, "--revision", "two")
    stamp = f"$(readlink -f /srv/{APP}/current/.venv)/.complete"
    shell(SERVER, f"cp -p {stamp} /run/kept && sed -i '2s/.*/{'0' * 40}/' {stamp} && touch -r /run/kept {stamp}")
    verified = controller("verify", SERVER, "--json")
    shell(SERVER, f"cp -p /run/kept {stamp} && rm /run/kept")
    assert verified.status == 1
    assert "was installed from another commit" in verified.stdout
    assert "was installed from another commit" not in controller("verify", SERVER, "--json").stdout
