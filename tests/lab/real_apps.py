"""Six apps that are packaged as real ones are, each with what changes in it from commit to commit."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

from provision.release.uv import UV
from tests.lab import cache_app, database_app, locks
from tests.lab.conftest import LAB
from tests.lab.front_end import FRONT, LOCK, PACKAGE
from tests.lab.git_https import serving_git
from tests.lab.index import PACKAGE as GREETING
from tests.lab.index import USER, serving
from tests.lab.refusals import SERVER, lab_values
from tests.lab.repository import Repository

Files = Mapping[str, str]
MAIN = """\
from fastapi import FastAPI

app = FastAPI()
VERSION = "first"


@app.get("/health")
def health():
    return "well"


@app.get("/version")
def version():
    return VERSION
"""
# In files, IDNA stands for the version of a package that a lock has.
LOCKED = """

@app.get("/locked")
def locked():
    from importlib.metadata import version

    return version("idna")
"""
PROJECT = """\
[project]
name = "NAME"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["fastapi==0.165.0", "idna==IDNA"MORE]
"""


@dataclass(frozen=True)
class Tools:
    """uv on this machine, with which authors make their locks."""

    folder: Path

    @classmethod
    def installed(cls, folder: Path) -> "Tools":
        """Those that the toolkit pins, in this folder."""
        words = ("-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), f"uv=={UV}")
        subprocess.run([sys.executable, *words], check=True, capture_output=True)
        return cls(folder)

    def lock(self, files: Files, name: str, *words: str, below: str = ".") -> dict[str, str]:
        """What uv writes to the file `name` when it is run with these words among the files."""
        place = self.folder / f"work-{token_hex(4)}"
        for each, text in files.items():
            path = place / each
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        command = (str(self.folder / "bin/uv"), *words)
        environ = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(Path.home()),
            "UV_SYSTEM_CERTS": "1",
            "UV_PYTHON": sys.executable,
        }
        ran = subprocess.run(command, cwd=place / below, env=environ, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return {name: (place / name).read_text()}


def uv_lock(tools: Tools, files: Files) -> dict[str, str]:
    """As `uv lock` writes it."""
    return tools.lock(files, "uv.lock", "lock", "--quiet")


def compiled(tools: Tools, files: Files) -> dict[str, str]:
    """requirements.txt, with all versions, made of requirements.in; lines of its own kind stay as they are."""
    asked = files["requirements.in"].splitlines(keepends=True)
    own = [line for line in asked if line.startswith(("--", GREETING)) or "git+" in line]
    rest = {"requirements.in": "".join(line for line in asked if line not in own)}
    words = ("pip", "compile", "--quiet", "requirements.in", "--output-file", "requirements.txt")
    text = tools.lock(rest, "requirements.txt", *words)["requirements.txt"]
    return {"requirements.txt": "".join(own) + text}


def poetry_lock(tools: Tools, files: Files) -> dict[str, str]:
    """As Poetry writes it, with what uv resolves: Poetry asks the index for more than a mirror may have."""
    wanted = tomllib.loads(files["pyproject.toml"])["tool"]["poetry"]["dependencies"]
    listed = [f"{name}=={version}" for name, version in wanted.items() if name != "python"]
    project = (
        f'[project]\nname = "lock"\nversion = "1"\nrequires-python = "==3.11.*"\ndependencies = {json.dumps(listed)}\n'
        "[tool.uv]\nenvironments = [\"sys_platform == 'linux'\"]\n"
    )
    found = tomllib.loads(uv_lock(tools, {"pyproject.toml": project})["uv.lock"])["package"]
    packages = "".join(_of_poetry(one) for one in found if "registry" in one["source"])
    return {
        "poetry.lock": locks.poetry_lock(files["pyproject.toml"], packages + locks.poetry_package("iniconfig", "dev"))
    }


def _of_poetry(package: Mapping[str, Any]) -> str:
    """A package of a uv.lock as a poetry.lock has it."""
    listed = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
    files = "".join(
        f'    {{file = "{PurePosixPath(urlsplit(one["url"]).path).name}", hash = "{one["hash"]}"}},\n' for one in listed
    )
    return (
        f'[[package]]\nname = "{package["name"]}"\nversion = "{package["version"]}"\ndescription = ""\noptional = false\n'
        f'python-versions = "*"\ngroups = ["main"]\nfiles = [\n{files}]\n\n'
    )


@contextmanager
def private(folder: Path) -> Iterator[tuple[dict[str, str], dict[str, Any], dict[str, Any]]]:
    """A private index, and a private repository over HTTPS: what stands in files for their addresses, and what the app and the top of the
    inventory have for them.
    """
    library, password = Repository.create(f"real-library-{SERVER}", folder / "tree"), token_hex(16)
    project = PROJECT.replace("NAME", "fromgit").replace('"fastapi==0.165.0", "idna==IDNA"MORE', "")
    library.commit({"pyproject.toml": f"{project}{HATCHLING}", "fromgit/__init__.py": 'WORD = "from Git"\n'})
    commit = library.commit({"README.md": "A library.\n"})
    (folder / "served").mkdir()
    library.path.rename(folder / "served/fromgit.git")
    with serving(password, tls=True) as index, serving_git(folder / "served", password) as repositories:
        login = f"machine {urlsplit(index.place).hostname} login {USER} password {password}\n"
        (folder / "netrc").write_text(login)
        words = {"INDEX": f"{index.place}/simple", "GIT": f"{repositories}/fromgit.git@{commit}"}
        mirrors = lab_values().get("mirrors", {}) | {"ca_bundle": str(LAB / "acme-api-ca.pem")}
        yield words, {"netrc": str(folder / "netrc")}, {"mirrors": mirrors}


def alone(folder: Path) -> AbstractContextManager[tuple[dict[str, str], dict[str, Any], dict[str, Any]]]:
    """Nothing but the app itself."""
    return nullcontext(({}, {}, {}))


@dataclass(frozen=True)
class RealApp:
    """An app: its files, how its author locks it, what it has in the inventory and at the top of that, and what a migration adds.

    `says` are paths that its site answers for as long as it lives, with what; a `lacks` is what a server says that has not what `top` names.
    """

    files: Files
    inventory: Mapping[str, Any]
    lock: Callable[[Tools, Files], dict[str, str]] | None = None
    top: Mapping[str, Any] = field(default_factory=dict)
    migration: Files = field(default_factory=dict)
    says: Mapping[str, str] = field(default_factory=dict)
    folder: str = "."
    main: str = "main.py"
    around: Callable[[Path], AbstractContextManager[tuple[dict[str, str], dict[str, Any], dict[str, Any]]]] = alone
    lacks: str = ""


HATCHLING = '\n[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
COMMON = {"module": "main:app", "health": {"path": "/health", "watch": 0}, "python": "system"}

ALEMBIC = """\
import os

