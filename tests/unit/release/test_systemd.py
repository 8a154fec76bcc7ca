from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.release.serving import fill, unit

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.conftest import Units
    from tests.unit.release.serving import Shell


def test_an_apps_units_are_stopped_but_for_what_runs_at_times(root: Path, shell: Shell, units: Units) -> None:
    folder = root / "etc" / "systemd" / "system"
    head = "# provision: shop. Something.\n[Service]\n"
    fill(
        folder,
        **{
            "shop@.service": f"{head}Restart=always\n",
            "shop-worker.service": f"{head}Restart=always\n",
            "shop-tidy.service": f"{head}Type=oneshot\n",
            "shop-a-b.service": f"{head}Restart=always\n".replace("shop", "shop-a"),
            "shop-own.service": "[Service]\nRestart=always\n",
        },
    )
    assert shell("systemd_processes_stop shop").returncode == 0
    assert units.calls == ["disable --quiet --now shop-worker.service"]


@pytest.mark.parametrize("name", ["shop-tidy.timer", "shop-worker.service", "shop@green.socket", "shop@green.service"])
def test_a_unit_that_is_retired_is_stopped(name: str, root: Path, shell: Shell, units: Units) -> None:
    folder = root / "etc" / "systemd" / "system"
    fill(folder, **{name: "", "blog@blue.service": ""})
    fill(root / "var/lib/provision/stamps", **{name: ""})
    units.start(name, "shop@blue.service", "blog@blue.service")
    assert shell(f"systemd_remove {name}").returncode == 0
    assert [path.name for path in folder.iterdir()] == ["blog@blue.service"]
    assert not list((root / "var/lib/provision/stamps").iterdir())
    assert units.running == {"shop@blue.service", "blog@blue.service"}
    assert units.calls == [f"disable --quiet --now {name}", "daemon-reload", f"reset-failed {name}"]


def test_the_template_of_an_older_toolkit_goes_and_the_slots_that_have_units_of_their_own_run_on(
    root: Path, shell: Shell, units: Units
) -> None:
    fill(root / "etc" / "systemd" / "system", **{"shop@.service": ""})
    units.serve("blue")
    assert shell("systemd_remove shop@.service").returncode == 0
    assert not list((root / "etc" / "systemd" / "system").iterdir())
    assert units.running == {"shop@blue.socket", "shop@blue.service"}


def test_the_processes_of_a_slot_are_those_that_run_on_and_the_timers(slots: Path, shell: Shell) -> None:
    assert shell("systemd_processes shop blue").stdout == ""
    tidy = {**unit("shop-tidy.service", "Type=oneshot\n"), **unit("shop-tidy.timer", "")}
    fill(slots / "blue" / "units", **unit("shop-worker.service"), **unit("shop-mail.service"), **tidy)
    assert shell("systemd_processes shop blue").stdout == "mail\ntidy.timer\nworker\n"
    assert shell("systemd_processes shop green").stdout == ""


def test_systemd_gets_the_units_of_the_slot_and_loses_those_that_it_does_not_have(
    slots: Path, root: Path, shell: Shell, units: Units
) -> None:
    folder = root / "etc" / "systemd" / "system"
    own = {**unit("shop-worker.service"), **unit("shop-tidy.timer", "")}
    fill(slots / "blue" / "units", **own)
    others = {**unit("shop-a-b.service", app="shop-a"), "shop-own.service": "[Service]\n"}
    slot = {path.name: path.read_text() for path in folder.iterdir()}
    fill(folder, **others, **unit("shop-worker.service", "Restart=no\n"), **unit("shop-mail.service"))
    fill(folder, **unit("shop-tell.timer", ""))
    units.start("shop-worker.service", "shop-mail.service", "shop-tell.timer", "shop-own.service")
    assert shell("systemd_processes_write shop blue").returncode == 0
    assert {path.name: path.read_text() for path in folder.iterdir()} == {**slot, **others, **own}
    assert (folder / "shop-tidy.timer").stat().st_mode & 0o777 == 0o644
    assert units.running == {"shop-worker.service", "shop-own.service"}
    assert units.calls[-1] == "daemon-reload"


def test_units_that_cannot_be_written_are_no_success(slots: Path, shell: Shell, units: Units) -> None:
    """As on a disk that is full: the process would go on with the unit of the release before."""
    fill(slots / "blue" / "units", **unit("shop-worker.service"))
    assert shell("mktemp() { return 1; }; if systemd_processes_write shop blue; then echo written; fi").stdout == ""


def test_a_timer_that_would_not_start_at_a_boot_is_down(slots: Path, shell: Shell, units: Units) -> None:
    fill(slots / "blue" / "units", **unit("shop-worker.service"), **unit("shop-tidy.timer", ""))
    units.start("shop-worker.service", "shop-tidy.timer")
    assert shell("process_down shop blue").stdout == "\n"
    (units.folder / "disabled" / "shop-tidy.timer").touch()
    assert shell("process_down shop blue").stdout == "tidy.timer\n"


def test_the_processes_and_timers_of_a_release_start_with_it_and_at_a_boot(
    slots: Path, root: Path, shell: Shell, units: Units
) -> None:
    fill(slots / "blue" / "units", **unit("shop-worker.service"), **unit("shop-tidy.timer", ""))
    fill(slots / "blue" / "units", **unit("shop-tidy.service", "Type=oneshot\n"))
    for name in ("shop-worker.service", "shop-tidy.timer", "shop-tidy.service"):
        (units.folder / "disabled" / name).touch()
    assert shell("process_restart_all blue").returncode == 0
    assert units.running == {"shop-worker.service", "shop-tidy.timer"}
    assert [path.name for path in (units.folder / "disabled").iterdir()] == ["shop-tidy.service"]
