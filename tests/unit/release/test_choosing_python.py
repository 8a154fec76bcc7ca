"""Which Python an app gets where the inventory leaves that open."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provision.errors import PlanError
from provision.inventory import App, Mirrors, Python, Requirements, Source
from provision.inventory.python import DEFAULT
from provision.release.commit import is_read
from provision.release.constraint import allows
from provision.release.facts import ServerRelease
from provision.release.python import Choice, choose, serving
from provision.resources.python import REVISIONS

SETTINGS = '{"python": {"cache": true, "optimized": false, "version": "VERSION"}}'
RELEASE = ServerRelease("shop", "20261103T120000-3333333", "3" * 40, ".", "active", SETTINGS)


def project(wanted: str) -> str:
    return f'[project]\nname = "shop"\nrequires-python = "{wanted}"\n'


def poetry(wanted: str) -> str:
    return f'[tool.poetry]\nname = "shop"\n[tool.poetry.dependencies]\npython = {wanted}\n'


def chosen(files: dict[str, str], serves: str = "", folder: str = ".", revision: str = REVISIONS[0]) -> Choice:
    app = App.model_construct(
        name="shop",
        source=Source.model_construct(folder=folder),
        python=Python(),
        requirements=Requirements.model_construct(file="auto"),
    )
    assert all(is_read(name) for name in files)
    return choose(app, frozenset(files), files, serves, Mirrors(pyenv_revision=revision))


SAYS = 'requires-python "{}" of pyproject.toml'


@pytest.mark.parametrize(
    ("wanted", "serves", "version", "why"),
    [
        (">=3.11,<3.13", "", "3.12.13", f"{SAYS.format('>=3.11,<3.13')}, the newest that pyenv knows"),
        ("==3.11.*", "", "3.11.15", f"{SAYS.format('==3.11.*')}, the newest that pyenv knows"),
        (">=3.14", "", "3.14.4", f"{SAYS.format('>=3.14')}, the newest that pyenv knows"),
        (">=3.11", "", DEFAULT, f"the default, and {SAYS.format('>=3.11')} allows it"),
        (">=3.11", "3.11.9", "3.11.9", f"it serves, and {SAYS.format('>=3.11')} allows it"),
        (">=3.11", "3.99.1", "3.99.1", f"it serves, and {SAYS.format('>=3.11')} allows it"),
        (">=3.12", "3.11.9", DEFAULT, f"the default, and {SAYS.format('>=3.12')} allows it"),
        ("<3.13", "3.13.5", "3.12.13", f"{SAYS.format('<3.13')}, the newest that pyenv knows"),
        ("what is this", "", DEFAULT, f"the default, and {SAYS.format('what is this')} allows it"),
    ],
)
def test_requires_python_decides(wanted: str, serves: str, version: str, why: str) -> None:
    assert chosen({"pyproject.toml": project(wanted)}, serves) == Choice(version, why)


def test_what_asks_for_nothing_gets_the_default_and_keeps_what_serves_it() -> None:
    assert chosen({"requirements.txt": "fastapi\n"}) == Choice(DEFAULT, "the default")
    assert chosen({"requirements.txt": "fastapi\n"}, "3.12.1") == Choice("3.12.1", "it serves")


@pytest.mark.parametrize(
    ("wanted", "version"),
    [
        ('"^3.11"', DEFAULT),
        ('"~3.11"', "3.11.15"),
        ('"3.12.*"', "3.12.13"),
        ('">= 3.10, < 3.12"', "3.11.15"),
        ('"~3.10 || ~3.12"', "3.12.13"),
        ('"3.11.9"', "3.11.9"),
        ('{version = "~3.12"}', "3.12.13"),
        ('"*"', DEFAULT),
    ],
)
def test_poetrys_python_counts_where_the_project_has_no_requires_python(wanted: str, version: str) -> None:
    assert chosen({"pyproject.toml": poetry(wanted)}).version == version
    assert chosen({"pyproject.toml": project(">=3.14") + poetry(wanted)}).version == "3.14.4"


def test_a_lock_limits_it_too() -> None:
    files = {
        "pyproject.toml": '[tool.uv.workspace]\nmembers = ["backend"]\n',
        "uv.lock": 'requires-python = ">=3.11, <3.13"\n',
    }
    both = files | {"backend/pyproject.toml": project(">=3.11")}
    assert chosen(both, folder="backend") == Choice(
        "3.12.13",
        'requires-python ">=3.11" of backend/pyproject.toml and requires-python ">=3.11, <3.13" of uv.lock, the newest that pyenv knows',
    )
    assert chosen({"pylock.toml": 'requires-python = "==3.12.*"\n'}).version == "3.12.13"
    lock = '[metadata]\npython-versions = "~3.11"\n'
    found = chosen({"pyproject.toml": poetry('"~3.11"'), "poetry.lock": lock})
    assert found == Choice("3.11.15", 'python "~3.11" of pyproject.toml, the newest that pyenv knows')


@pytest.mark.parametrize(
    ("asked", "serves", "version", "why"),
    [
        ("3.12.11", "", "3.12.11", ".python-version"),
        ("3.12.11\n", "3.13.5", "3.12.11", ".python-version"),
        ("# ours\n\ncpython-3.12\n", "", "3.12.13", ".python-version says 3.12"),
        ("3.12", "3.12.1", "3.12.1", ".python-version says 3.12"),
        ("3.13", "", DEFAULT, ".python-version says 3.13"),
        ("3.12.99", "", "3.12.13", "the newest 3.12 that pyenv knows; .python-version says 3.12.99, which pyenv does not know"),
        ("3.15", "", DEFAULT, f"the default, and {SAYS.format('>=3.11')} allows it; .python-version says 3.15, which pyenv does not know"),
        ("3.10", "", DEFAULT, f"the default, and {SAYS.format('>=3.11')} allows it; .python-version says 3.10, which is not allowed"),
        ("3.10.4", "3.12.1", "3.12.1", f"it serves, and {SAYS.format('>=3.11')} allows it; .python-version says 3.10.4, which is not allowed"),
        ("pypy3.10\x1b", "", DEFAULT, f"the default, and {SAYS.format('>=3.11')} allows it; .python-version says pypy3.10\\x1b, which is no version of CPython 3"),
    ],
)  # fmt: skip
def test_a_python_version_file_comes_first_where_it_is_allowed(asked: str, serves: str, version: str, why: str) -> None:
    assert chosen({"pyproject.toml": project(">=3.11"), ".python-version": asked}, serves) == Choice(version, why)


def test_the_nearest_python_version_file_counts() -> None:
    files = {"a/b/pyproject.toml": project(">=3.11"), "a/.python-version": "3.12\n", ".python-version": "3.11\n"}
    assert chosen(files, folder="a/b") == Choice("3.12.13", "a/.python-version says 3.12")
    files["a/b/.python-version"] = "3.13.1"
    assert chosen(files, folder="a/b").version == "3.13.1"
    assert chosen({**files, "c/pyproject.toml": project(">=3.9")}, folder="c").version == "3.11.15"


def test_a_newer_pyenv_may_know_the_exact_version() -> None:
    assert chosen({".python-version": "3.12.99"}, revision="v9").version == "3.12.99"


def test_a_project_that_allows_none_is_refused() -> None:
    with pytest.raises(PlanError) as raised:
        chosen({"pyproject.toml": project(">=3.20")})
    assert str(raised.value) == (
        'shop: requires-python ">=3.20" of pyproject.toml allows no Python that pyenv knows (3.9.0 to 3.14.4): correct that, or set the app\'s'
        " python to a version that it allows, and mirrors.pyenv_revision to a pyenv that knows it"
    )


@pytest.mark.parametrize(
    ("settings", "version"),
    [
        (SETTINGS.replace("VERSION", "3.12.1"), "3.12.1"),
        (SETTINGS.replace("VERSION", "system"), ""),
        (SETTINGS.replace("VERSION", "3.12.1; rm"), ""),
        ("[]", ""),
        ("no JSON", ""),
        ("", ""),
    ],
)
def test_what_serves_is_what_the_active_release_ran_with(settings: str, version: str) -> None:
    app = App.model_construct(name="shop", renamed_from="store")
    active = replace(RELEASE, settings=settings)
    other = replace(RELEASE, app="blog", settings=SETTINGS.replace("VERSION", "3.9.1"))
    assert serving(app, (other, replace(other, app="shop", state="good"), active)) == version
    assert serving(app, (replace(active, app="store"),)) == version


@pytest.mark.parametrize(
    ("constraint", "version", "allowed"),
    [("~=3.12.1", "3.12.9", True), ("~3", "3.13.1", True), ("^3.11", "4.0.0", False), ("!=3.12.*,>=3.11", "3.12.1", False), ("nonsense", "3.12.1", None)],
)  # fmt: skip
def test_constraints_are_pythons_own_or_poetrys(constraint: str, version: str, allowed: bool | None) -> None:
    assert allows(constraint, version) is allowed
