"""The sample app on a lab server, and resources that a test applies to that server directly."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from provision import lab
from provision.engine.resource import Resource
from provision.inventory import load
from provision.run import fleet
from provision.run.request import Request
from provision.run.result import Result
from provision.run.watcher import Silence
from tests.lab.conftest import ROOT, SUITE, Answer, Controller, https, seed, shell

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab1")
# Where tests put files and folders of their own.
FOLDER = "/srv/kinds"
Apply = Callable[..., Result]


@dataclass(frozen=True)
class Site:
    """The sample app on the server, pinned to one commit; `first` is the deploy to the server as it was reset."""

    controller: Controller
    commit: str
    first: Answer

    def deploy(self) -> Answer:
        """A deploy of the commit, which must succeed."""
        return self.controller.deploy(SERVER, "--revision", self.commit)

    def plan(self) -> Answer:
        """A plan for the commit."""
        return self.controller.plan(SERVER, "--revision", self.commit)


@dataclass
class Kept:
    """What the session's modules share: the inventory of the server, and the site once it is deployed."""

    controller: Controller | None = None
    site: Site | None = None

    def controller_there(self) -> Controller | None:
        """The inventory, if the server was not reset since, and has no app but the sample."""
        there = lab.shell(SERVER, f"test -e {MARK} && ls /var/lib/provision/apps")
        return self.controller if there.stdout.split() in ([], ["sample"]) and there.returncode in {0, 2} else None


KEPT = Kept()
# It is there until the server is reset.
MARK = "/root/sample-site"


@pytest.fixture(scope="module")
def server(sample: str, tmp_path_factory: pytest.TempPathFactory) -> Controller:
    """The sample app's inventory for the server, which another module of this session reset, or else this one does.

    One worker starts sooner, and is enough.
    """
    if there := KEPT.controller_there():
        return there
    path = tmp_path_factory.mktemp("sample") / "sample.yml"
    path.write_text(sample.replace("module:", "workers: 1\n    module:"))
    lab.reset(SERVER, SUITE, used=True)
    shell(SERVER, f"touch {MARK}")
    KEPT.controller, KEPT.site = Controller(path), None
    return KEPT.controller


@pytest.fixture(scope="module")
def site(server: Controller, pythons: Path) -> Site:
    """The sample app on the server, deployed by the first module that wants it, and again by the others."""
    if KEPT.site:
        KEPT.site.deploy()
        return KEPT.site
    seed(server.inventory, pythons)
    commit = subprocess.run(
        ["git", "-c", "safe.directory=*", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
    KEPT.site = Site(server, commit, server.deploy(SERVER, "--revision", commit))
    return KEPT.site


def assert_all_is_well(site: Site) -> None:
    """There is nothing to change, the site answers, and no unit has failed."""
    assert (site.plan().status, status()) == (0, "200")
    assert shell(SERVER, "systemctl list-units --failed --no-legend --plain") == ""


def status(path: str = "/") -> str:
    """The HTTP status of a path of the site; its certificate must be the ACME authority's."""
    return https(SERVER, path, "", "-o", "/dev/null", "-w", "%{http_code}").stdout


@pytest.fixture(scope="module")
def apply(server: Controller) -> Apply:
    """Applies these resources, and no others, to the server; with applies=False, only plans them."""
    found = load(server.inventory)

    def apply(*resources: Resource, applies: bool = True) -> Result:
        (result,) = fleet.run(
            Request("test", found, found.select(SERVER), lambda host, facts, wanted: resources, applies), Silence()
        )
        return result

    return apply


@pytest.fixture
def folder(server: Controller) -> str:
    """An empty folder on the server."""
    shell(SERVER, f"rm -rf {FOLDER} && mkdir {FOLDER}")
    return FOLDER


def ids(result: Result) -> list[str]:
    """The ids of the changes of a run that succeeded."""
    assert result.error is None, "\n".join((result.error, *result.output))
    return [change.id for change in result.changes]
