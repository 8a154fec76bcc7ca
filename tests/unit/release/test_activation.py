"""A release that gets all of the traffic."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from provision.release.slot import Previewed, Serving, Slot
from tests.unit.release.serving import (
    ACTIVATION,
    BEFORE,
    HEALTH,
    ID,
    NO_PREVIEW,
    OTHER,
    PREVIEW,
    PREVIEWED,
    PROMOTION,
    SERVING,
    SLOT,
    TOKEN,
    fill,
    function,
    planned,
    summary,
    unit,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provision.engine.resource import Resource
    from tests.unit.conftest import Units
    from tests.unit.release.serving import Ran, Serve, Shell


@pytest.mark.parametrize(
    ("serving", "why"),
    [
        (None, "nothing serves yet"),
        (replace(SERVING, current=OTHER), f"{OTHER} is active"),
        (replace(SERVING, current=""), "nothing is active"),
        (replace(SERVING, fingerprint="other"), "its configuration changed"),
        (replace(SERVING, fingerprint=""), "its configuration changed"),
        (replace(SERVING, active="failed"), "its slot blue is failed"),
        (replace(SERVING, active="without its socket"), "its slot blue is without its socket"),
        (replace(SERVING, health="500"), "its health check answered 500"),
        (replace(SERVING, health="000"), "its health check answered 000"),
        (replace(SERVING, reload="yes"), "its unit changed"),
        (replace(SERVING, copies="differs"), "the files of slot blue were modified"),
        (replace(SERVING, enabled="disabled"), "its slot blue would not start at boot"),
        (replace(SERVING, idle="active"), "both slots run"),
        (replace(SERVING, unfinished=ID), "its last activation was not finished"),
        (PREVIEWED, f"{OTHER} is active"),
    ],
)
def test_a_release_is_activated_for_a_reason(serving: Serving | None, why: str) -> None:
    assert summary(ACTIVATION, serving) == f"shop: activate {ID} ({why})"


@pytest.mark.parametrize("idle", ["inactive", "failed", "unknown"])
def test_a_release_that_serves_as_it_should_is_right(idle: str) -> None:
    assert summary(ACTIVATION, replace(SERVING, idle=idle)) is None


def test_a_release_that_is_held_beside_it_is_right() -> None:
    assert summary(ACTIVATION, replace(SERVING, previewed=Previewed(OTHER, "newer", "503"))) is None


@pytest.mark.parametrize(
    ("before", "why"),
    [
        ("release:shop", "its files were restored"),
        ("venv:shop", "its files were restored"),
        ("directory:/srv/shop/shared", "its shared folder was restored"),
    ],
)
def test_a_release_is_activated_again_for_what_is_about_to_change(before: str, why: str) -> None:
    assert summary(ACTIVATION, before=(before,)) == f"shop: activate {ID} ({why})"


def test_another_apps_changes_activate_nothing() -> None:
    before = ("release:other", "venv:other", "file:/etc/other/units/other@.service", "directory:/srv/other/shared")
    assert summary(ACTIVATION, before=before) is None


def test_a_restart_starts_anew_what_serves_as_it_should() -> None:
    again = replace(ACTIVATION, again=True)
    assert summary(again) == f"shop: activate {ID} (restart)"
    assert planned(again, SERVING).script == planned(ACTIVATION).script
    assert planned(again, SERVING).undo == planned(ACTIVATION, BEFORE).undo


def test_a_restart_of_what_serves_in_another_way_is_for_the_restart() -> None:
    again = replace(ACTIVATION, again=True)
    assert summary(again, replace(SERVING, current=OTHER)) == f"shop: activate {ID} (restart)"
    assert summary(again, None) == f"shop: activate {ID} (nothing serves yet)"


def test_processes_that_do_not_run_are_started_and_the_traffic_stays_where_it_is() -> None:
    found = planned(ACTIVATION, replace(SERVING, down="worker mail"))
    assert found.summary == "shop: start worker, mail"
    assert function(found.script) == "process_keep"
    assert (found.phase, found.undo) == ("rolling", "")


def test_an_activation_starts_the_processes_too() -> None:
    assert summary(ACTIVATION, replace(SERVING, down="worker", health="500")) == (
        f"shop: activate {ID} (its health check answered 500)"
    )


@pytest.mark.parametrize(
    ("resource", "undo"),
    [
        (ACTIVATION, "activation_revert blue"),
        (PROMOTION, "activation_revert blue"),
        (PREVIEW, "preview_drop"),
        (NO_PREVIEW, ""),
    ],
    ids=["activation", "promotion", "hold", "dropped"],
)
def test_what_takes_the_traffic_or_a_slot_can_be_taken_back(resource: Resource, undo: str) -> None:
    found = planned(resource, BEFORE)
    assert found.phase == "rolling"
    assert (function(found.undo) if undo else found.undo) == undo


READ = [
    "app",
    "release",
    "folder",
    "fingerprint",
    "manager",
    "copies",
    "health",
    "passes",
    "timeout",
    "watch",
    "drain",
    "domain",
    "keep",
    "before",
    "after",
    "static",
    "settings",
]


def values(sh: Callable[..., Ran], script: str, called: str) -> dict[str, str]:
    """What a function finds in its variables, as the real shell assigns them."""
    shown = "; ".join(f'''printf '%s\\0' "${name}"''' for name in READ)
    ran = sh(f'set -eu\nlayout_app() {{ [ "$1" = "$app" ]; }}\n{called}() {{ {shown}; }}\n{script}\n')
    assert (ran.returncode, ran.stderr) == (0, "")
    return dict(zip(READ, ran.stdout.split("\0")[:-1], strict=True))


EXPECTED = {
    "app": "shop",
    "release": ID,
    "folder": "app",
    "fingerprint": "print",
    "manager": "systemd",
    "copies": "env,gunicorn.conf.py,units/shop@.service,units/shop@.socket",
    "health": "/health",
    "passes": "3",
    "timeout": "30",
    "watch": "2",
    "drain": "60",
    "domain": "shop.example.com",
    "keep": "5",
    "before": "",
    "after": "",
    "static": "",
    "settings": '{"module": "shop.main:app"}',
}


def test_an_activation_and_a_hold_have_all_that_they_read(sh: Callable[..., Ran]) -> None:
    assert values(sh, planned(ACTIVATION).script, "activation_run") == EXPECTED
    assert values(sh, planned(PREVIEW, BEFORE).script, "preview_start") == EXPECTED


def test_a_promotion_takes_what_its_slot_has(sh: Callable[..., Ran]) -> None:
    assert values(sh, planned(PROMOTION).script, "preview_promote") == {**EXPECTED, "fingerprint": ""}


def test_the_way_back_knows_the_slot_and_finds_the_release_by_itself(sh: Callable[..., Ran]) -> None:
    without = {**EXPECTED, "release": "", "folder": ".", "fingerprint": ""}
    assert values(sh, planned(ACTIVATION).undo, "activation_revert") == without
    assert values(sh, planned(PROMOTION).undo, "activation_revert") == without
    assert values(sh, planned(PREVIEW, BEFORE).undo, "preview_drop") == without


def test_a_value_may_be_anything(sh: Callable[..., Ran]) -> None:
    odd = {"before": "tell 'all' \"$HOME\" `id`; true", "after": "a\\b\\\\c  *", "health": "/health?x=1&y=%20"}
    slot = replace(
        SLOT,
        before=odd["before"],
        after=odd["after"],
        health=replace(HEALTH, path=odd["health"], domain=""),
        static=(("/static/", "app/static"), ("/media/", "media")),
    )
    found = values(sh, planned(replace(ACTIVATION, slot=slot)).script, "activation_run")
    assert {name: found[name] for name in odd} == odd
    assert (found["domain"], found["static"]) == ("", "static=app/static\nmedia=media")


def test_a_run_leaves_a_record_of_the_release_and_a_line_of_history(tmp_path: Path, shell: Shell) -> None:
    assert shell("new=blue who=jo@desk; activation_record held").returncode == 0
    state = tmp_path / "var" / "lib" / "provision"
    record = (state / "apps" / "shop" / "releases" / ID).read_text()
    line, settings = record.splitlines()
    kind, at, who = line.split("\t")
    assert (kind, who, settings) == ("held", "jo@desk", SLOT.settings)
    assert json.loads((state / "history.jsonl").read_text()) == {
        "app": "shop",
        "release": ID,
        "at": at,
        "slot": "blue",
        "state": "held",
        "who": "jo@desk",
    }


@pytest.mark.parametrize(
    ("called", "said"),
    [
        ("preview_promote", "shop: no release is held any more"),
        (
            f"preview_start {TOKEN}",
            "shop: nothing serves yet, so there is nothing to hold a release back from: deploy without --hold",
        ),
        ("activation_revert", "shop: there is no release to go back to"),
        ("preview_drop", "shop: no release is held any more"),
    ],
)
def test_what_cannot_be_is_one_clear_line(called: str, said: str, shell: Shell) -> None:
    ran = shell(called)
    assert (ran.returncode, ran.stdout) == (1, f"error: {said}\n")


def test_a_hook_that_fails_leaves_everything_as_it_was(slots: Path, shell: Shell, tmp_path: Path, units: Units) -> None:
    (units.folder / "systemd-run").write_text("#!/bin/sh\nexit 7\n")
    (units.folder / "systemd-run").chmod(0o755)
    ran = shell("before='python -m shop.warm'; activation_run")
    assert (ran.returncode, ran.stdout) == (
        1,
        "error: shop: the hook before the activation failed, and nothing was switched: python -m shop.warm\n",
    )
    assert not (slots / "green").exists()
    assert str((tmp_path / "run" / "shop" / "current.sock").readlink()) == "blue.sock"


def test_no_slot_of_a_killed_activation_stands_by_in_the_next_one(slots: Path, tmp_path: Path, shell: Shell) -> None:
    standing_by = tmp_path / "run" / "shop" / "previous.sock"
    standing_by.symlink_to("blue.sock")
    assert shell("old=blue new=green; activation_arm; trap - EXIT").returncode == 0
    assert not standing_by.is_symlink()


def test_from_the_switch_until_all_is_done_a_mark_says_that_it_is_not(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units, probed: Callable[[Slot], Serving]
) -> None:
    units.serve("blue")
    health(tmp_path / "run" / "shop" / "green.sock")
    (units.folder / "systemd-run").write_text("#!/bin/sh\nexit 7\n")
    (units.folder / "systemd-run").chmod(0o755)
    ran = shell("after='python -m shop.tell'; activation_run")
    assert ran.stdout == (
        f"error: shop: {ID} has the traffic, but the hook after the activation failed: python -m shop.tell\n"
    )
    assert probed(SLOT).unfinished == ID
    health(tmp_path / "run" / "shop" / "blue.sock")
    assert shell("activation_run").returncode == 0
    assert probed(SLOT).unfinished == ""


def test_an_activation_that_fails_after_the_switch_gives_everything_back(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    """Healthy before the switch, and no longer while it is watched."""
    units.serve("blue")
    health(tmp_path / "run" / "shop" / "green.sock", 200, 503)
    ran = shell("timeout=1; activation_run")
    assert ran.returncode == 1
    assert ran.stdout.startswith(
        f"error: shop: {ID} was no longer healthy with the traffic (/health answered 503 for a second)"
    )
    assert str((tmp_path / "run" / "shop" / "current.sock").readlink()) == "blue.sock"
    assert str((tmp_path / "srv" / "shop" / "current").readlink()) == f"releases/{OTHER}"
    assert str((slots / "current").readlink()) == "blue"
    assert units.running == {"shop@blue.socket", "shop@blue.service"}
    assert not (tmp_path / "run" / "shop" / "previous.sock").is_symlink()
    assert not (tmp_path / "var" / "lib" / "provision" / "apps" / "shop" / "unfinished").exists()
    assert units.calls.index("enable --quiet shop@green.socket") < len(units.calls) - units.calls[::-1].index(
        "disable --quiet shop@green.socket"
    )


def test_the_traffic_goes_back_even_if_nothing_can_be_written_down(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    """As on a full disk; here a file stands where the folder of the records should be."""
    units.serve("blue")
    records = tmp_path / "var" / "lib" / "provision" / "apps" / "shop" / "releases"
    records.parent.mkdir(parents=True)
    records.touch()
    health(tmp_path / "run" / "shop" / "green.sock", 200, 503)
    assert shell("timeout=1; activation_run").returncode == 1
    assert str((tmp_path / "run" / "shop" / "current.sock").readlink()) == "blue.sock"
    assert str((tmp_path / "srv" / "shop" / "current").readlink()) == f"releases/{OTHER}"
    assert units.running == {"shop@blue.socket", "shop@blue.service"}


def test_a_first_release_that_fails_leaves_nothing_that_serves(
    tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    shop = fill(tmp_path / "etc" / "shop", env="A=1\n", **{"gunicorn.conf.py": "workers = 3\n"})
    fill(shop / "units", **unit("shop@.service"), **unit("shop@.socket", ""))
    health(tmp_path / "run" / "shop" / "blue.sock", 200, 503)
    assert shell("timeout=1; activation_run").returncode == 1
    for link in (tmp_path / "run" / "shop" / "current.sock", tmp_path / "srv" / "shop" / "current", shop / "current"):
        assert not link.is_symlink()
    assert not units.running


def test_an_old_slot_ends_as_soon_as_it_has_answered_and_at_the_limit(
    tmp_path: Path, shell: Shell, units: Units
) -> None:
    began = time.monotonic()
    units.serve("blue")
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as client:
        listening.bind(str(tmp_path / "run" / "shop" / "blue.sock"))
        listening.listen()
        assert shell("old=blue drain=30; activation_drain").returncode == 0
        assert time.monotonic() - began < 5
        assert not units.running
        client.connect(str(tmp_path / "run" / "shop" / "blue.sock"))
        accepted, _ = listening.accept()
        began = time.monotonic()
        with accepted:
            assert shell("old=blue drain=2; activation_drain").returncode == 0
        assert time.monotonic() - began > 1


def test_what_was_killed_before_its_switch_is_abandoned_and_nothing_of_it_stands_by(
    slots: Path, tmp_path: Path, shell: Shell, units: Units
) -> None:
    units.serve("blue")
    run = tmp_path / "run" / "shop"
    (run / "previous.sock").symlink_to("blue.sock")
    (run / "standing-by").touch()
    static = tmp_path / "srv" / "shop" / "static"
    static.mkdir(parents=True, exist_ok=True)
    (static / "current").symlink_to("green")
    ran = shell("activation_revert blue")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert not (run / "standing-by").exists()
    assert not (run / "previous.sock").is_symlink()
    assert str((static / "current").readlink()) == "blue"


def test_on_the_way_back_a_release_has_three_times_as_long_to_become_healthy(slots: Path, shell: Shell) -> None:
    (slots / "green").mkdir(parents=True, exist_ok=True)
    (slots / "green/fingerprint").touch()
    taken = "activation_release() { :; }; activation_take_over() { echo $timeout; }; activation_finished() { :; }"
    ran = shell(f"timeout=10; {taken}; activation_revert green")
    assert (ran.returncode, ran.stdout) == (0, "30\n")
