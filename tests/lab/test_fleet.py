"""Several servers: prepared at once, activated one after another, and rolled back together when a release fails."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import probe_app
from tests.lab.conftest import LAB, Controller, https, seed, shell
from tests.lab.repository import Repository

HOSTS = ("lab1", "lab2", "lab3")


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


def test_the_next_good_release_goes_to_all_in_order(fleet: Controller, repository: Repository) -> None:
    commit = repository.commit(probe_app.files("", "", "third"))
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
