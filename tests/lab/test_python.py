"""The distribution's Python: a server without pyenv, changing to pyenv's Python and back, and an unsuitable Python."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from provision import lab
from provision.controller import python_cache
from provision.inventory import load as load_inventory
from tests.lab import probe_app
from tests.lab.conftest import LAB, Answer, Controller, https, sampled, seed, shell
from tests.lab.load import load
from tests.lab.repository import Repository

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab2")
SUITE = os.environ.get("PROVISION_SUITE", "bookworm")
ADDRESS = f"10.213.0.{10 + int(SERVER.removeprefix('lab'))}"
DOMAIN = f"probe.{SERVER}.test"
UNIT = "probe@$(basename $(readlink /run/probe/current.sock) .sock)"
VENV = "/srv/probe/current/.venv"
PICKY = """
import sys
if sys.base_prefix != "/usr":
    raise ImportError("no other Python")
"""
PROJECT = '[project]\nname = "probe"\nversion = "1"\nrequires-python = "{}"\n'


@dataclass(frozen=True)
class Site:
    """The probe app, which allows Python 3.9 to 3.13, on a server that was bare; `first` is that deploy."""

    controller: Controller
    commit: str
    first: Answer

    def with_python(self, version: str) -> Controller:
        text = self.controller.inventory.read_text()
        old = next(line for line in text.splitlines() if "python:" in line)
        return self.controller.with_text(text.replace(old, f"    python: {version}"))


@pytest.fixture(scope="module")
def site(pythons: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("python")
    repository = Repository.create(f"probe-python-{SERVER}", folder / "work")
    commit = repository.commit(probe_app.files() | {"pyproject.toml": PROJECT.format(">=3.9,<3.14")})
    repository.commit({"pyproject.toml": PROJECT.format(">=3.14")}, "newer")
    repository.commit({"probe.py": probe_app.files()["probe.py"] + PICKY}, "picky")
    repository.commit({"pyproject.toml": PROJECT.format(">=3.11,<3.13")}, "older")
    repository.commit({"pyproject.toml": PROJECT.format(">=3.13.5,<3.13.6")}, "exact")
    repository.commit({".python-version": "3.12\n"}, "asking")
    repository.commit({".python-version": "3.13.5\n", "pyproject.toml": PROJECT.format(">=3.12")}, "hinting")
    path = folder / "python.yml"
    text = probe_app.INVENTORY.format(
        lab=LAB, url=repository.url, batch=1, migrate="false", memory="300M", manager="systemd"
    )
    path.write_text(text.replace("workers: 2", "workers: 1\n    python: system"))
    seed(path, pythons)
    lab.reset(SERVER, SUITE)
    controller = Controller(path)
    yield Site(controller, commit, controller.deploy(SERVER))
    repository.remove()


def runs() -> tuple[str, str]:
    """The program of the serving process, and the folder of the active release's environment."""
    program = shell(SERVER, f"readlink /proc/$(systemctl show -p MainPID --value {UNIT})/exe")
    return program, shell(SERVER, f"readlink -f {VENV}")


def test_a_bare_server_gets_the_distributions_python_and_nothing_of_pyenv(site: Site) -> None:
    changed = site.first.changed(SERVER)
    assert "packages:python" in changed
    assert not [one for one in changed if one.startswith(("pyenv:", "python:", "packages:build", "packages:libraries"))]
    shell(SERVER, "test ! -e /opt/pyenv && ! command -v gcc")
    assert https(SERVER, "/commit", DOMAIN).stdout.strip('"') == site.commit
    assert runs()[0] == shell(SERVER, "readlink -f /usr/bin/python3")
    assert site.controller.plan(SERVER).status == 0
    assert site.controller("verify", SERVER, "--only", "python or answers").status == 0


@pytest.mark.long
def test_a_deploy_goes_over_to_pyenvs_python_and_back_and_no_request_fails(site: Site) -> None:
    system, first = runs()
    with load(ADDRESS, DOMAIN, 120) as seen:
        over = site.with_python('"3.13.5"').deploy(SERVER)
        assert {"python:3.13.5", "venv:probe", "check:probe", "activation:probe"} <= set(over.changed(SERVER))
        assert not {"packages:python", "uv:0.13.9", "release:probe"} & set(over.changed(SERVER))
        program, second = runs()
        assert program == "/opt/pyenv/versions/3.13.5/bin/python3.13"
        assert second != first
        assert site.controller.plan(SERVER).status == 0
        back = site.with_python("system").deploy(SERVER)
        assert back.changed(SERVER) == ["venv:probe", "check:probe", "activation:probe"]
    assert runs() == (system, first)
    assert site.controller.plan(SERVER).status == 0
    assert (seen.failed, seen.failures[:3]) == (0, [])
    assert {commit for _, commit in seen.answers} == {site.commit}
    print(f"{seen.requests} requests, none failed")