from alembic import context
from sqlalchemy import create_engine

url = os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:", 1)
with create_engine(url).connect() as connection:
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()
"""
REVISION = """\
from alembic import op

revision = "{}"
down_revision = {!r}


def upgrade():
    op.execute("{}")


def downgrade():
    op.execute("{}")
"""
PRESTART = """\
#!/usr/bin/env bash
set -e
python app/wait.py
alembic upgrade head
python app/initial_data.py
"""
WAIT = """\
import os

import psycopg

with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    connection.execute("select 1")
"""
INITIAL = WAIT.replace('"select 1"', '"insert into visits (id) values (1000) on conflict do nothing"')
SHARED = """

@app.get("/shared")
def shared():
    from shared import WORD

    return WORD
"""
NOTED = """

@app.get("/noted")
def noted():
    return ask("select count(*) from visits where note = 'none'")
"""
WORKSPACE = RealApp(
    files={
        "pyproject.toml": '[tool.uv.workspace]\nmembers = ["backend", "libs/*"]\n',
        "backend/pyproject.toml": PROJECT.replace("NAME", "backend").replace(
            "MORE", ', "alembic", "psycopg[binary]", "sqlalchemy", "shared"'
        )
        + "\n[tool.uv.sources]\nshared = { workspace = true }\n",
        "backend/app/__init__.py": "",
        "backend/app/main.py": database_app.MAIN + LOCKED + SHARED,
        "backend/app/wait.py": WAIT,
        "backend/app/initial_data.py": INITIAL,
        "backend/alembic.ini": "[alembic]\nscript_location = %(here)s/app/alembic\n",
        "backend/app/alembic/env.py": ALEMBIC,
        "backend/app/alembic/versions/0001_visits.py": REVISION.format(
            "0001", None, "create table visits (id serial primary key)", "drop table visits"
        ),
        "backend/scripts/prestart.sh": PRESTART,
        "libs/shared/pyproject.toml": '[project]\nname = "shared"\nversion = "0.1.0"\n' + HATCHLING,
        "libs/shared/shared/__init__.py": 'WORD = "of the workspace"\n',
        "frontend/package.json": PACKAGE,
        "frontend/package-lock.json": LOCK,
        "frontend/build.js": FRONT.replace("WORDS", "built"),
    },
    folder="backend",
    main="backend/app/main.py",
    lock=uv_lock,
    inventory=COMMON
    | {
        "module": "app.main:app",
        "database": "postgresql",
        "migrate": "bash scripts/prestart.sh",
        "node": "22",
        "build": [
            {
                "run": ["npm ci", "npm run build"],
                "folder": "../frontend",
                "inputs": ["../frontend"],
                "outputs": ["../frontend/dist"],
                "environment": {"GREETING": "hello"},
            }
        ],
        "static": {"/front": "../frontend/dist"},
    },
    migration={
        "backend/app/alembic/versions/0002_notes.py": REVISION.format(
            "0002",
            "0001",
            "alter table visits add column note text default 'none'",
            "alter table visits drop column note",
        ),
        "backend/app/main.py": database_app.MAIN + LOCKED + SHARED + NOTED,
    },
    says={"/shared": '"of the workspace"', "/front/index.txt": "built hello 42", "/visits": "1"},
)

POETRY = RealApp(
    files={
        "pyproject.toml": """\
