"""Whatever an app is packaged with is installed as its lock says, and its site answers from its own commit."""

import base64
import json
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit

import pytest

from tests.lab.conftest import LAB, https, shell
from tests.lab.git_https import serving_git
from tests.lab.index import PACKAGE, USER, WHEEL, serving
from tests.lab.locks import FILES, pdm_lock, pdm_package, poetry_lock, poetry_package, poetry_sourced
from tests.lab.refusals import DOMAIN, SERVER, Declared, lab_values, refused
from tests.lab.repository import Repository

pytest_plugins = ("tests.lab.refusals",)

MAIN = """\
import json
from importlib.metadata import distributions


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("only HTTP")
    installed = {one.metadata["Name"]: one.version for one in distributions()}
    body = json.dumps({"says": "WORD", "from": __file__, "installed": installed}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})
"""
INNER = """\
[project]
name = "inner"
version = "0.1"

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
"""
LIBRARY = {"libs/inner/pyproject.toml": INNER, "libs/inner/inner/__init__.py": ""}
POETRY = """\
[tool.poetry]
name = "shop"
version = "0.1.0"
description = ""
authors = []
packages = [{include = "shop", from = "src"}]

[tool.poetry.dependencies]
python = "^3.11"
idna = "*"
tomli = {version = "*", markers = "sys_platform == 'win32'"}
six = {version = "*", optional = true}
inner = {path = "libs/inner", develop = true}

[tool.poetry.extras]
fast = ["six"]

[tool.poetry.group.server.dependencies]
sniffio = "*"

[tool.poetry.group.dev.dependencies]
iniconfig = "*"

[build-system]
requires = ["poetry-core"]
build-backend = "poetry.core.masonry.api"
"""
EXTRA = 'markers = "extra == \\"fast\\""\n'
PATH = """\
[[package]]
name = "inner"
version = "0.1"
description = ""
optional = false
python-versions = "*"
groups = ["main"]
files = []
develop = true

[package.source]
type = "directory"
url = "libs/inner"

"""
TAIL = '[extras]\nfast = ["six"]\n\n'
POETRY_PACKAGES = (
    poetry_package("idna")
    + poetry_package("iniconfig", "dev")
    + PATH
    + poetry_package("six", more=EXTRA)
    + poetry_package("sniffio", "server")
    + poetry_package("tomli", more='markers = "sys_platform == \\"win32\\""\n')
)
PDM = """\
[project]
name = "shop"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["idna", "inner @ file:///${PROJECT_ROOT}/libs/inner", "tomli; sys_platform == 'win32'"]

[project.optional-dependencies]
fast = ["six"]

[dependency-groups]
server = ["sniffio"]
dev = ["iniconfig"]

[build-system]
requires = ["pdm-backend"]
build-backend = "pdm.backend"
"""
PDM_PACKAGES = (
    pdm_package("idna")
    + pdm_package("iniconfig", "dev")
    + '[[package]]\nname = "inner"\nversion = "0.1"\npath = "./libs/inner"\nsummary = ""\ngroups = ["default"]\n\n'
    + pdm_package("six", "fast")
    + pdm_package("sniffio", "server")
    + pdm_package("tomli", more='marker = "sys_platform == \\"win32\\""\n')
)


def package(word: str) -> dict[str, str]:
    """The project's own package, whose site says this word."""
    return {"src/shop/__init__.py": "", "src/shop/main.py": MAIN.replace("WORD", word), **LIBRARY}


def site() -> dict[str, object]:
    """What the app's site says."""
    done = https(SERVER, "/", DOMAIN)
    assert done.returncode == 0, done.stderr
    content: dict[str, object] = json.loads(done.stdout)
    return content


def locked(*names: str) -> dict[str, str]:
    """The packages with these names that the locks have, in the locks' versions."""
    return {name: FILES[name][0] for name in names}


def installed() -> dict[str, str]:
    """Of the packages that a test names, those that the site has."""
    found = site()["installed"]
    assert isinstance(found, dict)
    return {name: version for name, version in found.items() if name in {*FILES, "inner", "shop"}}


OWN = {"inner": "0.1", "shop": "0.1.0"}
APP_OF = {"module": "shop.main:app", "health": "/"}


@pytest.mark.parametrize("word", ["one", "two"])
def test_a_project_of_poetry_is_installed_from_its_lock_with_its_own_code(bare: Declared, word: str) -> None:
    files = {"pyproject.toml": POETRY, "poetry.lock": poetry_lock(POETRY, POETRY_PACKAGES, TAIL), **package(word)}
    bare.repository.commit(files, f"poetry-{word}")
    controller = bare(APP_OF | {"requirements": "poetry.lock"})
    controller.deploy(SERVER, "--revision", f"poetry-{word}")
    assert (site()["says"], installed()) == (word, locked("idna") | OWN)
    assert ".venv" in str(site()["from"]) or "/venv" in str(site()["from"])
    assert not controller.deploy(SERVER, "--revision", f"poetry-{word}").changed(SERVER)


