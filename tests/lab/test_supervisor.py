"""The same releases under Supervisor, and an app that goes from one manager to the other."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from tests.lab.conftest import shell
from tests.lab.load import load
from tests.lab.releases import ADDRESS, DOMAIN, SERVER, Releases, Site, make


@pytest.fixture(scope="module")
def site(pythons: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from make("supervisor", tmp_path_factory.mktemp("pulse"), pythons)


class TestUnderSupervisor(Releases):
    kills: ClassVar[tuple[float, ...]] = (0.9, 2.1)


PROCESSES = "    processes: {worker: python -m worker worker}\n    schedules: {tick: {at: '03:00', run: python -m worker tick}}\n"
OURS = (
    "for file in /etc/systemd/system/pulse* /etc/systemd/system/*.wants/pulse* /etc/supervisor/conf.d/* /etc/cron.d/pulse*;"
    " do if [ -e $file ] || [ -L $file ]; then echo $file; fi; done"
)


def test_an_app_goes_from_one_manager_to_the_other_and_leaves_nothing_behind(site: Site) -> None:
    before = site.text
    supervised = before + PROCESSES
    site.with_text(supervised).deploy("--revision", "one")
    with load(ADDRESS, DOMAIN, 90) as seen:
        site.with_text(supervised.replace("process_manager: supervisor", "process_manager: systemd"))
        changes = site.deploy("--revision", "one").changed(SERVER)
        assert changes.index("activation:pulse") < changes.index("retired:pulse-worker.conf")
        assert site.serving() == site.commits[0]
        ours = shell(SERVER, OURS).split()
        assert ours
        assert not [path for path in ours if "supervisor" in path or "cron" in path]
        assert shell(SERVER, "supervisorctl status") == ""
        assert shell(SERVER, "systemctl is-active pulse-worker pulse-tick.timer").split() == ["active", "active"]
        assert site("plan", "--revision", "one").status == 0
        site.with_text(supervised).deploy("--revision", "two")
        assert site.serving() == site.commits[1]
        ours = shell(SERVER, OURS).split()
        assert not [path for path in ours if "systemd" in path]
        assert shell(SERVER, "systemctl list-units --all --no-legend 'pulse*'") == ""
        assert "RUNNING" in shell(SERVER, "supervisorctl status pulse-worker")
        assert shell(SERVER, "pgrep -fc '^python -m worker worker'") == "1", "none is left of those before"
        assert site("plan", "--revision", "two").status == 0
    assert (seen.failed, seen.failures[:3]) == (0, [])
    site.with_text(before).deploy("--revision", "two")
