from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.release.serving import fill

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


def test_a_unit_that_is_retired_is_stopped_and_both_slots_are(root: Path, shell: Shell, units: Units) -> None:
    folder = root / "etc" / "systemd" / "system"
    fill(folder, **{"shop-tidy.timer": "", "shop@.service": ""})
    (root / "var/lib/provision/stamps").mkdir()
    fill(root / "var/lib/provision/stamps", **{"shop-tidy.timer": ""})
    units.start("shop-tidy.timer", "shop@blue", "shop@green", "blog@blue")
    assert shell("systemd_remove shop-tidy.timer").returncode == 0
    assert shell("systemd_remove shop@.service").returncode == 0
    assert not list(folder.iterdir())
    assert not list((root / "var/lib/provision/stamps").iterdir())
    assert [path.name for path in (units.folder / "running").iterdir()] == ["blog@blue"]
    assert units.calls.count("daemon-reload") == 2
