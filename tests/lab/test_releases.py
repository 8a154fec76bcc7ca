"""Releases under load: no request fails, a broken release never has the traffic, and a rollback takes a moment."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision import lab
from tests.lab import probe_app, steps
from tests.lab.bad_days import BadDays
from tests.lab.conftest import https, shell
from tests.lab.interruptions import Interruptions
from tests.lab.load import load
from tests.lab.probe_site import ADDRESS, DOMAIN, SERVER, Site, make
from tests.lab.releases import Deploys, Processes, Switches
from tests.lab.resisting import Resisting


@pytest.fixture(scope="module")
def site(pythons: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from make("systemd", tmp_path_factory.mktemp("probe"), pythons)


class TestDeploys(Deploys):
    pass


class TestSwitches(Switches):
    pass


class TestProcesses(Processes):
    pass


class TestBadDays(BadDays):
    pass


class TestResisting(Resisting):
    pass


class TestInterruptions(Interruptions):
    pass


@pytest.mark.parametrize(
    ("breaks", "said"),
    [("import", "cannot be imported: ImportError: broken on purpose"), ("requirement", "no-such-package-anywhere")],
)
def test_a_release_that_cannot_be_prepared_is_not_begun(site: Site, breaks: str, said: str) -> None:
    before, slot = site.serving(), site.slot()
    site.repository.commit(probe_app.files(breaks, note=breaks), "broken")
    with load(ADDRESS, DOMAIN, 60) as seen:
        answer = site.controller("deploy", SERVER, "--revision", "broken", "--json")
    assert answer.status == 1
    assert said in answer.host(SERVER)["error"]
    assert {commit for _, commit in seen.answers} == {before}
    assert (seen.failed, seen.failures[:3]) == (0, [])
    assert (site.slot(), site.running()) == (slot, [slot])
    site.starts_again(before)


def test_a_failing_migration_stops_the_deploy_with_nothing_switched(site: Site) -> None:
    before = site.serving()
    failing = site.with_text(site.text.replace("migrate: false", 'migrate: "echo no such table; false"'))
    answer = failing("deploy", "--revision", "one", "--json")
    site.with_text(site.text.replace('migrate: "echo no such table; false"', "migrate: false"))
    assert answer.status == 1
    assert "the migration failed" in answer.host(SERVER)["error"]
    assert site.serving() == before


SHARED = "/srv/probe/shared/migrations"
WAIT = f'timeout 100 sh -c "until [ -e {SHARED}-go ]; do sleep 0.1; done"'
SLOW_MIGRATION = f"migrate: 'echo begun >>{SHARED}; {WAIT} && echo done >>{SHARED}'"


@pytest.fixture
def migrating(site: Site) -> Iterator[Site]:
    """The site with a migration that does not end before let_migrate is called."""
    text = site.text
    shell(SERVER, f"rm -f {SHARED} {SHARED}-go")
    yield site.with_text(text.replace("migrate: false", SLOW_MIGRATION))
    site.with_text(text).deploy("--revision", "one")


def migrations() -> list[str]:
    """The lines that migrations have written so far."""
    return lab.shell(SERVER, f"cat {SHARED}").stdout.split()


def let_migrate() -> None:
    """Let migrations end."""
    shell(SERVER, f": >{SHARED}-go")


def begin_to_migrate(site: Site, revision: str) -> "subprocess.Popen[str]":
    """Start a deploy, and wait until its migration has begun."""
    process = site.controller.start("deploy", SERVER, "--revision", revision)
    deadline = time.monotonic() + 60
    while not migrations():
        assert time.monotonic() < deadline, "no migration began"
        time.sleep(0.05)
    return process


@steps.noted(SERVER)
@pytest.mark.long
def test_a_power_cut_while_a_release_is_prepared_or_migrated_leaves_the_old_one_serving(migrating: Site) -> None:
    site, before = migrating, migrating.serving()
    for change in ("release:", "venv:", "check:", "migration"):
        commit = site.repository.commit(probe_app.files(note=change, requirements=f"# {change}\n"), "cut")
        if change == "migration":
            process = begin_to_migrate(site, "cut")
        else:
            process, _ = site.held_up("cut", change, 1)
        lab.kill(SERVER)
        process.kill()
        process.communicate()
        lab.start(SERVER)
        site.wait(change, (before,))
        assert site.running() == [site.slot()], change
    assert migrations() == ["begun"]
    let_migrate()
    site.deploy("--revision", "cut")
    assert (site.serving(), site.running()) == (commit, [site.slot()])
    assert migrations() == ["begun", "begun", "done"]
    assert site.left() == []
    assert site("plan", "--revision", "cut").status == 0


@pytest.mark.long
def test_a_migration_of_a_killed_run_ends_before_the_next_one_begins(migrating: Site) -> None:
    site, (name, commit) = migrating, migrating.next()
    process = begin_to_migrate(site, name)
    steps.end_the_script(SERVER)
    process.communicate(timeout=60)
    after = site.controller.start("deploy", SERVER, "--revision", name)
    deadline = time.monotonic() + 60
    while lab.shell(SERVER, "grep -qs 'still goes on, and is waited for' /run/provision/runs/*/events").returncode:
        assert time.monotonic() < deadline, "the next migration does not wait"
        time.sleep(0.05)
    assert migrations() == ["begun"]
    let_migrate()
    assert after.wait(60) == 0
    assert migrations() == ["begun", "done"] * 2
    assert site.serving() == commit


def test_rollback_goes_to_the_good_release_before_without_a_fetch(site: Site) -> None:
    commits = [site.repository.commit(probe_app.files(note=name), name) for name in ("before", "after")]
    site.deploy("--revision", "before")
    site.deploy("--revision", "after")
    active = site("releases", "--json").document["hosts"][SERVER]["releases"]
    assert [(row["commit"], row["state"]) for row in active if row["state"] == "active"] == [(commits[1], "active")]
    begun = time.monotonic()
    back = site("rollback", "--json")
    seconds = time.monotonic() - begun
    assert back.status == 0
    assert back.changed(SERVER) == ["file:/etc/probe/env", "check:probe", "activation:probe"]
    assert site.serving() == commits[0]
    print(f"rollback, command to end: {seconds:.1f} s")
    to = next(row["id"] for row in active if row["state"] == "active")
    assert site("rollback", "--to", to).status == 0
    assert site.serving() == commits[1]
    refused = site("rollback", "--to", "nothing", "--json")
    assert (refused.status, refused.host(SERVER)["changes"]) == (1, [])
    assert "there is no release nothing on this server; there are: 20" in refused.host(SERVER)["error"]
    site.deploy("--revision", "two")


def test_deploying_what_is_active_does_nothing_and_a_changed_setting_is_a_new_activation(site: Site) -> None:
    assert site.deploy("--revision", "two").host(SERVER)["changes"] == []
    more = site.with_text(site.text.replace("workers: 2", "workers: 3"))
    assert "activation:probe" in more.deploy("--revision", "two").changed(SERVER)
    assert more("status", "--json").document["hosts"][SERVER]["status"][0]["workers"] == 3
    site.with_text(site.text.replace("workers: 3", "workers: 2")).deploy("--revision", "two")


def test_a_restart_is_the_same_release_in_the_other_slot_and_no_request_fails(site: Site) -> None:
    before, slot = site.serving(), shell(SERVER, "readlink /run/probe/current.sock")
    with load(ADDRESS, DOMAIN, 60) as seen:
        assert site("restart").status == 0
    assert (seen.failed, seen.failures[:3]) == (0, [])
    assert site.serving() == before
    assert shell(SERVER, "readlink /run/probe/current.sock") != slot


@pytest.mark.long
def test_old_releases_and_their_environments_go_and_those_in_use_stay(site: Site) -> None:
    site.with_text(site.text.replace("workers: 2", "workers: 2\n    keep_releases: 2"))
    for number in range(3):
        site.repository.commit(probe_app.files(note=f"pruned {number}"), f"prune{number}")
        site.deploy("--revision", f"prune{number}")
    kept = shell(SERVER, "ls /srv/probe/releases").split()
    used = shell(SERVER, "readlink -f /etc/probe/*/release /srv/probe/current | sort -u").split()
    assert len(kept) == 2
    assert {Path(path).name for path in used} == set(kept)
    venvs = set(shell(SERVER, "ls /srv/probe/venvs").split())
    assert venvs == {Path(path).name for path in shell(SERVER, "readlink -f /srv/probe/releases/*/.venv").split()}


@pytest.mark.long
def test_a_commit_can_be_sent_over_the_connection_where_the_server_has_no_repository(site: Site) -> None:
    text = site.text
    shell(SERVER, "rm -rf /srv/probe/repository.git")
    site.with_text(text.replace(f"source: {site.repository.url}", f"source: {{push: {site.repository.path}}}"))
    try:
        for name, commit in zip(("one", "two"), site.commits, strict=True):
            answer = site.deploy("--revision", name)
            assert "mirror:/srv/probe/repository.git" in answer.changed(SERVER)
            assert site.serving() == commit
            assert site("plan", "--revision", name).status == 0
        assert shell(SERVER, "ls -A /home/admin | grep provision || true") == "", "nothing of it is left behind"
    finally:
        site.with_text(text)
    site.deploy("--revision", "two")


def test_maintenance_answers_503_and_lasts_over_a_deploy(site: Site) -> None:
    assert site("maintenance.on").status == 0
    try:
        head = https(SERVER, "/commit", DOMAIN, "-i").stdout.lower()
        assert "503" in head.splitlines()[0]
        assert "retry-after: 120" in head
        site.deploy("--revision", "one")
        assert "503" in https(SERVER, "/commit", DOMAIN, "-i").stdout.splitlines()[0]
    finally:
        assert site("maintenance.off").status == 0
    assert https(SERVER, "/commit", DOMAIN, "-f").returncode == 0


def test_a_command_runs_in_the_active_release(site: Site) -> None:
    command = [
        *site.controller.command("run", SERVER),
        "--",
        "python",
        "-c",
        "import os; print(os.environ['PROVISION_COMMIT'], os.getcwd())",
    ]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == site.serving()
    failing = subprocess.run(
        [*site.controller.command("run", SERVER), "--", "false"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert failing.returncode == 1
