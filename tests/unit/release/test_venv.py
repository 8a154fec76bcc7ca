from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from provision.engine.resource import State
from provision.release import shell
from provision.release.uv import UV, Uv
from provision.release.venv import SERVER, Venv

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Observe = Callable[..., tuple[State, ...]]

PYTHON = "/opt/pyenv/versions/3.13.5"
SHOP = Venv("shop", "one", "app", "auto", PYTHON, "debian12 x86_64")
PINS = "fastapi==0.121.0\n"


def test_uv_is_installed_where_it_is_not() -> None:
    change = Uv(PYTHON).plan(State(), {})
    assert change is not None
    assert (change.id, change.summary) == (f"uv:{UV}", f"install uv {UV}")
    assert Uv(PYTHON).plan(State.of({"uv": "installed"}), {}) is None


def test_uv_is_there_when_it_can_be_run(root: Path, observe: Observe) -> None:
    assert observe(Uv(PYTHON)) == (State(),)
    (root / "opt" / "uv" / UV / "bin").mkdir(parents=True)
    (root / "opt" / "uv" / UV / "bin" / "uv").touch(0o755)
    assert observe(Uv(PYTHON)) == (State.of({"uv": "installed"}),)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State(), "shop: venv for the requirements: built, or shared where they are the same"),
        (State.of({"venv": "right"}), None),
        (State.of({"venv": "wrong"}), "shop: rebuild the venv (it was modified)"),
        (State.of({"venv": "other"}), "shop: another venv, with Python 3.13.5: built, or shared where it is the same"),
    ],
)
def test_a_venv_is_built_where_it_is_not_right(state: State, expected: str | None) -> None:
    change = SHOP.plan(state, {})
    assert (change.summary if change else None) == expected
    assert change is None or change.id == "venv:shop"


def test_an_upgrade_says_so() -> None:
    change = replace(SHOP, upgrades=True).plan(State(), {})
    assert change is not None
    assert change.summary == "shop: venv for the requirements: built, with the newest versions that they allow"


def test_extras_and_groups_are_another_base() -> None:
    bases = {replace(SHOP, extras=extras, groups=groups).base for extras in ((), ("a",)) for groups in ((), ("a",))}
    assert len(bases) == 4


def test_a_venv_for_the_distributions_python_says_so() -> None:
    change = replace(SHOP, python="/usr").plan(State.of({"venv": "other"}), {})
    assert change is not None
    assert change.summary == "shop: another venv, with the distribution's Python: built, or shared where it is the same"


def test_a_venv_gets_the_pinned_server() -> None:
    change = SHOP.plan(State(), {})
    assert change is not None
    for requirement in SERVER:
        assert requirement in change.script


def test_what_a_venv_is_made_with_is_part_of_its_base() -> None:
    other = Venv("shop", SHOP.release, "app", "auto", PYTHON, "ubuntu24.04 x86_64")
    assert SHOP.base != other.base
    assert all(part in SHOP.base for part in (PYTHON, "debian12 x86_64", UV, *SERVER))


@pytest.fixture
def ask(call: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[[str], str]:
    def run(script: str) -> str:
        ran = call([shell], script)
        assert (ran.returncode, ran.stderr) == (0, "")
        return str(ran.stdout).strip()

    return run


@pytest.fixture
def keys(tmp_path: Path, ask: Callable[[str], str]) -> Callable[..., list[str]]:
    """The keys of releases, each made of files."""

    def of(*releases: dict[str, str], requirements: str = "auto", base: str = "base") -> list[str]:
        script = []
        for number, files in enumerate(releases):
            release = tmp_path / str(number)
            for name, text in {".release": f"commit {number}\tapp\n", **files}.items():
                path = release / name if name == ".release" else release / "app" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            script.append(f"requirements_key '{release}' app '{requirements}' '{base}'")
        return ask("\n".join(script)).split()

    return of


@pytest.mark.parametrize(
    ("files", "wanted", "found"),
    [
        ({"uv.lock": "", "requirements.txt": "", "pyproject.toml": ""}, "auto", "uv.lock"),
        ({"requirements.txt": "", "pyproject.toml": "[project]"}, "auto", "requirements.txt"),
        ({"pyproject.toml": "[build-system]\n[project]\n"}, "auto", "pyproject.toml"),
        ({"pyproject.toml": "[tool.ruff]\n"}, "auto", ""),
        ({}, "auto", ""),
        ({"requirements.txt": ""}, "requirements/prod.txt", "requirements/prod.txt"),
    ],
)
def test_the_first_file_that_says_what_to_install(
    files: dict[str, str], wanted: str, found: str, tmp_path: Path, ask: Callable[[str], str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert ask(f"requirements_file '{tmp_path}' . '{wanted}'") == found


def test_a_requirements_file_is_read_with_the_files_that_it_includes(tmp_path: Path, ask: Callable[[str], str]) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "requirements.txt").write_text(
        "-r more/base.txt # the base\n--requirement=more/b.txt\n-c more/c.txt\n-r gone.txt\na\n"
    )
    (tmp_path / "more" / "base.txt").write_text("-rdeep.txt\nbase\n")
    for name in ("deep", "b", "c"):
        (tmp_path / "more" / f"{name}.txt").write_text(f"{name}\n")
    lines = ask(f"requirements_text '{tmp_path}/requirements.txt'").splitlines()
    assert [line for line in lines if not line.startswith("-")] == ["a", "base", "deep", "b", "c"]


def test_releases_with_the_same_requirements_share_a_venv(keys: Callable[..., list[str]]) -> None:
    one, other, more = keys(
        {"requirements.txt": PINS, "main.py": "one"},
        {"requirements.txt": PINS, "main.py": "other"},
        {"requirements.txt": f"{PINS}httpx==0.28.1\n"},
    )
    assert one == other != more
    assert len(one) == 16


def test_an_upgrade_is_another_venv(tmp_path: Path, keys: Callable[..., list[str]]) -> None:
    before = keys({"requirements.txt": PINS})
    (tmp_path / "0/.upgraded").write_text("one\n")
    assert keys({"requirements.txt": PINS}) != before


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("requirements.txt", "idna\n", "yes"),
        ("requirements.txt", "idna==3.4\nsix>=1 # newest\n", "yes"),
        (
            "requirements.txt",
            "# all\n--index-url https://i/simple\nidna==3.4\ncore @ https://e.com/core.zip\n-e .\n",
            "",
        ),
        ("pyproject.toml", "[project]\n", "yes"),
        ("pylock.toml", "", ""),
        ("poetry.lock", "", ""),
    ],
)
def test_versions_are_open_where_no_lock_pins_them(
    name: str, text: str, expected: str, tmp_path: Path, ask: Callable[[str], str]
) -> None:
    (tmp_path / name).write_text(text)
    assert (
        ask(f"requirements_tree={tmp_path}; if requirements_are_open '{tmp_path}/{name}'; then echo yes; fi")
        == expected
    )


