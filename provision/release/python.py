"""Which Python an app runs on where the inventory leaves that open (`python: auto`)."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePosixPath

from provision.errors import PlanError
from provision.inventory import App, Mirrors
from provision.inventory.python import DEFAULT
from provision.release import locks
from provision.release.commit import TOML, path_in, requirements_of
from provision.release.constraint import allows
from provision.release.facts import ServerRelease
from provision.resources.python import KNOWN, REVISIONS
from provision.untrusted import line as shown

FILE = ".python-version"
Texts = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Limit:
    """What a file of a commit says of the Pythons that the app runs on: `text`, as it is written there."""

    key: str
    path: str
    text: str

    def __str__(self) -> str:
        return f'{self.key} "{shown(self.text, 60)}" of {self.path}'

    def allows(self, version: str) -> bool:
        """Whether it allows this version; what cannot be read allows all, and its own tool reports it better."""
        return allows(self.text, version) is not False


@dataclass(frozen=True, slots=True)
class Choice:
    """A version of Python, and why it is that one."""

    version: str
    why: str


def with_python(app: App, version: str) -> App:
    """The app on this version of Python."""
    return app.model_copy(update={"python": app.python.model_copy(update={"version": version})})


def serving(app: App, releases: tuple[ServerRelease, ...]) -> str:
    """The version of Python that serves the app there, also under its former name; empty if that is none, or the distribution's."""
    names = (app.name, app.renamed_from)
    return next(filter(None, (ran_on(one.settings) for one in releases if one.active and one.app in names)), "")


def ran_on(settings: str) -> str:
    """The version of Python that a release has kept (release/settings.py); empty if that is none, or the distribution's."""
    try:
        version = json.loads(settings)["python"]["version"]
    except (ValueError, KeyError, TypeError):
        return ""
    return version if isinstance(version, str) and re.fullmatch(r"3\.\d{1,3}\.\d{1,3}", version) else ""


def unread(serves: str) -> Choice:
    """The choice where the commit's files cannot be read from here. The server refuses a Python that the app does not allow."""
    kept = "it serves" if serves else "the default"
    return Choice(serves or DEFAULT, f"{kept}, as the commit's files cannot be read from this machine")


def choose(app: App, names: frozenset[str], texts: Texts, serves: str, mirrors: Mirrors) -> Choice:
    """The Python for an app's commit: `names` are the paths of its files, `texts` what those say that are read.

    A .python-version comes first, if requires-python allows it; then the version that `serves`; then the default; then the newest that
    pyenv knows (that of the `mirrors`). Raises PlanError if requires-python allows none.
    """
    limits = _limits(app, names, texts)
    said = " and ".join(map(str, limits))
    allowed = [version for version in KNOWN if all(limit.allows(version) for limit in limits)]
    if not allowed:
        raise PlanError(
            f"{app.name}: {said} allows no Python that pyenv knows ({KNOWN[0]} to {KNOWN[-1]})",
            "correct that, or set the app's python to a version that it allows, and mirrors.pyenv_revision to a pyenv that knows it",
        )
    if serves and serves not in allowed and all(limit.allows(serves) for limit in limits):
        allowed.append(serves)
    path, asked = _asked(app.source.folder, texts)
    if not path:
        return _of(allowed, serves, said)
    wanted = _version(asked)
    if not wanted:
        chosen = _of(allowed, serves, said)
        return Choice(chosen.version, f"{chosen.why}; {path} says {shown(asked, 40)}, which is no version of CPython 3")
    if not all(limit.allows(wanted) for limit in limits) and not _fitting(allowed, wanted):
        chosen = _of(allowed, serves, said)
        return Choice(chosen.version, f"{chosen.why}; {path} says {asked}, which is not allowed")
    return _as_asked(path, wanted, allowed, serves, said, mirrors.pyenv_revision)


def _as_asked(path: str, wanted: str, allowed: Sequence[str], serves: str, said: str, revision: str) -> Choice:
    """What a .python-version asks for: a version, or the best of a series."""
    if wanted in allowed or (wanted.count(".") == 2 and revision not in REVISIONS):
        return Choice(wanted, path)
    fitting = _fitting(allowed, wanted)
    if fitting:
        return Choice(_best(fitting, serves), f"{path} says {wanted}")
    series = wanted.rpartition(".")[0]
    near = _fitting(allowed, series)
    unknown = f"{path} says {wanted}, which pyenv does not know"
    if near and wanted.count(".") == 2:
        return Choice(near[-1], f"the newest {series} that pyenv knows; {unknown}")
    chosen = _of(allowed, serves, said)
    return Choice(chosen.version, f"{chosen.why}; {unknown}")


def _of(allowed: Sequence[str], serves: str, said: str) -> Choice:
    """One of the versions that the project allows; `said` is by what."""
    version = _best(allowed, serves)
    if version == serves:
        return Choice(version, f"it serves, and {said} allows it" if said else "it serves")
    if version == DEFAULT:
        return Choice(version, f"the default, and {said} allows it" if said else "the default")
    return Choice(version, f"{said}, the newest that pyenv knows")


def _best(allowed: Sequence[str], serves: str) -> str:
    return next((version for version in (serves, DEFAULT) if version in allowed), allowed[-1])


def _fitting(allowed: Sequence[str], series: str) -> list[str]:
    return [version for version in allowed if version.startswith(f"{series}.")]


def _limits(app: App, names: frozenset[str], texts: Texts) -> tuple[Limit, ...]:
    """What the app's project and its lock allow; the lock of a workspace is for all of its members."""
    try:
        file = requirements_of(app, names, texts)
    except PlanError:
        file = TOML
    path = path_in(app.source.folder, file if file.endswith(TOML) else TOML)
    found = chain(_of_project(path, texts), _of_lock(path_in(app.source.folder, file), texts))
    return tuple({limit.text.replace(" ", ""): limit for limit in reversed([*found])}.values())[::-1]


def _of_project(path: str, texts: Texts) -> list[Limit]:
    declared = locks.read(texts.get(path, ""))
    wanted = locks.table(declared, "project").get("requires-python")
    if isinstance(wanted, str):
        return [Limit("requires-python", path, wanted)] if wanted.strip() else []
    wanted = locks.table(declared, "tool", "poetry", "dependencies").get("python")
    wanted = wanted.get("version") if isinstance(wanted, dict) else wanted
    return [Limit("python", path, wanted)] if isinstance(wanted, str) and wanted.strip() else []


def _of_lock(path: str, texts: Texts) -> list[Limit]:
    if not (path.endswith(".lock") or locks.is_pylock(path)):
        return []
    content = locks.read(texts.get(path, ""))
    key, table = "requires-python", content
    if path.endswith("poetry.lock"):
        key, table = "python-versions", locks.table(content, "metadata")
    wanted = table.get(key)
    return [Limit(key, path, wanted)] if isinstance(wanted, str) and wanted.strip() else []


def _asked(folder: str, texts: Texts) -> tuple[str, str]:
    """The nearest .python-version, from the app's folder upwards, and the first version in it; empty if there is none."""
    place = PurePosixPath(folder)
    for each in (place, *place.parents):
        path = path_in(str(each), FILE)
        lines = (line.partition("#")[0].strip() for line in texts.get(path, "").splitlines())
        found = next(filter(None, lines), "")
        if found:
            return path, found.split()[0]
    return "", ""


def _version(asked: str) -> str:
    """A version or series of CPython 3 as pyenv and uv write it; empty if it is none."""
    found = re.fullmatch(r"(?:(?:cpython|python)[-@]?)?(3(?:\.\d{1,3}){1,2})", asked)
    return found[1] if found else ""
