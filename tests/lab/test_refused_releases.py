"""A release that cannot be prepared is refused with the reason, and the active one stays as it was."""

import re

from provision.release.uv import UV
from tests.lab.conftest import shell
from tests.lab.index import PACKAGE, serving
from tests.lab.refusals import APP, PREPARED, REQUIREMENTS, SERVER, Declared, lab_values, refused, untouched

pytest_plugins = ("tests.lab.refusals",)


def test_requirements_that_cannot_be_resolved_are_refused_with_the_resolvers_reason(deployed: Declared) -> None:
    deployed.repository.commit({"requirements.txt": "fastapi==0.165.0\nstarlette<0.20\n"}, "conflict")
    with untouched(*PREPARED):
        error = refused(deployed()("deploy", SERVER, "--json", "--revision", "conflict"))
    assert error.startswith(
        f"{APP}: requirements.txt cannot be installed: No solution found when resolving dependencies: "
        "Because fastapi>=0.165.0 depends on starlette>="
    )
    assert "And because you require starlette<0.20, we can conclude that your requirements are unsatisfiable" in error


def test_a_package_that_does_not_build_is_refused_with_the_exception(deployed: Declared) -> None:
    backend = "def build_wheel(*_, **__):\n    raise RuntimeError('there is no compiler for this')\n"
    project = '[project]\nname = "refusals"\nversion = "1"\n[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    deployed.repository.commit({"pyproject.toml": project, "backend.py": backend}, "unbuildable")
    with untouched(*PREPARED):
        answer = deployed({"requirements": "pyproject.toml"})("deploy", SERVER, "--json", "--revision", "unbuildable")
        error = refused(answer)
    assert error.startswith(f"{APP}: pyproject.toml cannot be installed: Failed to build `refusals @ ")
    assert error.endswith(": RuntimeError: there is no compiler for this")


def test_a_wrong_password_of_the_package_index_is_refused_and_not_repeated(deployed: Declared) -> None:
    deployed.repository.commit({"requirements.txt": f"{REQUIREMENTS}{PACKAGE}==1.0\n"}, "private")
    with serving("the-right-one") as index:
        mirrors = lab_values().get("mirrors", {}) | {"index": index.url("tr0ub4dor/&3")}
        with untouched(*PREPARED):
            answer = deployed(mirrors=mirrors)("deploy", SERVER, "--json", "--revision", "private")
            error = refused(answer)
        shell(SERVER, "rm -r /opt/uv")
        without_uv = deployed(mirrors=mirrors)("deploy", SERVER, "--revision", "private")
    fix = "correct the user and password in mirrors.index"
    assert error == (f"{APP}: requirements.txt cannot be installed: the package index answered 401 Unauthorized: {fix}")
    said = without_uv.stdout + without_uv.stderr
    assert f"{SERVER} ✗ uv {UV} cannot be installed: the package index answered 401: {fix}\n" in said
    assert "tr0ub4dor" not in answer.stdout + answer.stderr + said
    assert index.refused
    assert index.asked == []
    assert deployed().deploy(SERVER).changed(SERVER) == [f"uv:{UV}"]


def test_a_commit_without_requirements_is_refused(deployed: Declared) -> None:
    with untouched(*PREPARED):
        error = refused(deployed({"requirements": "uv.lock"})("deploy", SERVER, "--json"))
    assert error == f"{APP}: the commit has no ./uv.lock (requirements)"


def test_a_module_that_cannot_be_imported_is_refused(deployed: Declared) -> None:
    deployed.repository.commit({"main.py": "import nowhere\n"}, "broken")
    with untouched(*PREPARED):
        error = refused(deployed()("deploy", SERVER, "--json", "--revision", "broken"))
    assert error == f"{APP}: main:app cannot be imported: ModuleNotFoundError: No module named 'nowhere'"


def test_a_module_that_writes_to_its_release_is_told_where_it_may_write(deployed: Declared) -> None:
    deployed.repository.commit({"main.py": "import os\n\nos.makedirs('logs', exist_ok=True)\n"}, "logging")
    with untouched(*PREPARED):
        error = refused(deployed()("deploy", SERVER, "--json", "--revision", "logging"))
    assert error == (
        f"{APP}: main:app cannot be imported: OSError: [Errno 30] Read-only file system: 'logs'; a release can only be read: name the folder in"
        f" apps.{APP}.shared (such as [data, logs]), or let the app write to /srv/{APP}/shared by a full path, or to /tmp"
    )


def test_a_plan_names_files_that_a_release_will_not_have(deployed: Declared) -> None:
    large = {
        ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n",
        "model.bin": "version https://git-lfs.github.com/spec/v1\n",
    }
    deployed.repository.commit(large, "large")
    notes = deployed().plan(SERVER, "--revision", "large").host(SERVER)["notes"]
    assert any("not fetched, as what is in Git LFS is not: model.bin is a pointer" in note for note in notes), notes


def test_a_module_that_the_active_release_does_not_have_is_refused_and_the_release_stays(deployed: Declared) -> None:
    with untouched(*PREPARED):
        error = refused(deployed({"module": "main:application"})("deploy", SERVER, "--json"))
    assert error == (
        f"{APP}: main:application cannot be imported: AttributeError: module 'main' has no attribute 'application'"
    )
    deployed().deploy(SERVER)


def test_a_full_disk_during_the_venv_is_refused_with_where_it_is_full(deployed: Declared) -> None:
    builds = f"/srv/{APP}/build"
    deployed.repository.commit({"requirements.txt": f"{REQUIREMENTS}sqlalchemy==2.1.9\n"}, "larger")
    with untouched(*PREPARED):
        shell(SERVER, f"mkdir /run/kept && mount --bind {builds} /run/kept && mount -t tmpfs -o size=8m tmpfs {builds}")
        try:
            error = refused(deployed()("deploy", SERVER, "--json", "--revision", "larger"))
            assert shell(SERVER, f"ls -A {builds}") == ""
        finally:
            shell(SERVER, f"umount {builds} && umount /run/kept && rmdir /run/kept")
    assert re.fullmatch(
        rf"{APP}: no space left for the venv: \S+ free on {builds}, \S+ free on /; make room there, or keep fewer "
        r"releases \(keep_releases\)",
        error,
    )
