"""What a commit tells before anything is done on a server."""

from __future__ import annotations

import pytest

from provision.errors import PlanError
from provision.inventory import App, Build, Python, Requirements, Source
from provision.release.commit import OPEN, inspect, is_read

PROJECT = '[project]\nname = "shop"\nrequires-python = ">=3.12"\ndependencies = ["fastapi>=0.1", "HTTPX[http2]"]\n'
LOCK = """
[[package]]
name = "shop"
source = { virtual = "." }
[package.metadata]
requires-dist = [{ name = "fastapi", specifier = ">=0.1" }, { name = "httpx", extras = ["http2"] }]
"""
POETRY = {
    "pyproject.toml": '[tool.poetry]\nname = "shop"\n[tool.poetry.dependencies]\npython = "^3.12"\n[tool.poetry.extras]\nfast = []\n',
    "shop/main.py": "",
}
POETRY_LOCK = '[metadata]\nlock-version = "2.1"\npython-versions = "^3.12"\n'
GOOD = {"requirements.txt": "fastapi\n", "shop/__init__.py": "", "shop/main.py": ""}


def look(files: dict[str, str], folder: str = ".", requirements: str = "auto", **more: object) -> tuple[str, ...]:
    app = App.model_construct(
        name="shop",
        source=Source.model_construct(folder=folder),
        module=more.get("module", "shop.main:app"),
        python=Python(version=str(more.get("python", "3.13.5"))),
        requirements=Requirements.model_construct(
            file=requirements, extras=more.get("extras", []), groups=more.get("groups", [])
        ),
        migrate=more.get("migrate", True),
        build=more.get("build", []),
        shared=more.get("shared", []),
    )
    texts = {name: text for name, text in files.items() if is_read(name)}
    return inspect(app, frozenset(files), texts, more.get("packages", ()))  # type: ignore[arg-type]


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
        (GOOD, ".", f"requirements.txt{OPEN}"),
        ({**GOOD, "requirements.txt": "fastapi==1 \\\n    --hash=sha256:0\n"}, ".", "requirements.txt"),
        (below(GOOD, "backend"), "backend", f"backend/requirements.txt{OPEN}"),
        ({**GOOD, "uv.lock": LOCK, "pyproject.toml": PROJECT}, ".", "uv.lock"),
        (
            {**below(GOOD, "b/a"), "uv.lock": "", "pyproject.toml": '[tool.uv.workspace]\nmembers = ["b/*"]\n', "b/a/pyproject.toml": PROJECT},
            "b/a",
            "uv.lock",
        ),
        (
            {"pyproject.toml": f"{PROJECT}[build-system]\n", "src/shop/main.py": ""},
            ".",
            f"pyproject.toml{OPEN}",
        ),
        ({"requirements.txt": "-e .\n", "src/shop/main.py": ""}, ".", "requirements.txt"),
        (
            {"pyproject.toml": PROJECT, "poetry.lock": "", "shop/main.py": ""},
            ".",
            "poetry.lock",
        ),
        ({"pyproject.toml": PROJECT, "pylock.toml": "", "poetry.lock": "", "shop/main.py": ""}, ".", "pylock.toml"),
        ({**GOOD, "poetry.lock": ""}, ".", f"requirements.txt; poetry.lock is not read{OPEN}"),
        (
            {"pyproject.toml": PROJECT, "Pipfile": "", "shop/main.py": ""},
            ".",
            f"pyproject.toml{OPEN}",
        ),
    ],
)  # fmt: skip
def test_the_plan_says_what_is_installed_from(files: dict[str, str], folder: str, note: str) -> None:
    assert look(files, folder) == (f"shop: requirements: {note}",)


def test_a_file_above_the_folder_is_found() -> None:
    tree = {"requirements/prod.requirements.txt": "fastapi\n", **below({"shop/main.py": ""}, "backend")}
    assert look(tree, "backend", "../requirements/prod.requirements.txt") == (
        f"shop: requirements: requirements/prod.requirements.txt{OPEN}",
    )


