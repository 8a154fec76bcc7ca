"""Several servers: prepared at once, activated one after another, and rolled back together when a release fails."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from provision import lab
from tests.lab import again, probe_app, steps
from tests.lab.conftest import LAB, Answer, Controller, https, seed, shell
from tests.lab.repository import Repository

HOSTS = ("lab1", "lab2", "lab3")
SECONDS = 90
# Each fault is tried at one in so many steps of an activation; 0 means at one step only.
EVERY = int(os.environ.get("PROVISION_EVERY_STEP", "0"))
FAULTS = ("runner killed", "power cut", "controller killed", *(["network cut"] if EVERY else []))

COUNTED: list[int] = []


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    made = Repository.create("fleet", tmp_path_factory.mktemp("fleet") / "work")
    yield made
    made.remove()


@pytest.fixture(scope="module")
def fleet(repository: Repository, pythons: Path, tmp_path_factory: pytest.TempPathFactory) -> Controller:
    """Three hosts that serve the repository's first commit."""
    path = tmp_path_factory.mktemp("fleet") / "fleet.yml"
    text = probe_app.INVENTORY.format(
        lab=LAB, url=repository.url, batch=1, migrate="false", memory="1G", manager="systemd"
    )
    hosts = ", ".join(f"{host}: {{groups: [three]}}" for host in HOSTS)
    path.write_text(f"{text}hosts: {{{hosts}}}\n")
    seed(path, pythons)
    repository.commit(probe_app.files())
    controller = Controller(path)
    controller.deploy("three")
    return controller


def commits() -> list[str]:
    """The commit that each host serves."""
    return [https(host, "/commit", f"probe.{host}.test").stdout.strip('"') for host in HOSTS]


def test_a_release_that_breaks_on_the_second_host_leaves_all_three_at_the_old_one(
    fleet: Controller, repository: Repository
) -> None:
    old = commits()
    assert len(set(old)) == 1
    slots = {host: shell(host, "readlink /run/probe/current.sock") for host in HOSTS}
    repository.commit(probe_app.files("unhealthy", "lab2", "second"))
    answer = fleet("deploy", "three", "--json")
    assert answer.status == 1
    errors = {host: answer.host(host)["error"] for host in HOSTS}
    assert errors["lab1"] == "went back to the release before: the release failed on lab2"
    assert "was not healthy within 10s" in errors["lab2"]
    assert errors["lab3"] == "not activated: the release failed on lab2"
    assert commits() == old
    assert shell("lab3", "readlink /run/probe/current.sock") == slots["lab3"]
    assert shell("lab3", "systemctl is-active probe@blue probe@green || true").split().count("active") == 1
    assert answer.host("lab3")["skipped"] >= 1


@contextmanager
def one_session(host: str) -> Iterator[None]:
    """While this lasts, the host's sshd allows one session a connection."""
    shell(host, "echo MaxSessions 1 >/etc/ssh/sshd_config.d/one.conf; systemctl reload ssh")
    try:
        yield
    finally:
        shell(host, "rm /etc/ssh/sshd_config.d/one.conf; systemctl reload ssh")


def test_the_next_good_release_goes_to_all_in_order(fleet: Controller, repository: Repository) -> None:
    commit = repository.commit(probe_app.files("", "", "third"))
    with one_session("lab2"):
        answer = fleet.deploy("three")
    assert commits() == [commit] * 3
    assert all(answer.host(host)["execs"] <= 5 for host in HOSTS)
    active = [
        shell(
            host,
            "systemctl show -p ActiveEnterTimestampMonotonic --value $(readlink /run/probe/current.sock | sed 's/^/probe@/; s/.sock//')",
        )
        for host in HOSTS
    ]
    assert [int(value) for value in active] == sorted(int(value) for value in active)
    assert fleet.plan("three").status == 0


def test_a_migration_runs_on_one_host_only(fleet: Controller, repository: Repository) -> None:
    text = fleet.inventory.read_text().replace("migrate: false", 'migrate: "date >> /srv/probe/shared/migrated"')
    migrating = fleet.with_text(text)
    migrating.deploy("three")
    ran = [shell(host, "cat /srv/probe/shared/migrated 2>/dev/null | wc -l") for host in HOSTS]
    assert ran == ["1", "0", "0"]
    assert migrating.plan("three").status == 0


def test_a_release_is_held_on_all_hosts_with_one_token_and_promoted_on_all(
    fleet: Controller, repository: Repository
) -> None:
    old = commits()
    held = repository.commit(probe_app.files(note="held"))
    answer = fleet.deploy("three", "--hold")
    (token,) = {answer.host(host)["previews"]["probe"] for host in HOSTS}
    assert commits() == old
    seen = [
        https(host, "/commit", f"probe.{host}.test", "-H", f"X-Preview: {token}").stdout.strip('"') for host in HOSTS
    ]
    assert seen == [held] * 3
    assert fleet("promote", "three").status == 0
    assert commits() == [held] * 3
    assert fleet("plan", "three").status == 0


def test_of_two_controllers_at_the_same_moment_one_gets_all_hosts_and_the_other_changes_nothing(
    fleet: Controller, repository: Repository
) -> None:
    made = [repository.commit(probe_app.files(note=note)) for note in ("mine", "yours")]
    both = [fleet.start("deploy", "three", "--json", "--revision", commit) for commit in made]
    answers = [Answer(one.wait(120), *one.communicate()) for one in both]
    assert sorted(answer.status for answer in answers) == [0, 1]
    assert commits() == [made[[answer.status for answer in answers].index(0)]] * 3
    refused = next(answer for answer in answers if answer.status)
    assert refused.stderr == ""
    assert [refused.host(host)["changed"] for host in HOSTS] == [0, 0, 0]
    errors = [refused.host(host)["error"] for host in HOSTS]
    assert all("changing this server since" in error or "another run changed" in error for error in errors)


