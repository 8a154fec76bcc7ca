"""What an app's commit itself tells, before anything is done on a server."""

import re
import subprocess
import tempfile
import tomllib
from collections.abc import Collection, Mapping, Set
from pathlib import Path, PurePosixPath
from typing import Any

from provision.engine.shell import words
from provision.errors import PlanError
from provision.inventory import App
from provision.inventory.build import OWN
from provision.release import links, locks, pointers, shell
from provision.release.constraint import allows

READ = re.compile(
    r"(.*/)?(pyproject\.toml|\.python-version|(uv|poetry|pdm)\.lock|pylock(\.[^./]+)?\.toml|[^/]*requirements[^/]*\.txt|setup\.py)"
)
TOML = "pyproject.toml"
LOCKS = ("pylock.toml", "poetry.lock", "pdm.lock")
ADVICE = {
    "Pipfile": "write a requirements.txt with `pipenv requirements --hash`",
    "environment.yml": "conda is not used on servers: list what pip can install in a requirements.txt",
    "setup.py": "write a requirements.txt with a line `.`",
    "setup.cfg": "write a requirements.txt with a line `.`",
}
# Backends of builds that compile, and what they want besides a compiler of C.
COMPILING = {"maturin": ("cargo",), "scikit_build_core.build": (), "mesonpy": ()}
COMPILERS = {"build-essential", "gcc", "clang"}
EXTENSION = re.compile(r"\b(Extension|cythonize|RustExtension|CMakeExtension|Pybind11Extension)\(|cffi_modules")
OPEN = "; no lock pins all versions, so the others are resolved, and then kept until `deploy --upgrade`"


def is_read(path: str) -> bool:
    """Whether `inspect` needs the text of a file of the commit."""
    return any(each.fullmatch(path) for each in (READ, pointers.READ))


def inspect(app: App, names: Set[str], texts: Mapping[str, str], packages: Collection[str] = ()) -> tuple[str, ...]:
    """Lines to show before the plan, on what a commit has: `names` are the paths of all its files, `texts` those that are read, `packages` those
    of the system that the inventory names.

    Raises PlanError, with one line, on what cannot be deployed: no such folder, no file of requirements, a lock that lacks one,
    a Python that the app does not allow, no file for the module, or a name that the server needs.
    """
    folder = app.source.folder
    for own in OWN:
        if any(name == own or name.startswith(f"{own}/") for name in names):
            raise PlanError(
                f"{app.name}: the commit has a {own} at its top, where the server puts its own: remove it from the repository"
            )
    if folder != "." and not any(name.startswith(f"{folder}/") for name in names):
        raise PlanError(f"{app.name}: the commit has no folder {folder} (source.folder)")
    file = requirements_of(app, names, texts)
    path = path_in(folder, file)
    if path not in names:
        raise PlanError(f"{app.name}: the commit has no {folder}/{file} (requirements)")
    _check_python(app, file, texts)
    if path.endswith("uv.lock"):
        _check_lock(app, path, texts)
    beside = path_in(folder, file if file.endswith(TOML) else TOML)
    locks.check(
        app,
        path,
        path_in(folder, str(PurePosixPath(file).with_name(TOML))) if path.endswith(LOCKS[1:]) else beside,
        texts,
    )
    _check_module(app, names, texts)
    _check_build(app, names)
    _check_src(app, path, beside, names, texts)
    links.check(app, names)
    notes = (
        f"{app.name}: requirements: {_about(app, path, names, texts)}",
        _compiles(app, path, beside, texts, packages),
        _alembic(app, names),
        *pointers.notes(app.name, names, texts),
    )
    return tuple(filter(None, notes))


def path_in(folder: str, file: str) -> str:
    """The path from the repository's top of a file that is named relative to a folder."""
    parts: list[str] = []
    for part in PurePosixPath(folder, file).parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/".join(parts)


