"""The same releases under Supervisor, and an app that changes from one process manager to the other."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.engine.layout import PRELUDE
from provision.release.shell import LIBRARY
from tests.lab.bad_days import BadDays
from tests.lab.conftest import Answer, shell
from tests.lab.interruptions import Interruptions
from tests.lab.load import load
from tests.lab.probe_site import ADDRESS, DOMAIN, SERVER, Site, make
from tests.lab.releases import Deploys, Processes, Switches
from tests.lab.resisting import Resisting


@pytest.fixture(scope="module")
def site(pythons: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from make("supervisor", tmp_path_factory.mktemp("probe"), pythons)


class TestDeploys(Deploys):
    pass


@pytest.mark.long
class TestSwitches(Switches):
    pass


@pytest.mark.long
class TestProcesses(Processes):
    pass


@pytest.mark.long
class TestBadDays(BadDays):
    pass


@pytest.mark.long
class TestResisting(Resisting):
    pass


@pytest.mark.long
class TestInterruptions(Interruptions):
    def test_a_slot_that_has_just_ended_by_itself_is_stopped_all_the_same(self, site: Site) -> None:
        """Supervisor does not count such a slot as running, and would restart it a moment later."""
        site.deploy("--revision", "one")
        site.deploy("--revision", "two")
        idle = {"blue": "green", "green": "blue"}[site.slot()]
        for _ in range(5):
            shell(
                SERVER,
                f"{PRELUDE}{LIBRARY}\nsupervisor_load probe-{idle}; supervisor_rpc startProcess probe-{idle}:* >/dev/null;"
                f" kill -9 $(supervisorctl pid probe-{idle}:probe-{idle}_0); sleep 0.05; slot_stop probe {idle}",
            )
            time.sleep(1.5)
            assert site.running() == [site.slot()]


PROCESSES = "    processes: {worker: python -m worker worker}\n    schedules: {tick: {at: '03:00', run: python -m worker tick}}\n"
OURS = (
    "for file in /etc/systemd/system/probe* /etc/systemd/system/*.wants/probe* /etc/supervisor/conf.d/* /etc/cron.d/probe*;"
    " do if [ -e $file ] || [ -L $file ]; then echo $file; fi; done"
)


@pytest.fixture(scope="module")
def supervised(site: Site) -> Site:
    """The site with a process and a schedule."""
    site.with_text(site.text + PROCESSES).deploy("--revision", "one")
    return site


def test_an_app_goes_from_one_manager_to_the_other_and_leaves_nothing_behind(supervised: Site) -> None:
    site, text = supervised, supervised.text
    with load(ADDRESS, DOMAIN, 90) as seen:
        site.with_text(text.replace("process_manager: supervisor", "process_manager: systemd"))
        changes = site.deploy("--revision", "one").changed(SERVER)
        assert changes.index("activation:probe") < changes.index("retired:probe-worker.conf")
        assert site.serving() == site.commits[0]
        ours = shell(SERVER, OURS).split()
        assert ours
        assert not [path for path in ours if "supervisor" in path or "cron" in path]
        assert shell(SERVER, "supervisorctl status") == ""
        assert shell(SERVER, "systemctl is-active probe-worker probe-tick.timer").split() == ["active", "active"]
        assert site("plan", "--revision", "one").status == 0
        site.with_text(text).deploy("--revision", "two")
        assert site.serving() == site.commits[1]
        ours = shell(SERVER, OURS).split()
        assert not [path for path in ours if "systemd" in path]
        assert shell(SERVER, "systemctl list-units --all --no-legend 'probe*'") == ""
        assert "RUNNING" in shell(SERVER, "supervisorctl status probe-worker")
        assert shell(SERVER, "pgrep -fc '^python -m worker worker'") == "1", "none is left of those before"
        assert site("plan", "--revision", "two").status == 0
    assert (seen.failed, seen.failures[:3]) == (0, [])


def failed(answer: Answer) -> set[str]:
    """The names of the checks that failed, without test_ and their host."""
    assert "probe" in answer.stdout, answer.stderr
    found = {one["id"].partition("[")[0] for one in answer.host(SERVER)["checks"] if one["outcome"] == "failed"}
    return {name.removeprefix("test_") for name in found}


def test_a_server_under_supervisor_passes_all_checks(supervised: Site) -> None:
    answer = supervised("verify", "--json", "--disruptive", "--yes")
    assert (failed(answer), answer.status) == (set(), 0)
    assert len(answer.host(SERVER)["checks"]) >= 36


EARLIER = "setpriv --reuid=probe --regid=probe --init-groups env PROVISION_RELEASE=20200101T000000-0000000 sleep 600"
BREAKAGES = {
    "a worker is stopped, a process of an earlier release runs, and one is left that the inventory no longer has": (
        "supervisorctl stop probe-worker && cd /etc/supervisor/conf.d && cp probe-worker.conf probe-gone.conf && "
        f"{{ {EARLIER} >/dev/null 2>&1 & echo $! >/run/earlier; }}",
        "supervisorctl start probe-worker && rm /etc/supervisor/conf.d/probe-gone.conf && kill $(cat /run/earlier)",
        {
            "every_process_runs_the_active_release_and_starts_at_boot",
            "nothing_is_left_of_processes_that_the_inventory_no_longer_has",
            "nothing_runs_as_the_apps_user_but_its_active_release",
        },
    ),
    "nothing would start at boot, cron passes over the schedule, and a unit is left of the other manager": (
        "systemctl disable --quiet supervisor && chmod 666 /etc/cron.d/probe-tick && "
        "echo '# provision: probe. One slot.' >/etc/systemd/system/probe@.service",
        "systemctl enable --quiet supervisor && chmod 644 /etc/cron.d/probe-tick && rm /etc/systemd/system/probe@.service",
        {
            "the_service_is_enabled",
            "every_process_runs_the_active_release_and_starts_at_boot",
            "every_schedule_has_a_next_time",
            "nothing_is_left_of_processes_that_the_inventory_no_longer_has",
        },
    ),
}


@pytest.mark.long
@pytest.mark.parametrize(("breaks", "mends", "wrong"), BREAKAGES.values(), ids=BREAKAGES)
def test_what_is_wrong_under_supervisor_is_found(supervised: Site, breaks: str, mends: str, wrong: set[str]) -> None:
    shell(SERVER, breaks)
    try:
        assert failed(supervised("verify", "--json", "--only", "processes or release or service")) == wrong
    finally:
        shell(SERVER, mends)