def test_what_a_server_offers_unasked_is_not_looked_at(site: Site) -> None:
    inventory = load_inventory(site.controller.inventory)

    def kept() -> list[tuple[str, int]]:
        return sorted((path.name, path.stat().st_size) for path in python_cache.location(inventory).iterdir())

    lock = python_cache.lock(inventory)
    before, pinned = kept(), lock.read_text()
    names = "3.13.5 3.12.1 3.13.5-debian12-x86_64 ..-other"
    shell(
        SERVER,
        "mkdir -p /var/lib/provision/outbox && cd /var/lib/provision/outbox && "
        f'for name in {names}; do echo evil >"$name.tar.gz"; echo \'0 5 -oDebug::NoLocking=1\' >"$name.tar.gz.about"; done',
    )
    try:
        site.with_python("system").deploy(SERVER)
    finally:
        shell(SERVER, "rm -r /var/lib/provision/outbox")
    assert (kept(), lock.read_text()) == (before, pinned)


@pytest.mark.parametrize("version", sampled(["system", "3.13.5"]))
def test_a_python_that_the_app_does_not_allow_is_refused_and_nothing_is_switched(site: Site, version: str) -> None:
    before = shell(SERVER, "ls /srv/probe/releases /srv/probe/venvs; readlink /run/probe/current.sock")
    answer = site.with_python(json.dumps(version))("deploy", SERVER, "--revision", "newer", "--json")
    site.with_python("system")
    if version == "system":
        found = shell(SERVER, "/usr/bin/python3 -c 'import platform; print(platform.python_version())'")
        distribution = shell(SERVER, '. /etc/os-release; echo "$ID $VERSION_ID"')
        whose = f"{distribution}'s is {found}"
    else:
        whose = "the inventory's is 3.13.5"
    assert answer.status == 1
    assert answer.host(SERVER)["error"] == (
        f"probe: pyproject.toml wants Python >=3.14 (requires-python), and {whose}: "
        "set the app's python to a full version that it allows"
    )
    assert shell(SERVER, "ls /srv/probe/releases /srv/probe/venvs; readlink /run/probe/current.sock") == before


@pytest.mark.parametrize(
    ("branch", "said"),
    [
        ("older", 'Python 3.12.13: requires-python ">=3.11,<3.13" of pyproject.toml, the newest that pyenv knows'),
        pytest.param("asking", "Python 3.12.13: .python-version says 3.12", marks=pytest.mark.long),
    ],
)
def test_a_plan_says_which_python_a_commit_leads_to_and_why(site: Site, branch: str, said: str) -> None:
    answer = site.with_python("auto").plan(SERVER, "--revision", branch)
    site.with_python("system")
    assert "python:3.12.13" in answer.changed(SERVER)
    assert f"probe: {said}" in answer.host(SERVER)["notes"]


@pytest.mark.long
def test_a_commit_chooses_its_python_which_then_stays_as_long_as_it_is_allowed(site: Site) -> None:
    open_ = site.with_python("auto")
    try:
        first = open_.deploy(SERVER, "--revision", "exact")
        assert 'requires-python ">=3.13.5,<3.13.6" of pyproject.toml' in str(first.host(SERVER)["notes"])
        assert runs()[0] == "/opt/pyenv/versions/3.13.5/bin/python3.13"
        again = open_.deploy(SERVER, "--revision", "exact").host(SERVER)
        assert (again["changed"], again["execs"]) == (0, 2)
        assert open_("verify", SERVER, "--only", "python or answers").status == 0
        newer = open_.deploy(SERVER, "--revision", "hinting")
        assert "probe: Python 3.13.5: .python-version" in newer.host(SERVER)["notes"]
        assert "python:3.13.5" not in newer.changed(SERVER)
        main = open_.plan(SERVER)
        said = 'probe: Python 3.13.5: it serves, and requires-python ">=3.9,<3.14" of pyproject.toml allows it'
        assert said in main.host(SERVER)["notes"]
        away = open_.plan(SERVER, "--revision", "older")
        assert "python:3.12.13" in away.changed(SERVER)
    finally:
        site.with_python("system").deploy(SERVER)
    assert site.controller.plan(SERVER).status == 0


@pytest.mark.long
def test_an_app_that_fails_with_another_python_goes_on_with_its_own_over_a_restart(site: Site) -> None:
    site.with_python("system").deploy(SERVER, "--revision", "picky")
    before, serving = runs(), https(SERVER, "/commit", DOMAIN).stdout
    answer = site.with_python('"3.13.5"')("deploy", SERVER, "--revision", "picky", "--json")
    assert answer.status == 1
    assert answer.host(SERVER)["error"] == "probe: probe:app cannot be imported: ImportError: no other Python"
    shell(SERVER, f"systemctl restart {UNIT}")
    assert (runs()[0], https(SERVER, "/commit", DOMAIN).stdout) == (before[0], serving)
    site.with_python("system").deploy(SERVER, "--revision", "picky")
    assert runs() == before
    assert site.controller.plan(SERVER, "--revision", "picky").status == 0