def requirements_of(app: App, names: Set[str], texts: Mapping[str, str]) -> str:
    """The file that the server will install from, found as it finds it (requirements.sh), relative to the app's folder."""
    with tempfile.TemporaryDirectory(prefix="provision-") as tree:
        for name, text in texts.items():
            path = Path(tree, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        Path(tree, app.source.folder).mkdir(parents=True, exist_ok=True)
        call = words("requirements_file", tree, app.source.folder, app.requirements.file)
        found = subprocess.run(["sh", "-c", f"{shell.text('requirements')}\n{call}"], capture_output=True, text=True)
    file = found.stdout.strip()
    if file:
        return file
    folder = app.source.folder
    if "[tool.poetry]" in texts.get(path_in(folder, TOML), ""):
        raise PlanError(
            f"{app.name}: {path_in(folder, TOML)} is for Poetry, and has no lock: run `poetry lock`, and commit poetry.lock"
        )
    for name, advice in ADVICE.items():
        if path_in(folder, name) in names:
            raise PlanError(f"{app.name}: {path_in(folder, name)} cannot be installed: {advice}, and commit it")
    raise PlanError(
        f"{app.name}: {folder} has no uv.lock, requirements.txt, pylock.toml, poetry.lock, pdm.lock or pyproject.toml with [project]: requirements"
        " names another file"
    )


def _about(app: App, path: str, names: Set[str], texts: Mapping[str, str]) -> str:
    """Which file is installed from, which lock beside it is not read, and that no lock pins its versions."""
    if path.endswith(".lock") or locks.is_pylock(path):
        return path
    unread = next((lock for lock in LOCKS if path_in(app.source.folder, lock) in names), "")
    beside = f"; {path_in(app.source.folder, unread)} is not read" if unread else ""
    is_open = path.endswith(TOML) or locks.is_open(texts.get(path, ""))
    return f"{path}{beside}{OPEN if is_open else ''}"


def _project(text: str) -> Mapping[str, Any]:
    """[project] of a pyproject.toml; empty where it has none or is not TOML, which uv reports better."""
    return locks.table(locks.read(text), "project")


def _check_python(app: App, file: str, texts: Mapping[str, str]) -> None:
    if app.python.system:
        return
    path = path_in(app.source.folder, file if file.endswith(TOML) else TOML)
    wanted = _project(texts.get(path, "")).get("requires-python", "")
    if isinstance(wanted, str) and allows(wanted, app.python.exact) is False:
        raise PlanError(
            f"{app.name}: {path} wants Python {wanted} (requires-python), and the inventory's is {app.python.exact}: set the"
            " app's python to a full version that it allows"
        )


def _check_lock(app: App, path: str, texts: Mapping[str, str]) -> None:
    """Compare the names in a lock with those that the app's project asks for, as far as both can be read."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    project = _project(texts.get(path_in(app.source.folder, TOML), ""))
    try:
        locked = tomllib.loads(texts.get(path, ""))
        own = canonicalize_name(project["name"])
        (entry,) = [one for one in locked["package"] if canonicalize_name(one["name"]) == own]
        known = {canonicalize_name(one["name"]) for one in entry.get("metadata", {}).get("requires-dist", [])}
        asked = {canonicalize_name(Requirement(one).name) for one in project.get("dependencies", [])}
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, AttributeError, InvalidRequirement):
        return
    missing = sorted(asked - known)
    if missing:
        raise PlanError(
            f"{app.name}: {path} is older than {path_in(app.source.folder, TOML)} and lacks {', '.join(missing)}: run `uv lock`, and"
            " commit the lock"
        )


def _check_module(app: App, names: Set[str], texts: Mapping[str, str]) -> None:
    """A package of the app's folder must have the module; one that is nowhere in the commit, nor required, is misspelt."""
    module = app.module.partition(":")[0].replace(".", "/")
    top = module.partition("/")[0]
    here = "" if app.source.folder == "." else f"{app.source.folder}/"
    files = (f"{module}.py", f"{module}/__init__.py")
    found = any(f"{here}{file}" in names for file in files)
    if found or any(name.startswith(f"{here}{module}/") for name in names):
        return
    is_here = f"{here}{top}.py" in names or any(name.startswith(f"{here}{top}/") for name in names)
    somewhere = any(f"/{top}/" in f"/{name}" or f"/{name}".endswith(f"/{top}.py") for name in names)
    required = any(top in text or top.replace("_", "-") in text for text in texts.values())
    if is_here or not (somewhere or required):
        raise PlanError(f"{app.name}: the commit has no {here}{files[0]} (module: {app.module})")


def _check_build(app: App, names: Set[str]) -> None:
    """What a build reads must be in the commit, and where it runs, too, unless it was built before."""
    made: list[str] = []
    for build in app.build:
        wanted = [(name, "build.inputs") for name in build.inputs if name != "."]
        if not any(PurePosixPath(build.folder).is_relative_to(output) for output in made):
            wanted.append((build.folder, "build.folder"))
        for name, key in wanted:
            path = path_in(app.source.folder, name)
            if path and path not in names and not any(each.startswith(f"{path}/") for each in names):
                raise PlanError(f"{app.name}: the commit has no {path} ({key})")
        made += build.outputs


def _check_src(app: App, path: str, project: str, names: Set[str], texts: Mapping[str, str]) -> None:
    """A module below src/ is only found where something installs it, or the app's environment says so."""
    module = app.module.partition(":")[0].replace(".", "/")
    here = "" if app.source.folder == "." else f"{app.source.folder}/"
    if f"{here}src/{module}.py" not in names and f"{here}src/{module}/__init__.py" not in names:
        return
    in_place = any(name.startswith(f"{here}{module.partition('/')[0]}") for name in names)
    if not in_place and "PYTHONPATH" not in app.env and not locks.installs_project(path, project, texts):
        other = "a line `.` in it" if path.endswith(".txt") else f"a [build-system] in {project}"
        raise PlanError(
            f"{app.name}: {app.module.partition(':')[0]} is in {here}src, which {path} does not install: set the app's environment to"
            f" {{PYTHONPATH: src}}, or write {other}"
        )


def _compiles(app: App, path: str, project: str, texts: Mapping[str, str], packages: Collection[str]) -> str:
    """A hint for a project that is compiled as it is installed, where the inventory names no compiler for that."""
    setup = str(PurePosixPath(project).with_name("setup.py"))
    declared = locks.read(texts.get(project, ""))
    backend = locks.table(declared, "build-system").get("build-backend")
    if not locks.installs_project(path, project, texts) or COMPILERS & {*packages}:
        return ""
    if EXTENSION.search(texts.get(setup, "")):
        where = f"{setup} has extension modules"
    elif "ext-modules" in locks.table(declared, "tool", "setuptools"):
        where = f"{project} has ext-modules"
    elif backend in COMPILING:
        where = f"{project} is built with {backend}"
    else:
        return ""
    wanted = ["build-essential", *(["python3-dev"] if app.python.system else []), *COMPILING.get(str(backend), ())]
    return (
        f"{app.name}: {where}: where the server has no compiler, add packages: [{', '.join(wanted)}] to the inventory"
    )


def _alembic(app: App, names: Set[str]) -> str:
    """A hint for migrations that `migrate: true` does not find."""
    if app.migrate is not True or path_in(app.source.folder, "alembic.ini") in names:
        return ""
    other = sorted(name for name in names if PurePosixPath(name).name == "alembic.ini")
    if not other:
        return ""
    return f"{app.name}: {other[0]} is not in the app's folder, so no migration runs: set migrate to a command, or to false"
