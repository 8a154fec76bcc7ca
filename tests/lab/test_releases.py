"""Releases under load: no request fails, a broken release never has traffic, and going back takes a moment."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision import lab
from tests.lab import pulse
from tests.lab.conftest import LAB, Controller, https, seed, shell
from tests.lab.load import load
from tests.lab.repository import Repository

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab3")
DOMAIN = f"pulse.{SERVER}.test"
ADDRESS = f"10.213.0.{10 + int(SERVER.removeprefix('lab'))}"
DEPLOYS = 20


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    made = Repository.create(f"pulse-{SERVER}", tmp_path_factory.mktemp("pulse") / "work")
    yield made
    made.remove()


@pytest.fixture(scope="module")
def commits(repository: Repository) -> tuple[str, str]:
    """Two good commits, on the branches one and two."""
    first = repository.commit(pulse.files(note="base"))
    return (
        repository.commit(pulse.files(note="one"), "one") or first,
        repository.commit(pulse.files(note="two"), "two"),
    )


@pytest.fixture(scope="module")
def site(
    repository: Repository, commits: tuple[str, str], pythons: Path, tmp_path_factory: pytest.TempPathFactory
) -> Controller:
    """The app on a bare server, at the branch one."""
    path = tmp_path_factory.mktemp("pulse") / "pulse.yml"
    path.write_text(pulse.INVENTORY.format(lab=LAB, url=repository.url, batch=1, migrate="false", memory="300M"))
    seed(path, pythons)
    lab.reset(SERVER)
    controller = Controller(path)
    controller.deploy(SERVER, "--revision", "one")
    return controller


def serving() -> str:
    return https(SERVER, "/commit", DOMAIN).stdout.strip('"')


def test_no_request_fails_over_twenty_deploys_under_load(site: Controller, commits: tuple[str, str]) -> None:
    with load(ADDRESS, DOMAIN, 300) as seen:
        for number in range(DEPLOYS):
            answer = site.deploy(SERVER, "--revision", ("two", "one")[number % 2])
            switched = time.monotonic()
            assert answer.host(SERVER)["status"] == "changed"
            time.sleep(0.3)
            late = {commit for when, commit in seen.answers if when > switched}
            assert late == {commits[(1, 0)[number % 2]]}, "an old answer after the end of the switch"
        time.sleep(1)
    assert (seen.failed, seen.failures[:3]) == (0, [])
    assert seen.order() == [commits[0], *(commits[(1, 0)[number % 2]] for number in range(DEPLOYS))]
    assert seen.requests >= 20_000
    print(f"{seen.requests} requests over {DEPLOYS} deploys, none failed; p99 {seen.p99}")


def test_a_slow_request_from_before_the_switch_is_answered(site: Controller, commits: tuple[str, str]) -> None:
    before = serving()
    slow = threading.Thread(target=lambda: answers.append(https(SERVER, "/slow?seconds=5", DOMAIN)))
    answers: list[subprocess.CompletedProcess[str]] = []
    slow.start()
    time.sleep(0.5)
    site.deploy(SERVER, "--revision", "two")
    slow.join()
    assert (answers[0].returncode, answers[0].stdout.strip('"')) == (0, before)
    assert serving() == commits[1]


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        ("import", "cannot be imported: ImportError: broken on purpose"),
        ("start", "was not healthy within 10s"),
        ("unhealthy", "was not healthy within 10s (/health answered 503)"),
        ("hang", "was not healthy within 10s"),
        ("requirement", "no-such-package-anywhere"),
        ("memory", "within 10s"),
    ],
)
def test_a_broken_release_never_has_traffic(site: Controller, repository: Repository, breaks: str, said: str) -> None:
    before, slot = serving(), shell(SERVER, "readlink /run/pulse/current.sock")
    repository.commit(pulse.files(breaks, note=breaks), "broken")
    with load(ADDRESS, DOMAIN, 60) as seen:
        answer = site("deploy", SERVER, "--revision", "broken", "--json")
    assert answer.status == 1
    assert said in answer.host(SERVER)["error"]
    assert {commit for _, commit in seen.answers} == {before}
    assert (seen.failed, seen.failures[:3]) == (0, [])
    assert shell(SERVER, "readlink /run/pulse/current.sock") == slot
    assert shell(SERVER, "systemctl is-active pulse@blue pulse@green || true").split().count("active") == 1
    assert shell(SERVER, "systemctl is-failed pulse@blue pulse@green || true").split().count("failed") == 0


def test_a_failing_migration_stops_the_deploy_with_nothing_switched(site: Controller) -> None:
    before = serving()
    failing = site.with_text(
        site.inventory.read_text().replace("migrate: false", 'migrate: "echo no such table; false"'), "pulse"
    )
    answer = failing("deploy", SERVER, "--revision", "one", "--json")
    site.with_text(
        site.inventory.read_text().replace('migrate: "echo no such table; false"', "migrate: false"), "pulse"
    )
    assert answer.status == 1
    assert "the migration failed" in answer.host(SERVER)["error"]
    assert serving() == before


def test_rollback_goes_to_the_good_release_before_without_a_fetch(site: Controller, commits: tuple[str, str]) -> None:
    site.deploy(SERVER, "--revision", "one")
    site.deploy(SERVER, "--revision", "two")
    active = site("releases", SERVER, "--json").document["hosts"][SERVER]["releases"]
    assert [(row["commit"], row["state"]) for row in active if row["state"] == "active"] == [(commits[1], "active")]
    begun = time.monotonic()
    back = site("rollback", SERVER, "--json")
    seconds = time.monotonic() - begun
    assert back.status == 0
    assert back.changed(SERVER) == ["file:/etc/pulse/env", "check:pulse", "activation:pulse"]
    assert serving() == commits[0]
    print(f"rollback, command to end: {seconds:.1f} s")
    to = next(row["id"] for row in active if row["state"] == "active")
    assert site("rollback", SERVER, "--to", to).status == 0
    assert serving() == commits[1]
    refused = site("rollback", SERVER, "--to", "nothing", "--json")
    assert (refused.status, refused.host(SERVER)["changes"]) == (1, [])
    assert "there is no release nothing on this server; there are: 20" in refused.host(SERVER)["error"]


def test_deploying_what_is_active_does_nothing_and_a_changed_setting_is_a_new_activation(site: Controller) -> None:
    assert site.deploy(SERVER, "--revision", "two").host(SERVER)["changes"] == []
    more = site.with_text(site.inventory.read_text().replace("workers: 2", "workers: 3"), "pulse")
    assert "activation:pulse" in more.deploy(SERVER, "--revision", "two").changed(SERVER)
    assert more("status", SERVER, "--json").document["hosts"][SERVER]["status"][0]["workers"] == 3
    assert more.with_text(more.inventory.read_text().replace("workers: 3", "workers: 2"), "pulse").deploy(
        SERVER, "--revision", "two"
    )


def test_a_restart_is_the_same_release_in_the_other_slot_and_no_request_fails(site: Controller) -> None:
    before, slot = serving(), shell(SERVER, "readlink /run/pulse/current.sock")
    with load(ADDRESS, DOMAIN, 60) as seen:
        assert site("restart", SERVER).status == 0
    assert (seen.failed, seen.failures[:3]) == (0, [])
    assert serving() == before
    assert shell(SERVER, "readlink /run/pulse/current.sock") != slot


def test_old_releases_and_their_environments_go_and_those_in_use_stay(site: Controller, repository: Repository) -> None:
    few = site.with_text(site.inventory.read_text().replace("workers: 2", "workers: 2\n    keep_releases: 2"), "pulse")
    for number in range(3):
        repository.commit(pulse.files(note=f"pruned {number}"), f"prune{number}")
        few.deploy(SERVER, "--revision", f"prune{number}")
    kept = shell(SERVER, "ls /srv/pulse/releases").split()
    used = shell(SERVER, "readlink -f /etc/pulse/*/release /srv/pulse/current | sort -u").split()
    assert len(kept) == 2
    assert {Path(path).name for path in used} == set(kept)
    venvs = set(shell(SERVER, "ls /srv/pulse/venvs").split())
    assert venvs == {Path(path).name for path in shell(SERVER, "readlink -f /srv/pulse/releases/*/.venv").split()}


def test_more_processes_and_schedules_follow_the_release(site: Controller, commits: tuple[str, str]) -> None:
    text = site.inventory.read_text()
    more = "    processes: {worker: python -m worker worker}\n    schedules: {tick: {at: '03:00', run: python -m worker tick}}\n"
    more += "    hooks: {before: python -m worker before, after: python -m worker after}\n"
    site.with_text(text + more, "pulse")
    try:
        for name, commit in zip(("one", "two"), commits, strict=True):
            site.deploy(SERVER, "--revision", name)
            time.sleep(0.5)
            assert shell(SERVER, "cat /srv/pulse/shared/worker") == commit
            assert shell(SERVER, "cat /srv/pulse/shared/before") == commit
            assert shell(SERVER, "cat /srv/pulse/shared/after") == commit
        shell(SERVER, "systemctl kill -s KILL pulse-worker; sleep 2; systemctl is-active pulse-worker")
        shell(SERVER, "systemctl is-enabled pulse-tick.timer; systemctl start pulse-tick.service")
        assert shell(SERVER, "cat /srv/pulse/shared/tick") == commits[1]
        assert "working" in site("logs", SERVER, "--process", "worker").stdout
        assert site("plan", SERVER, "--revision", "two").status == 0
    finally:
        site.with_text(text, "pulse")
    gone = site.deploy(SERVER, "--revision", "two").changed(SERVER)
    assert {"retired:pulse-worker.service", "retired:pulse-tick.service", "retired:pulse-tick.timer"} <= set(gone)
    assert shell(SERVER, "systemctl list-units --all --no-legend 'pulse-*'") == ""


def test_a_worker_that_does_not_keep_running_or_a_hook_that_fails_switches_nothing(site: Controller) -> None:
    before, text = serving(), site.inventory.read_text()
    for more, said in (
        ("    processes: {worker: sleep 0.2}\n", "worker does not keep running"),
        ("    hooks: {before: echo no; exit 3}\n", "the hook before the activation failed"),
    ):
        answer = site.with_text(text + more, "pulse")("deploy", SERVER, "--revision", "one", "--json")
        assert answer.status == 1
        assert said in answer.host(SERVER)["error"]
        assert serving() == before
    site.with_text(text, "pulse").deploy(SERVER, "--revision", "two")


def test_a_commit_can_be_sent_over_the_connection_where_the_server_has_no_repository(
    site: Controller, repository: Repository, commits: tuple[str, str]
) -> None:
    text = site.inventory.read_text()
    shell(SERVER, "rm -rf /srv/pulse/repository.git")
    sending = site.with_text(text.replace(f"source: {repository.url}", f"source: {{push: {repository.path}}}"), "pulse")
    try:
        for name, commit in zip(("one", "two"), commits, strict=True):
            answer = sending.deploy(SERVER, "--revision", name)
            assert "mirror:/srv/pulse/repository.git" in answer.changed(SERVER)
            assert serving() == commit
            assert sending("plan", SERVER, "--revision", name).status == 0
        assert shell(SERVER, "ls -A /home/admin | grep provision || true") == "", "nothing of it is left behind"
    finally:
        site.with_text(text, "pulse")
    site.deploy(SERVER, "--revision", "two")


def test_maintenance_answers_503_and_lasts_over_a_deploy(site: Controller) -> None:
    assert site("maintenance.on", SERVER).status == 0
    try:
        head = https(SERVER, "/commit", DOMAIN, "-i").stdout.lower()
        assert "503" in head.splitlines()[0]
        assert "retry-after: 120" in head
        site.deploy(SERVER, "--revision", "one")
        assert "503" in https(SERVER, "/commit", DOMAIN, "-i").stdout.splitlines()[0]
    finally:
        assert site("maintenance.off", SERVER).status == 0
    assert https(SERVER, "/commit", DOMAIN, "-f").returncode == 0


def test_a_command_runs_in_the_active_release(site: Controller) -> None:
    command = [
        *site.command("run", SERVER),
        "--",
        "python",
        "-c",
        "import os; print(os.environ['PROVISION_COMMIT'], os.getcwd())",
    ]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == serving()
    failing = subprocess.run(
        [*site.command("run", SERVER), "--", "false"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert failing.returncode == 1


def test_logs_are_the_apps_own(site: Controller) -> None:
    assert "Booting worker" in site("logs", SERVER, "--lines", "100").stdout


def test_a_reboot_brings_the_release_back_by_itself(site: Controller) -> None:
    before = serving()
    lab.kill(SERVER)
    lab.start(SERVER)
    deadline = time.monotonic() + 30
    while serving() != before and time.monotonic() < deadline:
        time.sleep(0.5)
    assert serving() == before
    assert shell(SERVER, "systemctl is-active pulse@blue pulse@green || true").split().count("active") == 1


@pytest.mark.parametrize("victim", ["server", "controller"])
def test_wherever_the_script_or_the_controller_is_killed_the_site_answers_and_the_next_deploy_ends_right(
    site: Controller, commits: tuple[str, str], victim: str
) -> None:
    site.deploy(SERVER, "--revision", "one")
    with load(ADDRESS, DOMAIN, 240, heavy=False) as seen:
        for number, delay in enumerate((0.3, 0.9, 1.5, 2.1)):
            wanted = (1, 0)[number % 2]
            process = site.start("deploy", SERVER, "--revision", ("one", "two")[wanted])
            wait_for_a_run()
            time.sleep(delay)
            if victim == "controller":
                process.kill()
            else:
                shell(SERVER, "pkill -9 -s $(ls -t /run/provision/runs/*/pid | head -n 1 | xargs cat) || true")
            process.wait(60)
            assert serving() in commits
            wait_for_the_end()
            next_one = site.deploy(SERVER, "--revision", ("one", "two")[wanted])
            assert serving() == commits[wanted]
            if victim == "controller":
                assert next_one.changed(SERVER) == [], "the server finishes by itself"
            else:
                assert site("plan", SERVER, "--revision", ("one", "two")[wanted]).status == 0
    assert (seen.failed, seen.failures[:3]) == (0, [])


def test_a_power_cut_in_an_activation_leaves_a_whole_release_after_the_boot(
    site: Controller, commits: tuple[str, str]
) -> None:
    site.deploy(SERVER, "--revision", "one")
    for number, delay in enumerate((0.3, 1.2, 2.0)):
        wanted = (1, 0)[number % 2]
        process = site.start("deploy", SERVER, "--revision", ("one", "two")[wanted])
        wait_for_a_run()
        time.sleep(delay)
        lab.kill(SERVER)
        process.kill()
        process.wait()
        lab.start(SERVER)
        deadline = time.monotonic() + 30
        while serving() not in commits and time.monotonic() < deadline:
            time.sleep(0.5)
        assert serving() in commits
        site.deploy(SERVER, "--revision", ("one", "two")[wanted])
        assert serving() == commits[wanted]


def running() -> bool:
    """Whether a run holds the lock. After a boot there is no lock before the first run."""
    return lab.shell(SERVER, "test ! -e /run/provision/lock || flock -n -s /run/provision/lock true").returncode != 0


def wait_for_a_run() -> None:
    deadline = time.monotonic() + 30
    while not running():
        assert time.monotonic() < deadline, "no run began"
        time.sleep(0.05)


def wait_for_the_end() -> None:
    deadline = time.monotonic() + 60
    while running():
        assert time.monotonic() < deadline, "the run does not end"
        time.sleep(0.2)
