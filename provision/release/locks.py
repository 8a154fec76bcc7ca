"""What a commit's lock and project tell of what is to be installed, before anything is done on a server."""

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from provision.errors import PlanError
from provision.inventory import App
from provision.release.constraint import allows

Texts = Mapping[str, str]
# Which versions of Python the tools that read these locks run on (exporters.txt).
OLDEST = (3, 10)


def read(text: str) -> Mapping[str, Any]:
    """A TOML file; empty where it is none, which its own tool reports better."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}


def table(content: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """The table at these keys, one in another; empty where there is none."""
    for key in keys:
        found = content.get(key)
        content = found if isinstance(found, dict) else {}
    return content


def check(app: App, lock: str, project: str, texts: Texts) -> None:
    """Raises PlanError on what can be seen not to be installable: `lock` is the path of the file that says what to install, `project` that
    of the pyproject.toml beside it.
    """
    content, declared = read(texts.get(lock, "")), read(texts.get(project, ""))
    _check_names(app, lock, project, content, declared)
    if not lock.endswith(("poetry.lock", "pdm.lock")):
        return
    if project not in texts:
        raise PlanError(f"{app.name}: the commit has {lock}, and no {project}: commit that, too")
    version = app.python.exact
    if not app.python.system and tuple(map(int, version.split(".")[:2])) < OLDEST:
        raise PlanError(
            f"{app.name}: {lock} can only be read with Python 3.10 or later, and the inventory's is {version}: set the app's python"
        )
    if lock.endswith("poetry.lock"):
        _check_poetry(app, lock, content)
    elif content and "inherit_metadata" not in table(content, "metadata").get("strategy", ()):
        raise PlanError(
            f"{app.name}: {lock} does not say where each package is wanted: run `pdm lock --strategy inherit_metadata`, and commit the lock"
        )


def _check_names(app: App, lock: str, project: str, content: Mapping[str, Any], declared: Mapping[str, Any]) -> None:
    """Extras and groups that are asked for must be there, which not every tool checks."""
    from packaging.utils import canonicalize_name

    extras = {*table(declared, "project", "optional-dependencies"), *table(declared, "tool", "poetry", "extras")}
    groups = {
        *table(declared, "dependency-groups"),
        *table(declared, "tool", "poetry", "group"),
        *table(declared, "tool", "pdm", "dev-dependencies"),
        *(("dev",) if "dev-dependencies" in table(declared, "tool", "uv") else ()),
    }
    where = project
    if is_pylock(lock):
        where, extras, groups = lock, {*content.get("extras", ())}, {*content.get("dependency-groups", ())}
    for kind, known, asked in (
        ("extra", extras, app.requirements.extras),
        ("group", groups, app.requirements.groups),
    ):
        unknown = [name for name in asked if canonicalize_name(name) not in set(map(canonicalize_name, known))]
        if unknown:
            there = ", ".join(sorted(known)) or "none"
            raise PlanError(f"{app.name}: {where} has no {kind} {unknown[0]} (requirements.{kind}s); it has: {there}")


def is_pylock(path: str) -> bool:
    """Whether a file is a lock in the form that all tools can write (PEP 751)."""
    return re.fullmatch(r"(.*/)?pylock(\.[^./]+)?\.toml", path) is not None


def _check_poetry(app: App, lock: str, content: Mapping[str, Any]) -> None:
    """By markers alone, a Python that the lock is not for would get no packages."""
    wanted = table(content, "metadata").get("python-versions", "*")
    if app.python.system or not isinstance(wanted, str) or allows(wanted, app.python.exact) is not False:
        return
    raise PlanError(
        f"{app.name}: {lock} is for Python {wanted}, and the inventory's is {app.python.exact}: set the app's python to a full"
        " version that it allows"
    )


def installs_project(path: str, project: str, texts: Texts) -> bool:
    """Whether the file at `path` has the project itself installed, or may have: `project` is the path of its pyproject.toml."""
    if path.endswith(".txt") or is_pylock(path):
        return (
            re.search(
                r"^\s*(-e|--editable|-r|-c|\.|/|file:|[\w.-]+\s*@\s*(file:|\.))|directory|path",
                texts.get(path, ""),
                re.M,
            )
            is not None
        )
    declared = read(texts.get(project, ""))
    tool = table(declared, "tool")
    left_out = (
        table(tool, "poetry").get("package-mode") is False
        or table(tool, "pdm").get("distribution") is False
        or table(tool, "uv").get("package") is False
    )
    return not declared or ("build-system" in declared and not left_out)


def is_open(listed: str) -> bool:
    """Whether a list of requirements leaves versions open, as requirements.sh says."""
    lines = (line for line in listed.splitlines() if re.match(r"\s*[A-Za-z0-9]", line))
    return any(not re.search("==|@", line) for line in lines)
