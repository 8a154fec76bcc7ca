"""A new release is watched while it has the traffic, and what it took is given back."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.unit.release.serving import ID, OTHER, fill, unit

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.conftest import Units
    from tests.unit.release.serving import Ran, Serve, Shell
    from tests.unit.release.supervisor import Supervisor

TELL = """
slot_log() { echo "log $2: $(readlink "$app_current_socket")"; }
systemd_slot_stop() { echo "stop $2: $(readlink "$app_current_socket")"; }
"""


def watched(shell: Shell, health: Serve, tmp_path: Path, units: Units, *answers: int, watch: int = 1) -> Ran:
    """Slot green runs and has had the traffic since now."""
    units.serve("green")
    health(tmp_path / "run" / "shop" / "green.sock", *answers)
    return shell(f"new=green took=1 watch={watch} switched=$(date +%s); activation_watch; echo well")


def test_a_release_that_is_no_longer_healthy_is_given_up_after_a_second_and_loses_the_traffic_first(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    units.serve("blue")
    health(tmp_path / "run" / "shop" / "green.sock", 200, 503)
    began = time.monotonic()
    ran = shell(f"{TELL}\nwatch=30; activation_run")
    assert 1 <= time.monotonic() - began < 6
    assert ran.returncode == 1
    _, said = ran.stdout.split("error: ")
    assert said.splitlines() == [
        f"shop: {ID} was no longer healthy with the traffic (/health answered 503 for a second);"
        " its last log lines stand above",
        "log green: blue.sock",
        "stop green: blue.sock",
    ]


def test_bad_answers_for_less_than_a_second_are_no_reason_to_give_up(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    ran = watched(shell, health, tmp_path, units, 200, 503, 503, 200)
    assert (ran.returncode, ran.stdout) == (0, "well\n")


def test_a_watch_ends_with_a_good_answer_and_never_between_bad_ones(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    ran = watched(shell, health, tmp_path, units, 503, watch=0)
    assert (ran.returncode, "for a second" in ran.stdout) == (1, True)


@pytest.mark.parametrize("answers", [(503, 200), (200,)], ids=["late", "well"])
def test_without_time_to_watch_one_good_answer_is_enough(
    answers: tuple[int, ...], slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    assert watched(shell, health, tmp_path, units, *answers, watch=0).stdout == "well\n"


def test_a_release_whose_workers_have_all_ended_is_given_up_at_once(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    threading.Timer(1, os.kill, (units.worker, signal.SIGKILL)).start()
    began = time.monotonic()
    ran = watched(shell, health, tmp_path, units, 200, watch=30)
    assert time.monotonic() - began < 5
    assert ran.stdout == (f"error: shop: {ID} ended within 30s of having the traffic; its last log lines stand above\n")


@pytest.mark.parametrize(("took", "limit"), [(50, "0.8"), (51, "5")])
def test_no_answer_is_awaited_for_longer_than_a_second_unless_the_check_was_slow_before(
    took: int, limit: str, slots: Path, tmp_path: Path, shell: Shell, units: Units
) -> None:
    (units.folder / "curl").write_text('#!/bin/sh\necho "$*" >>"${0%/*}/asked"; printf 200\n')
    (units.folder / "curl").chmod(0o755)
    units.serve("green")
    assert shell(f"new=green took={took} switched=0; activation_watch").returncode == 0
    assert f" -m {limit} " in (units.folder / "asked").read_text()


FAILING = ["slot_log", "preview_end", "slot_at_boot", "activation_record", "process_restart_all", "systemd_slot_log"]


@pytest.mark.parametrize("step", FAILING)
def test_whatever_fails_on_the_way_back_the_rest_is_done(
    step: str, slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    units.serve("blue")
    health(tmp_path / "run" / "shop" / "green.sock", 200, 503)
    armed = f"activation_watch() {{ {step}() {{ return 1; }}; fail 'no more'; }}"
    ran = shell(f"{armed}\nactivation_run")
    assert (ran.returncode, "error: no more\n" in ran.stdout) == (1, True)
    given_back(tmp_path, slots, units)


def given_back(tmp_path: Path, slots: Path, units: Units) -> None:
    """Slot blue has everything, and nothing of green is left."""
    assert units.running == {"shop@blue.socket", "shop@blue.service"}
    assert str((tmp_path / "run" / "shop" / "current.sock").readlink()) == "blue.sock"
    assert str((tmp_path / "srv" / "shop" / "current").readlink()) == f"releases/{OTHER}"
    assert str((tmp_path / "srv" / "shop" / "static" / "current").readlink()) == "blue"
    assert str((slots / "current").readlink()) == "blue"
    assert not (tmp_path / "run" / "shop" / "previous.sock").is_symlink()
    assert not (tmp_path / "var" / "lib" / "provision" / "apps" / "shop" / "unfinished").exists()


def test_the_way_back_goes_on_where_supervisor_does_not_take_a_process_of_the_old_release(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units, supervisor: Supervisor
) -> None:
    worker = "; provision: shop. worker of the active release.\n[program:shop-worker]\nautorestart=true\n"
    fill(slots / "blue", manager="supervisor\n")
    fill(slots / "blue" / "units", **{"shop-worker.conf": worker})
    supervisor.programs |= {"shop-blue:shop-blue_0": "RUNNING", "shop-blue:shop-blue_1": "RUNNING"}
    supervisor.refused.add("shop-worker")
    health(tmp_path / "run" / "shop" / "green.sock", 200, 503)
    ran = shell("activation_run")
    assert ran.returncode == 1
    assert supervisor.programs["shop-blue:shop-blue_0"] == "RUNNING"
    assert str((tmp_path / "run" / "shop" / "current.sock").readlink()) == "blue.sock"
    assert not units.running
    records = tmp_path / "var" / "lib" / "provision" / "apps" / "shop" / "releases"
    assert (records / ID).read_text().startswith("failed\t")


def test_the_processes_of_the_old_release_get_their_units_back(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    """A release that fails changes nothing that the old one starts with, at a boot or before."""
    units.serve("blue")
    read = tmp_path / "etc" / "systemd" / "system"
    before = unit("shop-worker.service")
    fill(slots / "blue" / "units", **before)
    fill(read, **before)
    units.start("shop-worker.service")
    after = {**unit("shop-worker.service", "Restart=always\nMemoryMax=1G\n"), **unit("shop-mail.service")}
    fill(slots / "units", **after)
    own = ",".join(f"units/{name}" for name in after)
    slot = (read / "shop@blue.service").read_text()
    health(tmp_path / "run" / "shop" / "green.sock", 200, 503)
    assert shell(f"copies=$copies,{own}; activation_run").returncode == 1
    assert {path.name: path.read_text() for path in read.glob("shop-*")} == before
    assert (read / "shop@blue.service").read_text() == slot
    assert units.running == {"shop@blue.socket", "shop@blue.service", "shop-worker.service"}