def test_the_packages_of_a_venv_are_read_from_the_names_of_its_folders(
    tmp_path: Path, ask: Callable[[str], str]
) -> None:
    site = tmp_path / "lib/python3.13/site-packages"
    for name in ("idna-3.4", "Typing_Extensions-4.1.0", "odd name-1", "six-1.16.0+local"):
        (site / f"{name}.dist-info").mkdir(parents=True)
    (site / "idna").mkdir()
    assert ask(f"venv_packages '{tmp_path}'").split() == ["idna==3.4", "six==1.16.0+local", "typing-extensions==4.1.0"]


def test_another_base_is_another_venv(keys: Callable[..., list[str]]) -> None:
    files = {"requirements.txt": PINS}
    assert keys(files, base="Python 3.13.5") != keys(files, base="Python 3.13.6")


def test_an_upgrade_of_the_distributions_python_is_another_venv_and_a_security_update_is_not(
    tmp_path: Path, call: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    release, python = tmp_path / "release", tmp_path / "usr" / "bin" / "python3"
    release.mkdir()
    (release / "requirements.txt").write_text(PINS)
    python.parent.mkdir(parents=True)

    def key(home: str) -> str:
        ran = call([shell], f"requirements_key '{release}' . auto '{home} debian12 x86_64'")
        assert (ran.returncode, ran.stderr) == (0, "")
        return ran.stdout

    found = []
    for series, content in (("3.11", "one"), ("3.11", "other"), ("3.13", "one")):
        (python.parent / f"python{series}").write_text(content)
        python.unlink(missing_ok=True)
        python.symlink_to(f"python{series}")
        found.append((key("/usr"), key(PYTHON)))
    (system, own), updated, upgraded = found
    assert updated == (system, own)
    assert upgraded[0] != system != own
    assert upgraded[1] == own


def test_a_changed_file_that_is_included_is_another_venv(keys: Callable[..., list[str]]) -> None:
    files = {"requirements.txt": "-r base.txt\n", "base.txt": PINS}
    one, same, other = keys(files, files, {**files, "base.txt": "fastapi==0.120.0\n"})
    assert one == same != other


def test_an_include_in_a_last_line_without_a_newline_counts(keys: Callable[..., list[str]]) -> None:
    files = {"requirements.txt": "-r base.txt", "base.txt": PINS}
    one, other = keys(files, {**files, "base.txt": "fastapi==0.120.0\n"})
    assert one != other


def test_an_include_in_a_file_from_windows_counts(keys: Callable[..., list[str]]) -> None:
    files = {"requirements.txt": "-r base.txt\r\n", "base.txt": PINS}
    one, other = keys(files, {**files, "base.txt": "fastapi==0.120.0\n"})
    assert one != other


@pytest.mark.parametrize("line", ["-e .", "--editable ./lib", ".", "./lib", "/srv/lib"])
def test_code_of_the_commit_that_is_installed_makes_a_venv_of_its_own(
    line: str, keys: Callable[..., list[str]]
) -> None:
    files = {"requirements.txt": f"{PINS}{line}\n"}
    one, other = keys(files, files)
    assert one != other


def test_a_project_that_is_built_has_a_venv_for_each_commit_and_one_that_is_not_shares(
    keys: Callable[..., list[str]],
) -> None:
    listed = {"pyproject.toml": "[project]\n", "uv.lock": "locked\n"}
    built = {"pyproject.toml": "[build-system]\n[project]\n", "uv.lock": "locked\n"}
    one, same, mine, other = keys(listed, listed, built, built)
    assert one == same
    assert len({one, mine, other}) == 3


def test_a_venv_is_right_until_a_hand_changes_it(tmp_path: Path, observe: Observe, ask: Callable[[str], str]) -> None:
    release = tmp_path / "srv" / "shop" / "releases" / "one"
    (release / "app").mkdir(parents=True)
    (release / "app" / "requirements.txt").write_text(PINS)
    assert observe(SHOP) == (State(),)
    key = ask(f"requirements_key '{release}' app auto '{SHOP.base}'")
    built = tmp_path / "srv" / "shop" / "venvs" / key
    (built / "lib" / "python3.13" / "site-packages").mkdir(parents=True)
    (built / "bin").mkdir()
    (built / "bin" / "python").touch(0o755)
    (release / ".venv").symlink_to(f"../../venvs/{key}")
    assert observe(SHOP) == (State.of({"venv": "wrong"}),)
    (built / "pyvenv.cfg").touch()
    (built / ".complete").touch()
    later = (built / ".complete").stat().st_mtime + 60
    os.utime(built / ".complete", (later, later))
    assert observe(SHOP) == (State.of({"venv": "right"}),)
    added = built / "lib" / "python3.13" / "site-packages" / "added.py"
    added.touch()
    os.utime(added, (later + 60, later + 60))
    assert observe(SHOP) == (State.of({"venv": "wrong"}),)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('[project]\nname = "shop"\nrequires-python = ">=3.12"\n', ">=3.12"),
        ("[project]\r\nrequires-python='>=3.11, <4' # as tested\r\n", ">=3.11, <4"),
        ('[tool.x]\nrequires-python = ">=3.8"\n[project]\nname = "shop"\n', ""),
        ('[project]\nname = "shop"\n[tool.x]\nrequires-python = ">=3.8"\n', ""),
        ('[project]\ndependencies = [\n    "a[b]>=1",\n]\n  requires-python = "~=3.12.1"\n', "~=3.12.1"),
        ("", ""),
    ],
)
def test_which_python_a_pyproject_wants(text: str, wanted: str, tmp_path: Path, ask: Callable[[str], str]) -> None:
    (tmp_path / "pyproject.toml").write_bytes(text.encode())
    assert ask(f"python_check_required '{tmp_path}/pyproject.toml'") == wanted


