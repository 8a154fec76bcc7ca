"""The sandbox on a real server: what it is rated, what works in it, and how an app does without a part of it."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision import lab
from tests.lab import boxed_app
from tests.lab.conftest import LAB, Controller, https, sampled, seed, shell
from tests.lab.exposure import rating
from tests.lab.repository import Repository

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab2")
DOMAIN = f"boxed.{SERVER}.test"
UNIT = "boxed@$(readlink /etc/boxed/current).service"
# Each of them fails where the app needs what its sandbox forbids: the environment, and what the error says.
REFUSED = {
    "memory at the start": ("start", "executable memory", "", "set apps.boxed.unsandbox to the directive"),
    "memory at the import": ("import", "executable memory", "", "set apps.boxed.unsandbox to the directive"),
    "memory in a migration": ("migration", "", "", "set apps.boxed.unsandbox to the directive"),
    "memory in a hook": ("before", "", "", "set apps.boxed.unsandbox to the directive"),
    "memory in a process": ("worker", "", "", "set apps.boxed.unsandbox to the directive"),
    "SIGSYS at the start": ("start", "priority", "[SystemCallErrorNumber]", "unsandbox: [SystemCallFilter]"),
    "SIGSYS at the import": ("import", "priority", "[SystemCallErrorNumber]", "unsandbox: [SystemCallFilter]"),
}


@pytest.fixture(scope="module")
def boxed(pythons: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    """The app on a server that was reset."""
    folder = tmp_path_factory.mktemp("boxed")
    repository = Repository.create(f"boxed-{SERVER}", folder / "work")
    repository.commit(boxed_app.FILES)
    path = folder / "boxed.yml"
    path.write_text(boxed_app.INVENTORY.format(lab=LAB, url=repository.url))
    seeded = seed(path, pythons)
    lab.reset(SERVER, used=True)
    controller = Controller(path)
    controller.deploy(SERVER)
    yield controller
    repository.remove()
    shutil.rmtree(seeded)


def answer(path: str) -> object:
    """What the app answers over HTTPS."""
    said = https(SERVER, path, DOMAIN)
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)


def sees(name: str) -> dict[str, object]:
    """What a command of the app saw around it."""
    found: dict[str, object] = json.loads(shell(SERVER, f"cat /srv/boxed/shared/{name}.json"))
    return found


def test_numpy_uvloop_and_an_apps_own_workers_work_in_it(boxed: Controller) -> None:
    assert (answer("/loop"), answer("/pool"), answer("/numpy")) == ("uvloop", 30, 150.0)


def rated_build(controller: Controller) -> float:
    """The exposure level of a build, which is then stopped."""
    text = controller.inventory.read_text().replace("module:", "requirements: requirements-slow.txt\n    module:")
    building = controller.with_text(text, "slow").start("deploy", SERVER)
    unit = "provision-build-boxed.service"
    try:
        begun = lab.shell(SERVER, f"timeout 60 sh -c 'until systemctl is-active -q {unit}; do sleep 0.2; done'")
        assert begun.returncode == 0, building.communicate(timeout=60)
        return rating(SERVER, unit)
    finally:
        lab.shell(SERVER, f"systemctl stop {unit}")
        building.communicate(timeout=60)


def test_all_that_runs_for_an_app_is_rated_1_5_or_lower(boxed: Controller) -> None:
    ratings = {unit: rating(SERVER, unit) for unit in (UNIT, "boxed-worker.service", "boxed-tick.service")}
    running = boxed.start("run", SERVER, "--command", "sleep 20")
    try:
        unit = shell(
            SERVER, "until systemctl list-units --plain --no-legend 'run-*.service' | grep . ; do sleep 0.2; done"
        )
        ratings["run"] = rating(SERVER, unit.split()[0])
    finally:
        running.kill()
        running.communicate()
    ratings["build"] = rated_build(boxed)
    print(ratings)
    assert max(ratings.values()) <= 1.5, ratings


def test_hooks_migrations_schedules_processes_and_run_see_the_same(boxed: Controller) -> None:
    shell(SERVER, "echo secret >/dev/shm/ours; echo secret >/tmp/ours; systemctl start boxed-tick")
    ran = boxed("run", SERVER, "--command", "python sees.py run")
    assert ran.status == 0, ran.stdout + ran.stderr
    boxed("restart", SERVER)
    release = shell(SERVER, "basename $(readlink /srv/boxed/current)")
    for name in ("migration", "before", "after", "worker", "tick", "run"):
        assert sees(name) == {
            "seccomp": "2",
            "capabilities": "",
            "new privileges": False,
            "others": [],
            "shared memory": [],
            "temporary files": [],
            "umask": "0o77",
            "writes": [],
            "shared": True,
            "mark": "first",
            "release": release,
        }, name
    for unit in (UNIT, "boxed-worker"):
        limits = shell(SERVER, f"systemctl show -p TasksMax -p MemoryMax {unit}").splitlines()
        assert "TasksMax=1024" in limits
        assert "MemoryMax=infinity" not in limits


@pytest.mark.parametrize(("when", "needs", "unsandbox", "says"), sampled(list(REFUSED.values()), 4), ids=REFUSED)
def test_an_error_says_which_key_to_set_and_the_active_release_keeps_its_environment(
    boxed: Controller, when: str, needs: str, unsandbox: str, says: str
) -> None:
    text = boxed.inventory.read_text()
    with_needs = text.replace("{MARK: first}", f"{{MARK: second, NEEDS: '{needs}', WHEN: {when}}}")
    if unsandbox:
        with_needs += f"    unsandbox: {unsandbox}\n"
    refused = boxed.with_text(with_needs, "refused")("deploy", SERVER, "--json")
    error = refused.host(SERVER)["error"]
    assert refused.status == 1
    assert says in error, error
    assert "second" in shell(SERVER, "grep MARK /etc/boxed/env")
    said = boxed("run", SERVER, "--command", "printenv MARK")
    assert said.stdout.splitlines() == ["first"], said.stderr


@pytest.mark.long
def test_an_app_that_does_without_a_directive_gets_what_that_forbids(boxed: Controller) -> None:
    text = boxed.inventory.read_text()
    for needs, directive in (("executable memory", "MemoryDenyWriteExecute"), ("priority", "SystemCallFilter")):
        more = text.replace("{MARK: first}", f"{{MARK: first, NEEDS: {needs}, WHEN: start}}")
        boxed.with_text(f"{more}    unsandbox: [{directive}]\n", "free").deploy(SERVER)
        assert answer("/health") == "ok"
    boxed.deploy(SERVER)
