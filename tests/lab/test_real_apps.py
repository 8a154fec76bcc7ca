"""Apps that are packaged as real ones are, each through its life: first deploy, a changed line, a changed lock, a migration, rollback, removal."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from provision import lab
from tests.lab.conftest import SUITE, Controller, https, seed, shell
from tests.lab.real_apps import APPS, UNLOCKED, RealApp, Tools
from tests.lab.refusals import APP, DOMAIN, SERVER, Declared, refused
from tests.lab.repository import Repository

OLD, NEW = "3.4", "3.7"
pytestmark = pytest.mark.skipif(SUITE != "bookworm", reason="one of the apps wants Debian 12's own Python 3.11")


@dataclass
class Life:
    """An app from its first commit on; `word` and `idna` are what its newest commit says and has locked."""

    app: RealApp
    repository: Repository
    declared: Declared
    tools: Callable[[], Tools]
    words: dict[str, str]
    own: dict[str, Any]
    top: dict[str, Any]
    word: str = "first"
    idna: str = OLD
    migrated: bool = False
    locks: dict[str, dict[str, str]] = field(default_factory=dict)

    def commit(self) -> None:
        """Commit what the app is now, with the lock that its author makes for it."""
        files = {**self.app.files, **(self.app.migration if self.migrated else {})}
        files[self.app.main] = files[self.app.main].replace('"first"', f'"{self.word}"')
        for old, new in {"IDNA": self.idna, **self.words}.items():
            files = {name: text.replace(old, new) for name, text in files.items()}
        if self.app.lock and self.idna not in self.locks:
            self.locks[self.idna] = self.app.lock(self.tools(), files)
        self.repository.commit(files | self.locks.get(self.idna, {}))

    def controller(self, **top: Any) -> Controller:
        """The app's inventory."""
        source = {"repository": self.repository.url, "folder": self.app.folder}
        return self.declared(
            {**self.app.inventory, **self.own, "source": source}, **{**self.app.top, **self.top, **top}
        )

    def deploy(self) -> list[str]:
        """Deploy the newest commit; the changes."""
        return self.controller().deploy(SERVER).changed(SERVER)

    def serves(self) -> None:
        """Its site says what the newest commit does, and all else that it always says."""
        says = {"/version": f'"{self.word}"', "/locked": f'"{self.idna}"', **self.app.says}
        assert {path: ask(path) for path in says} == says


def ask(path: str, *options: str) -> str:
    """What the site answers over HTTPS."""
    return https(SERVER, path, DOMAIN, *options).stdout


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Tools]:
    """What authors make locks with, installed when it is first asked for."""
    made: list[Tools] = []

    def get() -> Tools:
        if not made:
            made.append(Tools.installed(tmp_path_factory.mktemp("tools")))
        return made[0]

    return get


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=() if app is UNLOCKED else pytest.mark.long) for name, app in APPS.items()],
)
def life(
    request: pytest.FixtureRequest,
    tools: Callable[[], Tools],
    pythons: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Life]:
    """An app whose first commit is there, and a server that was bare."""
    app, folder = APPS[request.param], tmp_path_factory.mktemp("real")
    repository = Repository.create(f"real-{SERVER}", folder / "tree")
    with app.around(tmp_path_factory.mktemp("around")) as (words, own, top):
        made = Life(app, repository, Declared(folder, repository), tools, words, own, top)
        made.commit()
        seed(made.controller().inventory, pythons)
        lab.reset(SERVER, SUITE, used=True)
        yield made
    repository.remove()


def test_it_is_served_by_its_inventory_alone(life: Life) -> None:
    if life.app.lacks:
        without = life.controller(packages=[])
        plan = without.plan(SERVER).host(SERVER)["notes"]
        assert any("where the server has no compiler, add packages: [build-essential]" in note for note in plan), plan
        assert life.app.lacks in refused(without("deploy", SERVER, "--json"))
    life.deploy()
    life.serves()
    again = life.controller()("deploy", SERVER, "--json").host(SERVER)
    assert (again["changed"], again["execs"]) == (0, 2)


@pytest.mark.long
def test_a_changed_line_is_what_serves(life: Life) -> None:
    life.word = "second"
    life.commit()
    assert f"activation:{APP}" in life.deploy()
    life.serves()


@pytest.mark.long
def test_a_changed_lock_is_what_serves(life: Life) -> None:
    life.idna = NEW
    life.commit()
    life.deploy()
    life.serves()


@pytest.mark.long
def test_a_queue_is_worked_off_and_a_schedule_runs(life: Life) -> None:
    if "processes" not in life.app.inventory:
        pytest.skip("the app has no worker")
    assert ask("/jobs", "-X", "POST").isdigit()
    deadline = time.monotonic() + 20
    while '"done":1' not in (counts := ask("/counts")) or '"scheduled":0' in counts:
        assert time.monotonic() < deadline, counts
        time.sleep(0.5)


@pytest.mark.long
def test_a_migration_is_run_and_a_rollback_keeps_what_it_made(life: Life) -> None:
    if not life.app.migration:
        pytest.skip("the app has no database")
    life.word, life.migrated = "third", True
    life.commit()
    assert f"migration:{APP}" in life.deploy()
    life.serves()
    assert ask("/noted") == "1"
    answer = life.controller()("rollback", SERVER, "--json")
    assert answer.status == 0, answer.stdout + answer.stderr
    assert (ask("/version"), ask("/locked"), ask("/visits")) == ('"second"', f'"{NEW}"', "1")
    life.deploy()
    life.serves()
    assert ask("/noted") == "1"


@pytest.mark.long
def test_a_rollback_serves_what_the_release_before_had(life: Life) -> None:
    answer = life.controller()("rollback", SERVER, "--json")
    assert answer.status == 0, answer.stdout + answer.stderr
    assert ask("/version") == '"second"'
    assert ask("/locked") == f'"{NEW if life.migrated else OLD}"'
    assert life.controller().plan(SERVER).status == 2, "the inventory still wants the newest commit"


@pytest.mark.long
def test_it_can_be_removed_with_all_that_it_had(life: Life) -> None:
    words = ("remove", SERVER, "--app", APP, "--with-data", APP, "--yes", "--json")
    answer = life.controller()(*words)
    assert answer.status == 0, answer.stdout + answer.stderr
    assert https(SERVER, "/version", DOMAIN).returncode != 0
    left = shell(SERVER, f"ls -d /srv/{APP} /etc/{APP} /run/{APP} /var/lib/provision/apps/{APP} 2>/dev/null || true")
    users = shell(SERVER, f"getent passwd {APP} {APP}-build || true")
    units = shell(SERVER, f"systemctl list-units --all --no-legend --plain '{APP}*' 'provision-redis@*'")
    assert (left, users, units) == ("", "", "")