@pytest.mark.long
def test_extras_and_groups_of_poetry_are_installed_where_they_are_named(bare: Declared) -> None:
    old = (
        POETRY_PACKAGES.replace('groups = ["main"]\n', "")
        .replace('groups = ["dev"]\n', "")
        .replace('groups = ["server"]\n', "")
    )
    old = old.replace(EXTRA, "").replace('markers = "sys_platform == \\"win32\\""\n', "")
    files = {"pyproject.toml": POETRY, "poetry.lock": poetry_lock(POETRY, old, TAIL, "2.0"), **package("old")}
    bare.repository.commit(files, "poetry-old")
    wanted = {"file": "poetry.lock", "extras": ["fast"], "groups": ["server"]}
    bare(APP_OF | {"requirements": wanted}).deploy(SERVER, "--revision", "poetry-old")
    assert (site()["says"], installed()) == ("old", locked("idna", "six", "sniffio") | OWN)


@pytest.mark.long
def test_a_lock_of_poetry_that_is_older_than_its_project_is_refused(bare: Declared) -> None:
    lock = poetry_lock(POETRY, POETRY_PACKAGES, TAIL)
    files = {"pyproject.toml": POETRY.replace('six = {version = "*"', 'six = {version = ">1"'), "poetry.lock": lock}
    bare.repository.commit({**files, **package("stale")}, "poetry-stale")
    answer = bare(APP_OF | {"requirements": "poetry.lock"})("deploy", SERVER, "--json", "--revision", "poetry-stale")
    assert "poetry.lock cannot be installed: pyproject.toml changed significantly" in refused(answer)


@pytest.mark.long
def test_a_project_of_pdm_is_installed_from_its_lock_with_what_is_named(bare: Declared) -> None:
    lock = pdm_lock(PDM, PDM_PACKAGES, ("dev", "fast", "server"))
    bare.repository.commit({"pyproject.toml": PDM, "pdm.lock": lock, **package("pdm")}, "pdm")
    bare(APP_OF | {"requirements": "pdm.lock"}).deploy(SERVER, "--revision", "pdm")
    assert (site()["says"], installed()) == ("pdm", locked("idna") | OWN)
    wanted = {"file": "pdm.lock", "extras": ["fast"], "groups": ["server"]}
    bare(APP_OF | {"requirements": wanted}).deploy(SERVER, "--revision", "pdm")
    assert installed() == locked("idna", "six", "sniffio") | OWN


def test_a_list_without_a_lock_keeps_its_versions_until_it_is_upgraded(bare: Declared) -> None:
    def commit(requirements: str, word: str) -> None:
        files = {"requirements.txt": requirements, "shop/__init__.py": "", "shop/main.py": MAIN.replace("WORD", word)}
        bare.repository.commit(files, "open")

    controller = bare(APP_OF)
    commit("idna==3.4\n", "pinned")
    controller.deploy(SERVER, "--revision", "open")
    commit("idna\n", "open")
    answer = controller("deploy", SERVER, "--revision", "open")
    assert "no lock pins all versions of requirements.txt: those of the release before were kept" in answer.stdout
    assert (site()["says"], installed()) == ("open", locked("idna"))
    assert not controller.deploy(SERVER, "--revision", "open").changed(SERVER)
    controller.deploy(SERVER, "--revision", "open", "--upgrade")
    newest = installed()["idna"]
    assert newest != FILES["idna"][0]
    commit("idna\nsix\n", "more")
    controller.deploy(SERVER, "--revision", "open")
    assert (site()["says"], installed()["idna"]) == ("more", newest)
    rows = controller("releases", SERVER, "--packages", "--json").document["hosts"][SERVER]["releases"]
    assert [f"idna=={newest}" in row["packages"] for row in rows][-2:] == [True, True]
    assert f"idna=={FILES['idna'][0]}" in controller("releases", SERVER, "--packages").stdout


UV = """\
[project]
name = "shop"
version = "1"
requires-python = ">=3.11"
dependencies = ["idna==3.4"]

[project.optional-dependencies]
fast = ["six==1.16.0"]

[dependency-groups]
server = ["sniffio==1.3.0"]
dev = ["iniconfig==2.0.0"]
"""


def uv_lock(export: str = "") -> str:
    """The project's uv.lock, or what uv exports of it with these options."""
    encoded = base64.b64encode(UV.encode()).decode()
    return shell(
        SERVER,
        f"work=$(mktemp -d) && cd $work && echo {encoded} | base64 -d >pyproject.toml && export UV_SYSTEM_CERTS=1 && uv=$(echo /opt/uv/*/bin/uv)"
        " && $uv lock --quiet --no-cache --python /opt/pyenv/versions/3.13.5/bin/python && "
        f"{f'$uv export --quiet {export}' if export else 'cat uv.lock'} && rm -r $work",
    )