def test_a_host_that_is_locked_or_unreachable_at_the_start_stops_all_before_any_change(
    fleet: Controller, repository: Repository
) -> None:
    old = commits()
    commit = repository.commit(probe_app.files(note="not yet"))
    with locked("lab3"):
        answer = fleet("deploy", "three", "--json")
    assert (answer.status, [answer.host(host)["changed"] for host in HOSTS]) == (1, [0, 0, 0])
    assert answer.host("lab1")["error"].startswith("nothing was changed: lab3: somebody")
    text = fleet.inventory.read_text()
    gone = fleet.with_text(text.replace("lab3: {groups", "lab3: {port: 1, groups"), "gone")
    answer = gone("deploy", "three", "--json")
    assert (answer.status, [answer.host(host)["changed"] for host in HOSTS]) == (1, [0, 0, 0])
    assert answer.host("lab3")["status"] == "unreachable"
    assert "--skip-unreachable" in answer.host("lab1")["error"]
    assert commits() == old
    answer = gone("deploy", "three", "--json", "--skip-unreachable")
    assert (answer.status, answer.host("lab3")["status"]) == (1, "unreachable")
    assert commits() == [commit, commit, old[2]]
    status = fleet("status", "three", "--json")
    assert status.document["mixed"] == {"probe": {"lab1": commit, "lab2": commit, "lab3": old[2]}}
    assert "probe: the hosts do not run the same commit" in fleet("status", "three").stderr


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_an_activation_leaves_no_mixed_fleet(fleet: Controller, repository: Repository, fault: str) -> None:
    """On the second host; the controller dies in the activation of the first one."""
    server = "lab1" if fault == "controller killed" else "lab2"
    with steps.noted(server):
        for number in numbers(fleet, repository, server):
            old = commits()
            repository.commit(probe_app.files(note=f"{fault} {number}"))
            steps.arm(server, "activation:", number)
            process = fleet.start("deploy", "three", "--json")
            before = f"{fault} before {steps.wait(server)}"
            break_off(fault, server, process)
            deadline = time.monotonic() + SECONDS
            while (now := commits()) != old or unconfirmed():
                assert time.monotonic() < deadline, (before, old, now, unconfirmed())
                time.sleep(1)
            steps.arm(server)
            if EVERY or fault == "controller killed":
                fleet.deploy("three")
                assert len(set(commits())) == 1, before
                assert fleet("status", "three", "--json").document["mixed"] == {}


def test_an_app_goes_from_all_hosts_and_a_plan_names_all_that_goes_with_the_toolkit(fleet: Controller) -> None:
    planned = fleet("remove", "three", "--plan", "--json")
    assert planned.status == 0, planned.stdout
    assert {planned.changed(host)[-1] for host in HOSTS} == {"restored:record"}
    with locked("lab3"):
        refused = fleet("remove", "three", "--app", "probe", "--yes", "--json")
    assert (refused.status, [refused.host(host)["changed"] for host in HOSTS]) == (1, [0, 0, 0])
    all_of_it = ("remove", "three", "--app", "probe", "--with-data", "probe", "--yes", "--json")
    left = "getent passwd probe; ls -d /srv/probe 2>/dev/null || true"
    gone = fleet.with_text(fleet.inventory.read_text().replace("lab3: {groups", "lab3: {port: 1, groups"), "gone")
    assert "; --skip-unreachable goes on without it" in gone(*all_of_it).host("lab1")["error"]
    skipping = gone(*all_of_it, "--skip-unreachable")
    assert (skipping.status, skipping.host("lab3")["status"]) == (1, "unreachable")
    assert [bool(shell(host, left)) for host in HOSTS] == [False, False, True]
    removed = fleet(*all_of_it)
    assert removed.status == 0, removed.stdout
    assert shell("lab3", left) == ""
    assert fleet("remove", "three", "--app", "probe", "--yes", "--json").changed("lab1") == []


def numbers(fleet: Controller, repository: Repository, server: str) -> range:
    """The steps of an activation at which to break it off: one behind the switch, or one in so many."""
    if not COUNTED:
        repository.commit(probe_app.files(note="counted"))
        steps.arm(server)
        fleet.deploy("three")
        COUNTED.append(len(steps.taken(server, "activation:")))
    count = COUNTED[0]
    return range(1, count + 1, EVERY) if EVERY else range(count * 3 // 4, count * 3 // 4 + 1)


def break_off(fault: str, server: str, process: "subprocess.Popen[str]") -> None:
    """End the activation that was stopped at a step, and wait for the controller."""
    if fault == "runner killed":
        steps.end_the_script(server)
    elif fault == "power cut":
        lab.kill(server)
        lab.start(server)
    elif fault == "network cut":
        shell(server, "ip link set host0 down")
        steps.go(server)
        process.communicate(timeout=300)
        shell(server, "ip link set host0 up; systemctl restart systemd-networkd")
    else:
        process.kill()
        steps.go(server)
    process.communicate(timeout=200)


def unconfirmed() -> list[str]:
    """The hosts with an activation that the fleet has not confirmed."""
    return [host for host in HOSTS if shell(host, "ls /var/lib/provision/unconfirmed 2>/dev/null || true")]


@contextmanager
def locked(server: str) -> Iterator[None]:
    """Within this, somebody else holds the server's lock."""
    holder = "printf 'somebody (deploy)\\t2026-01-01T00:00:00Z\\tother\\n' >/run/provision/holder"
    shell(server, f"{holder}; systemd-run -q --unit hog flock /run/provision/lock sleep 120; sleep 0.3")
    try:
        with again.busy("its lock"):
            yield
    finally:
        shell(server, "systemctl stop hog")