[tool.poetry]
name = "shop"
version = "0.1.0"
description = "A shop"
authors = ["An author <author@example.com>"]
packages = [{include = "shop", from = "src"}]

[tool.poetry.dependencies]
python = "~3.11"
fastapi = "0.165.0"
idna = "IDNA"

[tool.poetry.group.dev.dependencies]
iniconfig = "*"

[build-system]
requires = ["poetry-core"]
build-backend = "poetry.core.masonry.api"
""",
        "src/shop/__init__.py": "",
        "src/shop/main.py": MAIN
        + LOCKED
        + "\n\n@app.get('/python')\ndef python():\n    import sys\n\n    return list(sys.version_info[:2])\n",
    },
    main="src/shop/main.py",
    lock=poetry_lock,
    inventory=COMMON | {"module": "shop.main:app"},
    says={"/python": "[3,11]"},
)

PIP_TOOLS = RealApp(
    files={
        "requirements.in": f"--extra-index-url INDEX\nfastapi==0.165.0\nidna==IDNA\n{GREETING}==1.0\nfromgit @ git+GIT\n",
        "main.py": MAIN
        + LOCKED
        + "\n\n@app.get('/private')\ndef private():\n    from fromgit import WORD\n    from lab_greeting import greeting\n\n"
        "    return f'{greeting()}, {WORD}'\n",
    },
    lock=compiled,
    inventory=COMMON,
    around=private,
    says={"/private": '"hello from a package of the private index, from Git"'},
)

C_SOURCE = """\
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *sum(PyObject *self, PyObject *args) {
    long a, b;
    if (!PyArg_ParseTuple(args, "ll", &a, &b)) return NULL;
    return PyLong_FromLong(a + b);
}

static PyMethodDef methods[] = {{"sum", sum, METH_VARARGS, "The sum of two numbers."}, {NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "fast", NULL, -1, methods};

PyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&module); }
"""
COMPILED = RealApp(
    files={
        "pyproject.toml": PROJECT.replace("NAME", "shop").replace("MORE", "").replace(">=3.11", ">=3.11,<3.14")
        + '\n[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        + '\n[tool.setuptools.packages.find]\nwhere = ["src"]\n',
        "setup.py": 'from setuptools import Extension, setup\n\nsetup(ext_modules=[Extension("shop.fast", ["src/shop/fast.c"])])\n',
        "src/shop/__init__.py": "",
        "src/shop/fast.c": C_SOURCE,
        "src/shop/main.py": MAIN
        + LOCKED
        + "\n\n@app.get('/sum')\ndef sum():\n    from shop import fast\n\n    return fast.sum(40, 2)\n",
    },
    main="src/shop/main.py",
    lock=uv_lock,
    inventory={key: value for key, value in COMMON.items() if key != "python"} | {"module": "shop.main:app"},
    top={"packages": ["build-essential"]},
    says={"/sum": "42"},
    lacks="; the server lacks what compiles it: add packages: [build-essential] to the inventory",
)

UNLOCKED = RealApp(
    files={"pyproject.toml": PROJECT.replace("NAME", "shop").replace("MORE", ""), "main.py": MAIN + LOCKED},
    inventory=COMMON,
)

QUEUED = RealApp(
    files={
        "requirements.in": "fastapi==0.165.0\nidna==IDNA\nredis\n",
        "main.py": cache_app.MAIN + LOCKED,
        "worker.py": cache_app.WORKER,
        "count.py": cache_app.COUNT,
    },
    lock=compiled,
    inventory=COMMON | cache_app.WANTED | {"health": {"path": "/health", "watch": 0}},
)

APPS = {
    "no lock": UNLOCKED,
    "a workspace of uv with a front end and PostgreSQL": WORKSPACE,
    "Poetry": POETRY,
    "pip-tools with a private index and a repository": PIP_TOOLS,
    "an extension in C": COMPILED,
    "Redis, a worker and a schedule": QUEUED,
}
