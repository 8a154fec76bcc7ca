"""A slot is started, and what is said if it does not come up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.release.serving import ID, fill

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.conftest import Units
    from tests.unit.release.serving import Serve, Shell


ENDED = [
    (
        {"Result": "exit-code", "ExecMainCode": "1", "ExecMainStatus": "3"},
        "ended before it was healthy (exit status 3)",
    ),
    ({"Result": "signal", "ExecMainCode": "2", "ExecMainStatus": "9"}, "ended before it was healthy (signal 9)"),
    ({"Result": "core-dump", "ExecMainCode": "3", "ExecMainStatus": "11"}, "ended before it was healthy (signal 11)"),
    ({"Result": "success", "ExecMainCode": "0"}, "ended before it was healthy (it was started again)"),
    ({"Result": "timeout", "ExecMainCode": "2", "ExecMainStatus": "15"}, "did not start within 5s"),
]


@pytest.mark.parametrize(("properties", "said"), ENDED, ids=["exit", "killed", "crashed", "started again", "too slow"])
def test_a_slot_that_does_not_start_says_how_it_ended(
    properties: dict[str, str], said: str, slots: Path, shell: Shell, units: Units
) -> None:
    fill(units.folder / "properties", **properties)
    ran = shell("old=blue new=green; systemd_slot_start() { return 1; }; slot_bring_up")
    assert (ran.returncode, ran.stdout) == (1, f"error: shop: {ID} {said}; its last log lines stand above\n")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (404, "(/health answered 404); its last log lines stand above; set apps.shop.health to a path that the app answers with 200"),
        (307, "(/health answered 307); its last log lines stand above; set apps.shop.health to a path that the app answers with 200"),
        (500, "(/health answered 500); its last log lines stand above"),
        (None, "(/health answered nothing); its last log lines stand above; if it only takes longer to start, raise apps.shop.health.timeout"),
    ],
)  # fmt: skip
def test_a_slot_that_is_not_healthy_says_what_to_do(
    answer: int | None, said: str, tmp_path: Path, slots: Path, shell: Shell, health: Serve, units: Units
) -> None:
    units.serve("green")
    if answer:
        health(tmp_path / "run" / "shop" / "green.sock", answer)
    ran = shell("old=blue new=green timeout=2; slot_bring_up")
    assert (ran.returncode, ran.stdout) == (1, f"error: shop: {ID} was not healthy within 2s {said}\n")


@pytest.mark.parametrize(("old", "link"), [("blue", "blue.sock"), ("", "green.sock")], ids=["one before", "the first"])
def test_a_start_without_the_link_is_not_mistaken_for_a_boot(
    old: str, link: str, tmp_path: Path, slots: Path, shell: Shell, health: Serve
) -> None:
    """The socket of a slot takes the traffic where there is no link."""
    current = tmp_path / "run" / "shop" / "current.sock"
    current.unlink()
    health(tmp_path / "run" / "shop" / "green.sock")
    tell = (
        'systemd_slot_start() { readlink "$app_current_socket"; : >"$PROVISION_ROOT/bin/running/shop@green.service"; }'
    )
    ran = shell(f"old={old} new=green; {tell}; slot_bring_up")
    assert (ran.returncode, ran.stdout) == (0, f"{link}\n")


def test_a_slot_that_runs_is_not_started_again(
    tmp_path: Path, slots: Path, shell: Shell, health: Serve, units: Units
) -> None:
    units.serve("green")
    health(tmp_path / "run" / "shop" / "green.sock")
    assert shell("old=blue new=green; slot_bring_up").returncode == 0
    assert not [call for call in units.calls if call.startswith("start")]


def test_a_health_check_tells_how_long_its_last_answer_took(
    tmp_path: Path, slots: Path, shell: Shell, units: Units
) -> None:
    units.serve("green")
    (units.folder / "curl").write_text("#!/bin/sh\nsleep 0.3; printf 200\n")
    (units.folder / "curl").chmod(0o755)
    took = int(shell('new=green; slot_await_health; echo "$took"').stdout)
    assert 30 <= took < 150


def test_a_slot_that_is_started_again_and_again_has_ended(slots: Path, shell: Shell, units: Units) -> None:
    """It runs whenever it is looked at: a request waits in its socket until the next start."""
    units.serve("green")
    (units.folder / "curl").write_text('#!/bin/sh\necho $$ >"${0%/*}/main"; printf 000\n')
    (units.folder / "curl").chmod(0o755)
    assert shell('old=blue new=green timeout=60; slot_await_health || echo "$answer"').stdout == "ended\n"
