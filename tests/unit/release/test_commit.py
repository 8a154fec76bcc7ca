"""What a commit tells before anything is done on a server."""

from __future__ import annotations

import pytest

from provision.errors import PlanError
from provision.inventory import App, Build, Python, Source
from provision.release.commit import inspect, is_read

PROJECT = '[project]\nname = "shop"\nrequires-python = ">=3.12"\ndependencies = ["fastapi>=0.1", "HTTPX[http2]"]\n'
LOCK = """
[[package]]
name = "shop"
source = { virtual = "." }
[package.metadata]
requires-dist = [{ name = "fastapi", specifier = ">=0.1" }, { name = "httpx", extras = ["http2"] }]
"""
GOOD = {"requirements.txt": "fastapi\n", "shop/__init__.py": "", "shop/main.py": ""}


def look(files: dict[str, str], folder: str = ".", requirements: str = "auto", **more: object) -> tuple[str, ...]:
    app = App.model_construct(
        name="shop",
        source=Source.model_construct(folder=folder),
        module=more.get("module", "shop.main:app"),
        python=Python(version=str(more.get("python", "3.13.5"))),
        requirements=requirements,
        migrate=more.get("migrate", True),
        build=more.get("build", []),
    )
    return inspect(app, frozenset(files), {name: text for name, text in files.items() if is_read(name)})


def refusal(files: dict[str, str], folder: str = ".", requirements: str = "auto", **more: object) -> str:
    with pytest.raises(PlanError) as raised:
        look(files, folder, requirements, **more)
    (line,) = str(raised.value).splitlines()
    return line


def below(files: dict[str, str], folder: str) -> dict[str, str]:
    return {f"{folder}/{name}": text for name, text in files.items()}


@pytest.mark.parametrize(
    ("files", "folder", "note"),
    [
        (GOOD, ".", "requirements.txt"),
        (below(GOOD, "backend"), "backend", "backend/requirements.txt"),
        ({**GOOD, "uv.lock": LOCK, "pyproject.toml": PROJECT}, ".", "uv.lock"),
        (
            {**below(GOOD, "b/a"), "uv.lock": "", "pyproject.toml": '[tool.uv.workspace]\nmembers = ["b/*"]\n', "b/a/pyproject.toml": PROJECT},
            "b/a",
            "uv.lock",
        ),
        ({"pyproject.toml": PROJECT, "src/shop/main.py": ""}, ".", "pyproject.toml; there is no lock, so versions are resolved anew"),
        (
            {"pyproject.toml": PROJECT, "poetry.lock": "", "shop/main.py": ""},
            ".",
            "pyproject.toml; poetry.lock is not read, so versions are resolved anew",
        ),
    ],
)  # fmt: skip
def test_the_plan_says_what_is_installed_from(files: dict[str, str], folder: str, note: str) -> None:
    assert look(files, folder) == (f"shop: requirements: {note}",)


def test_a_file_above_the_folder_is_found() -> None:
    tree = {"requirements/prod.requirements.txt": "fastapi\n", **below({"shop/main.py": ""}, "backend")}
    assert look(tree, "backend", "../requirements/prod.requirements.txt") == (
        "shop: requirements: requirements/prod.requirements.txt",
    )


@pytest.mark.parametrize(
    ("files", "folder", "more", "said"),
    [
        (GOOD, "backend", {}, "shop: the commit has no folder backend (source.folder)"),
        (GOOD, ".", {"requirements": "other.txt"}, "shop: the commit has no ./other.txt (requirements)"),
        ({"shop/main.py": ""}, ".", {}, "shop: . has no uv.lock, requirements.txt or pyproject.toml with [project]: requirements names another file"),
        (
            {"pyproject.toml": '[tool.poetry]\nname = "shop"\n', "poetry.lock": "", "shop/main.py": ""},
            ".",
            {},
            "shop: pyproject.toml is for Poetry alone, and there is no requirements.txt: commit what `poetry export --output requirements.txt` writes (poetry-plugin-export), or move the dependencies to [project]",
        ),
        (
            {**GOOD, "pyproject.toml": PROJECT},
            ".",
            {"python": "3.11.9"},
            "shop: pyproject.toml wants Python >=3.12 (requires-python), and the inventory's is 3.11.9: set the app's python to a full version that it allows",
        ),
        (
            {**GOOD, "uv.lock": LOCK, "pyproject.toml": PROJECT.replace("fastapi>", "Sql_Alchemy>")},
            ".",
            {},
            "shop: uv.lock is older than pyproject.toml and lacks sql-alchemy: run `uv lock`, and commit the lock",
        ),
        (GOOD, ".", {"module": "shop.mian:app"}, "shop: the commit has no shop/mian.py (module: shop.mian:app)"),
        (GOOD, ".", {"module": "shpo.main:app"}, "shop: the commit has no shpo/main.py (module: shpo.main:app)"),
    ],
)  # fmt: skip
def test_what_cannot_be_deployed_is_one_line(
    files: dict[str, str], folder: str, more: dict[str, str], said: str
) -> None:
    assert refusal(files, folder, **more) == said


@pytest.mark.parametrize("module", ["shop:app", "shop.main:app", "fastapi.demo:app", "deep.in.folders:app"])
def test_a_module_that_may_be_there_is_left_to_the_server(module: str) -> None:
    files = {**GOOD, "src/deep/in/folders.py": ""}
    assert look(files, module=module)


@pytest.mark.parametrize(
    "text", ["not TOML", "[project]\nname = 3\ndependencies = 4\nrequires-python = []\n", 'project = "x"\n']
)
def test_files_that_cannot_be_understood_are_left_to_uv(text: str) -> None:
    assert look({**GOOD, "uv.lock": text, "pyproject.toml": text}) == ("shop: requirements: uv.lock",)


def test_migrations_that_no_deploy_would_run_are_named() -> None:
    files = {**GOOD, "migrations/alembic.ini": ""}
    assert look(files)[1] == (
        "shop: migrations/alembic.ini is not in the app's folder, so no migration runs: set migrate to a command, or to false"
    )
    assert len(look(files, migrate="alembic -c migrations/alembic.ini upgrade head")) == 1
    assert len(look({**GOOD, "alembic.ini": ""})) == 1


def test_what_a_build_reads_is_in_the_commit_or_built_before() -> None:
    front = Build(run=["make"], folder="front", inputs=["front"], outputs=["front/dist"])
    after = Build(run=["make"], folder="front/dist", outputs=["out"])
    there = {**GOOD, "front/package.json": ""}
    assert refusal(GOOD, build=[front]) == "shop: the commit has no front (build.inputs)"
    assert refusal(there, build=[after]) == "shop: the commit has no front/dist (build.folder)"
    assert look(there, build=[front, after])