def test_what_uv_says_is_wrong_is_one_line(call: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    said = "Resolved nothing\nerror: No solution found\n  cause: there is no version\n    of fastapi==9\nhint: look again\n"
    ran = call([shell], f"venv_reason <<'END'\n{said}END")
    assert ran.stdout == "No solution found: there is no version of fastapi==9\n"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Host key verification failed.", "shows a host key that is not pinned: "),
        ("git@h: Permission denied (publickey,password).", "refuses the deploy key: "),
        ("fatal: Authentication failed for 'https://h/one.git/'", "refuses the login, or wants one: "),
        (
            "fatal: could not read Username for 'https://h': terminal prompts disabled",
            "refuses the login, or wants one: ",
        ),
        ("fatal: repository not found", ""),
    ],
)
def test_a_requirements_repository_that_lets_nobody_in_is_named_with_what_opens_it(
    said: str, reason: str, call: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    fetch = "  cause: process didn't exit successfully: `/usr/bin/git fetch --force 'https://h/one.git' '+HEAD:refs/x'` (exit status: 128)"
    ran = call([shell], f"venv_git_reason <<'END'\nerror: Failed to build `one`\n{fetch}\n  --- stderr\n  {said}\nEND")
    assert ran.stdout.startswith(f"https://h/one.git {reason}") if reason else ran.stdout == ""


def test_uv_with_a_checksum_that_is_not_known_is_not_installed(
    tmp_path: Path, call: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    python = tmp_path / "home" / "bin" / "python3"
    python.parent.mkdir(parents=True)
    python.write_text(
        '#!/bin/sh\nwhile [ "$1" != -r ]; do shift; done\ncat "$2"\necho " DO NOT MATCH THE HASHES"\nexit 1\n'
    )
    python.chmod(0o755)
    said = call([shell], f"uv_install 1.0 {tmp_path}/home '' aa bb")
    assert said.returncode == 1
    assert said.stdout.startswith("uv==1.0 --hash=sha256:aa --hash=sha256:bb")
    assert "error: uv 1.0 cannot be installed: the package index has another file for this server" in said.stdout
    assert not (tmp_path / "opt" / "uv" / "1.0").exists()


def test_whoever_has_the_logins_home_has_root_import_nothing(
    call: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "platform.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')\n")
    said = call([shell], f"cd {tmp_path}; python={sys.executable}; python_check_whose")
    assert (said.returncode, (tmp_path / "imported").exists()) == (0, False), said.stderr