def test_a_pylock_is_installed_with_its_versions(bare: Declared) -> None:
    lock = uv_lock("--no-dev --format pylock.toml")
    files = {"pylock.toml": lock, "shop/__init__.py": "", "shop/main.py": MAIN.replace("WORD", "pylock")}
    bare.repository.commit(files, "pylock")
    bare(APP_OF | {"requirements": "pylock.toml"}).deploy(SERVER, "--revision", "pylock")
    assert (site()["says"], installed()) == ("pylock", locked("idna"))


@pytest.mark.long
@pytest.mark.parametrize("file", ["uv.lock", "pyproject.toml"])
def test_extras_and_groups_of_a_project_are_installed_where_they_are_named(bare: Declared, file: str) -> None:
    files = {"pyproject.toml": UV, "shop/__init__.py": "", "shop/main.py": MAIN.replace("WORD", file)}
    bare.repository.commit(files | {"uv.lock": uv_lock()}, "uv")
    wanted = {"file": file, "extras": ["fast"], "groups": ["server"]}
    bare(APP_OF | {"requirements": wanted}).deploy(SERVER, "--revision", "uv")
    assert (site()["says"], installed()) == (file, locked("idna", "six", "sniffio"))


@pytest.mark.long
def test_a_bare_src_is_refused_in_the_plan_and_found_with_what_the_plan_says(bare: Declared) -> None:
    bare.repository.commit({"requirements.txt": "idna==3.4\n", **package("src")}, "src")
    error = refused(bare(APP_OF)("deploy", SERVER, "--json", "--revision", "src"))
    assert "set the app's environment to {PYTHONPATH: src}" in error
    bare(APP_OF | {"environment": {"PYTHONPATH": "src"}}).deploy(SERVER, "--revision", "src")
    assert (site()["says"], installed()) == ("src", locked("idna"))
    assert "/releases/" in str(site()["from"])


@pytest.mark.long
def test_an_editable_line_installs_the_commit_itself(bare: Declared) -> None:
    project = POETRY.replace('inner = {path = "libs/inner", develop = true}\n', "")
    for word in ("first", "second"):
        files = {"requirements.txt": "-e .\n", "pyproject.toml": project, **package(word)}
        bare.repository.commit(files, word)
        bare(APP_OF | {"requirements": "requirements.txt"}).deploy(SERVER, "--revision", word)
        assert (site()["says"], installed()["shop"]) == (word, "0.1.0")


@pytest.mark.long
def test_a_lock_of_poetry_may_name_a_private_index_and_a_private_repository(bare: Declared, tmp_path: Path) -> None:
    library, password = Repository.create(f"packaging-{SERVER}", tmp_path / "tree"), token_hex(16)
    commit = library.commit({"pyproject.toml": INNER.replace("inner", "fromgit"), "fromgit/__init__.py": ""})
    (tmp_path / "served").mkdir()
    library.path.rename(tmp_path / "served/fromgit.git")
    with serving(password, tls=True) as index, serving_git(tmp_path / "served", password) as repositories:
        address, git = f"{index.place}/simple", f"{repositories}/fromgit.git"
        project = (
            '[tool.poetry]\npackage-mode = false\n[tool.poetry.dependencies]\npython = "^3.11"\nidna = "*"\n'
            f'{PACKAGE} = {{version = "*", source = "private"}}\nfromgit = {{git = "{git}"}}\n'
            f'[[tool.poetry.source]]\nname = "private"\nurl = "{address}"\npriority = "supplemental"\n'
        )
        file = f'{{file = "{WHEEL}", hash = "sha256:{index.digest}"}}'
        packages = (
            poetry_sourced(
                "fromgit",
                "0.1",
                "",
                f'type = "git"\nurl = "{git}"\nreference = "HEAD"\nresolved_reference = "{commit}"\n',
            )
            + poetry_package("idna")
            + poetry_sourced(PACKAGE, "1.0", file, f'type = "legacy"\nurl = "{address}"\nreference = "private"\n')
        )
        files = {"pyproject.toml": project, "poetry.lock": poetry_lock(project, packages)}
        site_files = {"shop/__init__.py": "", "shop/main.py": MAIN.replace("WORD", "private")}
        bare.repository.commit(files | site_files, "private")
        (tmp_path / "netrc").write_text(f"machine {urlsplit(index.place).hostname} login {USER} password {password}\n")
        app = APP_OF | {"requirements": "poetry.lock", "netrc": str(tmp_path / "netrc")}
        mirrors = lab_values().get("mirrors", {}) | {"ca_bundle": str(LAB / "acme-api-ca.pem")}
        answer = bare(app, mirrors=mirrors).deploy(SERVER, "--revision", "private")
    found = site()["installed"]
    assert isinstance(found, dict)
    assert {name: found.get(name) for name in ("idna", PACKAGE, "fromgit")} == {
        "idna": "3.4",
        PACKAGE: "1.0",
        "fromgit": "0.1",
    }
    assert WHEEL in index.asked
    assert password not in answer.stdout + answer.stderr