@pytest.mark.parametrize(
    ("files", "folder", "more", "said"),
    [
        (GOOD, "backend", {}, "shop: the commit has no folder backend (source.folder)"),
        (GOOD, ".", {"requirements": "other.txt"}, "shop: the commit has no ./other.txt (requirements)"),
        ({"shop/main.py": ""}, ".", {}, "shop: . has no uv.lock, requirements.txt, pylock.toml, poetry.lock, pdm.lock or pyproject.toml with [project]: requirements names another file"),
        (
            {"pyproject.toml": '[tool.poetry]\nname = "shop"\n', "shop/main.py": ""},
            ".",
            {},
            "shop: pyproject.toml is for Poetry, and has no lock: run `poetry lock`, and commit poetry.lock",
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
        (
            {**POETRY, "poetry.lock": POETRY_LOCK},
            ".",
            {"python": "3.11.9"},
            "shop: poetry.lock is for Python ^3.12, and the inventory's is 3.11.9: set the app's python to a full version that it allows",
        ),
        (
            {**POETRY, "poetry.lock": ""},
            ".",
            {"python": "3.9.20"},
            "shop: poetry.lock can only be read with Python 3.10 or later, and the inventory's is 3.9.20: set the app's python",
        ),
        (
            {"poetry.lock": "", "shop/main.py": ""},
            ".",
            {},
            "shop: the commit has poetry.lock, and no pyproject.toml: commit that, too",
        ),
        (
            {"pyproject.toml": PROJECT, "pdm.lock": '[metadata]\nstrategy = ["cross_platform"]\n', "shop/main.py": ""},
            ".",
            {},
            "shop: pdm.lock does not say where each package is wanted: run `pdm lock --strategy inherit_metadata`, and commit the lock",
        ),
        (
            {**POETRY, "poetry.lock": POETRY_LOCK},
            ".",
            {"extras": ["fsat"]},
            "shop: pyproject.toml has no extra fsat (requirements.extras); it has: fast",
        ),
        (
            {"pyproject.toml": PROJECT + '[dependency-groups]\nserver = []\n', "uv.lock": "", "shop/main.py": ""},
            ".",
            {"groups": ["Server", "dev"]},
            "shop: pyproject.toml has no group dev (requirements.groups); it has: server",
        ),
        (
            {"pylock.toml": 'extras = ["fast"]\n', "shop/main.py": ""},
            ".",
            {"groups": ["dev"]},
            "shop: pylock.toml has no group dev (requirements.groups); it has: none",
        ),
        (
            {"Pipfile": "", "shop/main.py": ""},
            ".",
            {},
            "shop: Pipfile cannot be installed: write a requirements.txt with `pipenv requirements --hash`, and commit it",
        ),
        (
            below({"setup.py": "", "shop/main.py": ""}, "api"),
            "api",
            {},
            "shop: api/setup.py cannot be installed: write a requirements.txt with a line `.`, and commit it",
        ),
        (
            {"requirements.txt": "fastapi\n", "src/shop/main.py": ""},
            ".",
            {},
            "shop: shop.main is in src, which requirements.txt does not install: set the app's environment to {PYTHONPATH: src}, or write a line `.` in it",
        ),
        (
            below({"pyproject.toml": PROJECT, "src/shop/main.py": ""}, "api"),
            "api",
            {},
            "shop: shop.main is in api/src, which api/pyproject.toml does not install: set the app's environment to {PYTHONPATH: src}, or write a [build-system] in api/pyproject.toml",
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
    files = {**GOOD, "lib/deep/in/folders.py": ""}
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


def test_submodules_that_are_not_fetched_are_named() -> None:
    modules = '[submodule "a"]\n\tpath = libs/a\n\turl = ../a\n[submodule "b"]\n\tpath = gone\n\turl = ../b\n'
    assert look({**GOOD, ".gitmodules": modules, "libs/a": ""})[1] == (
        "shop: not fetched, as submodules are not: libs/a is empty in the release: require it as a package (git+https://), let `build` fetch"
        " it, or commit its files"
    )
    assert len(look({**GOOD, ".gitmodules": modules, "libs/ab/c": ""})) == 1


@pytest.mark.parametrize(
    ("attributes", "pattern", "large"),
    [
        (".gitattributes", "*.bin", "shop/a.bin, shop/data/b.bin"),
        (".gitattributes", "shop/data/**", "shop/data/b.bin"),
        (".gitattributes", "/shop/*.bin", "shop/a.bin"),
        (".gitattributes", "shop/**/*.bin", "shop/a.bin, shop/data/b.bin"),
        (".gitattributes", "**/b.bin", "shop/data/b.bin"),
        ("shop/data/.gitattributes", "*.bin", "shop/data/b.bin"),
        (".gitattributes", "*.csv", ""),
    ],
)
def test_files_in_git_lfs_are_named(attributes: str, pattern: str, large: str) -> None:
    text = f"* text=auto\n\n{pattern} filter=lfs diff=lfs merge=lfs -text\n"
    notes = look({**GOOD, attributes: text, "shop/a.bin": "", "shop/data/b.bin": ""})[1:]
    assert notes == (
        (
            (
                f"shop: not fetched, as what is in Git LFS is not: {large} is a pointer of a few lines in the release: let `build` fetch the"
                " file, or commit it without LFS"
            ),
        )
        if large
        else ()
    )


def test_what_a_build_reads_is_in_the_commit_or_built_before() -> None:
    front = Build(run=["make"], folder="front", inputs=["front"], outputs=["front/dist"])
    after = Build(run=["make"], folder="front/dist", outputs=["out"])
    there = {**GOOD, "front/package.json": ""}
    assert refusal(GOOD, build=[front]) == "shop: the commit has no front (build.inputs)"
    assert refusal(there, build=[after]) == "shop: the commit has no front/dist (build.folder)"
    assert look(there, build=[front, after])


@pytest.mark.parametrize(
    ("wanted", "good", "bad"),
    [
        ("^3.12", "3.13.5", "3.11.9"),
        ("~3.12", "3.12.9", "3.13.0"),
        (">=3.11,<3.13", "3.12.9", "3.13.0"),
        (">=3.11 <3.13", "3.12.9", "3.13.0"),
        ("~3.11 || ^3.13", "3.13.5", "3.12.1"),
        ("*", "3.13.5", ""),
        ("something else", "3.13.5", ""),
    ],
)
def test_a_lock_of_poetry_is_for_some_pythons(wanted: str, good: str, bad: str) -> None:
    files = {**POETRY, "poetry.lock": POETRY_LOCK.replace("^3.12", wanted)}
    assert look(files, python=good) == ("shop: requirements: poetry.lock",)
    if bad:
        assert f"is for Python {wanted}, and the inventory's is {bad}" in refusal(files, python=bad)


COMPILED = {"pyproject.toml": f"{PROJECT}[build-system]\n", "src/shop/main.py": "", "src/shop/sum.c": ""}


@pytest.mark.parametrize(
    ("files", "python", "note"),
    [
        ({**COMPILED, "setup.py": 'setup(ext_modules=[Extension("a", ["a.c"])])'}, "3.13.5", "setup.py has extension modules: where the server has no compiler, add packages: [build-essential] to the inventory"),
        ({**COMPILED, "setup.py": "setup(ext_modules=cythonize('*.pyx'))"}, "system", "setup.py has extension modules: where the server has no compiler, add packages: [build-essential, python3-dev] to the inventory"),
        ({**COMPILED, "pyproject.toml": f'{PROJECT}[build-system]\nbuild-backend = "maturin"\n'}, "system", "pyproject.toml is built with maturin: where the server has no compiler, add packages: [build-essential, python3-dev, cargo] to the inventory"),
        ({**COMPILED, "pyproject.toml": f"{PROJECT}[build-system]\n[[tool.setuptools.ext-modules]]\nname = 'a'\n"}, "3.13.5", "pyproject.toml has ext-modules: where the server has no compiler, add packages: [build-essential] to the inventory"),
    ],
)  # fmt: skip
def test_a_project_that_is_compiled_needs_a_compiler(files: dict[str, str], python: str, note: str) -> None:
    files["pyproject.toml"] = files["pyproject.toml"].replace(">=3.12", ">=3.9")
    assert look(files, python=python)[1:] == (f"shop: {note}",)
    assert len(look(files, python=python, packages=["build-essential"])) == 1
    assert len(look({**files, "requirements.txt": "fastapi\n", "shop/main.py": ""}, python=python)) == 1


@pytest.mark.parametrize(
    ("file", "folder", "why"),
    [
        ("data/a.json", ".", "the commit has data/a.json in data, which is a link into shared/ (shared): remove it"),
        ("api/data/a.json", "api", "the commit has api/data/a.json in api/data, which is a link into shared/"),
        ("data", ".", "the commit's data is no folder, so there is no data (shared)"),
        ("media", ".", "the commit's media is no folder, so there is no media/uploads (shared)"),
        ("data/deep/.gitkeep", ".", "the commit has data/deep/.gitkeep in data"),
    ],
)
def test_a_commit_has_no_files_in_folders_of_shared(file: str, folder: str, why: str) -> None:
    files = (GOOD if folder == "." else below(GOOD, folder)) | {file: ""}
    assert refusal(files, folder, shared=["data", "media/uploads"]).startswith(f"shop: {why}")


def test_what_only_keeps_a_folder_of_shared_in_git_is_no_obstacle() -> None:
    kept = {
        "data/.gitkeep": "",
        "data/.gitignore": "*",
        "media/uploads/.gitkeep": "",
        "media/logo.png": "",
        "database": "",
    }
    look(GOOD | kept, shared=["data", "media/uploads"])


def test_several_files_in_a_folder_of_shared_are_counted() -> None:
    assert "has data/a (and 2 more) in data" in refusal(GOOD | {f"data/{name}": "" for name in "abc"}, shared=["data"])
