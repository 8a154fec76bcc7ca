from __future__ import annotations

import hashlib
import json
import socket
import time
from dataclasses import astuple, fields, replace
from typing import TYPE_CHECKING

import pytest

from provision.engine.resource import Change, State
from provision.errors import PlanError
from provision.release import activation, manager
from provision.release import tree as release
from provision.release.activation import Activation, NoPreview, Preview, Promotion, Serving, Slot, preview_tokens
from provision.release.facts import PreviewedRelease
from tests.unit.conftest import planned as earlier

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from provision.engine.resource import Resource
    from tests.unit.conftest import Health, Units

    Ran = subprocess.CompletedProcess[str]
    Shell = Callable[[str], Ran]
    Observe = Callable[..., tuple[State, ...]]
    Serve = Callable[..., Health]

ID, OTHER = "20261121T230500-0123456", "20261001T000000-fedcba9"
TOKEN = "0123456789abcdef0123456789abcdef"
SLOT = Slot(
    app="shop",
    manager="systemd",
    copies=(("env", "e" * 64), ("gunicorn.conf.py", "c" * 64)),
    health="/health",
    passes=3,
    timeout=30,
    watch=2,
    drain=60,
    domain="shop.example.com",
    keep=5,
)
ACTIVATION = Activation(SLOT, ID, "app", "print")
HOLD = Preview(SLOT, ID, "app", "print", TOKEN)
PROMOTION = Promotion(SLOT, ID, "app")
DROPPED = NoPreview(SLOT, ID)
SERVING = Serving(
    slot="blue",
    fingerprint="print",
    active="active",
    enabled="enabled",
    reload_needed="no",
    snapshot="same",
    idle="inactive",
    unfinished="",
    current=ID,
    health="200",
    down="",
    held="",
    held_fingerprint="",
    held_health="",
)
BEFORE = replace(SERVING, current=OTHER, fingerprint="older")
HELD = replace(BEFORE, held=ID, held_fingerprint="print", held_health="200")


def change(resource: Resource, serving: Serving | None = SERVING, before: tuple[str, ...] = ()) -> Change | None:
    found = resource.plan(State((astuple(serving),) if serving else ()), earlier(*before))
    assert found is None or found.id == str(resource.ref)
    return found


def planned(resource: Resource, serving: Serving | None = None) -> Change:
    found = change(resource, serving)
    assert found is not None
    return found


def summary(resource: Resource, serving: Serving | None = SERVING, before: tuple[str, ...] = ()) -> str | None:
    found = change(resource, serving, before)
    return found.summary if found else None


def function(script: str) -> str:
    """The call itself, without what it reads."""
    return script.splitlines()[-1]


@pytest.mark.parametrize(
    ("serving", "why"),
    [
        (None, "nothing serves yet"),
        (replace(SERVING, current=OTHER), f"{OTHER} is active"),
        (replace(SERVING, current=""), "nothing is active"),
        (replace(SERVING, fingerprint="other"), "its configuration changed"),
        (replace(SERVING, fingerprint=""), "its configuration changed"),
        (replace(SERVING, active="failed"), "its slot blue is failed"),
        (replace(SERVING, health="500"), "its health check answered 500"),
        (replace(SERVING, health="000"), "its health check answered 000"),
        (replace(SERVING, reload_needed="yes"), "its unit changed"),
        (replace(SERVING, snapshot="differs"), "the files of slot blue were modified"),
        (replace(SERVING, enabled="disabled"), "its slot blue would not start at boot"),
        (replace(SERVING, idle="active"), "both slots run"),
        (replace(SERVING, unfinished=ID), "its last activation was not finished"),
        (HELD, f"{OTHER} is active"),
    ],
)
def test_a_release_is_activated_for_a_reason(serving: Serving | None, why: str) -> None:
    assert summary(ACTIVATION, serving) == f"shop: activate {ID} ({why})"


@pytest.mark.parametrize("idle", ["inactive", "failed", "unknown"])
def test_a_release_that_serves_as_it_should_is_right(idle: str) -> None:
    assert summary(ACTIVATION, replace(SERVING, idle=idle)) is None


def test_a_release_that_is_held_beside_it_is_right() -> None:
    assert summary(ACTIVATION, replace(SERVING, held=OTHER, held_fingerprint="newer", held_health="503")) is None


@pytest.mark.parametrize(
    ("before", "why"),
    [
        ("release:shop", "its files were restored"),
        ("venv:shop", "its files were restored"),
        ("file:/etc/systemd/system/shop@.service", "its unit changed"),
        ("directory:/srv/shop/shared", "its shared folder was restored"),
    ],
)
def test_a_release_is_activated_again_for_what_is_about_to_change(before: str, why: str) -> None:
    assert summary(ACTIVATION, before=(before,)) == f"shop: activate {ID} ({why})"


def test_another_apps_changes_activate_nothing() -> None:
    before = ("release:other", "venv:other", "file:/etc/systemd/system/other@.service", "directory:/srv/other/shared")
    assert summary(ACTIVATION, before=before) is None


def test_a_restart_starts_anew_what_serves_as_it_should() -> None:
    again = replace(ACTIVATION, again=True)
    assert summary(again) == f"shop: activate {ID} (restart)"
    assert planned(again, SERVING).script == planned(ACTIVATION).script
    assert planned(again, SERVING).undo == planned(ACTIVATION).undo


def test_a_restart_of_what_serves_in_another_way_is_for_the_restart() -> None:
    again = replace(ACTIVATION, again=True)
    assert summary(again, replace(SERVING, current=OTHER)) == f"shop: activate {ID} (restart)"
    assert summary(again, None) == f"shop: activate {ID} (nothing serves yet)"


def test_processes_that_do_not_run_are_started_and_the_traffic_stays_where_it_is() -> None:
    found = planned(ACTIVATION, replace(SERVING, down="worker mail"))
    assert found.summary == "shop: start worker, mail"
    assert function(found.script) == "keep_processes"
    assert (found.phase, found.undo) == ("rolling", "")


def test_an_activation_starts_the_processes_too() -> None:
    assert summary(ACTIVATION, replace(SERVING, down="worker", health="500")) == (
        f"shop: activate {ID} (its health check answered 500)"
    )


@pytest.mark.parametrize("serving", [BEFORE, replace(SERVING, fingerprint="older"), replace(SERVING, current=OTHER)])
def test_a_release_that_does_not_serve_as_it_is_wanted_is_held_beside_the_one_that_does(serving: Serving) -> None:
    found = planned(HOLD, serving)
    assert found.summary == f"shop: hold {ID} in the slot beside blue, without traffic"
    assert function(found.script) == f"hold {TOKEN}"


@pytest.mark.parametrize("serving", [SERVING, HELD, replace(SERVING, health="500", idle="active", down="worker")])
def test_what_serves_or_is_held_as_it_is_wanted_is_left_as_it_is(serving: Serving) -> None:
    assert change(HOLD, serving) is None


@pytest.mark.parametrize(
    "serving",
    [
        replace(HELD, held=OTHER),
        replace(HELD, held_fingerprint="other"),
        replace(HELD, held_health="503"),
        replace(HELD, held_health="000"),
    ],
    ids=["another", "configured otherwise", "ill", "ended"],
)
def test_what_is_held_in_another_way_is_held_anew(serving: Serving) -> None:
    assert change(HOLD, serving) is not None


@pytest.mark.parametrize("serving", [SERVING, HELD], ids=["active", "held"])
def test_a_release_whose_files_were_restored_is_held_anew(serving: Serving) -> None:
    for before in ("release:shop", "venv:shop", "directory:/srv/shop/shared"):
        assert change(HOLD, serving, (before,)) is not None
        assert change(HOLD, serving, (before.replace("shop", "blog"),)) is None


def test_a_first_release_cannot_be_held() -> None:
    with pytest.raises(PlanError) as caught:
        change(HOLD, None)
    assert str(caught.value) == (
        "shop: nothing serves yet, so there is nothing to hold a release back from: deploy without --hold"
    )


@pytest.mark.parametrize("serving", [None, SERVING, HELD])
def test_what_is_held_is_promoted_or_dropped_whatever_else_there_is(serving: Serving | None) -> None:
    assert summary(PROMOTION, serving) == f"shop: activate {ID} (it is held)"
    assert function(planned(PROMOTION, serving).script) == "promote"
    assert summary(DROPPED, serving) == f"shop: drop {ID}, which is held"
    assert function(planned(DROPPED, serving).script) == "drop"


@pytest.mark.parametrize(
    ("resource", "undo"),
    [(ACTIVATION, "revert"), (PROMOTION, "revert"), (HOLD, "drop"), (DROPPED, "")],
    ids=["activation", "promotion", "hold", "dropped"],
)
def test_what_takes_the_traffic_or_a_slot_can_be_taken_back(resource: Resource, undo: str) -> None:
    found = planned(resource, BEFORE)
    assert found.phase == "rolling"
    assert (function(found.undo) if undo else found.undo) == undo


@pytest.mark.parametrize(
    ("made", "expected"),
    [([], {"shop": "old"}), (["hold:shop"], {"shop": TOKEN}), (["activation:shop"], {})],
    ids=["nothing", "a preview", "an activation"],
)
def test_a_preview_is_had_until_an_activation_ends_it(made: list[str], expected: dict[str, str]) -> None:
    previews = {"shop": PreviewedRelease(ID, "old"), "blog": PreviewedRelease(OTHER, "old")}
    assert preview_tokens(previews, {"shop": ID, "blog": ID}, earlier(*made), TOKEN) == expected
    assert preview_tokens(previews, {}, earlier(*made), TOKEN) == {}, "no release is wanted"


def test_without_a_token_nothing_is_previewed_anew() -> None:
    assert preview_tokens({}, {"shop": ID}, earlier("hold:shop"), "") == {}


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
    "processes",
]


def values(sh: Callable[..., Ran], script: str, called: str) -> dict[str, str]:
    """What a function finds in its variables, as the real shell assigns them."""
    shown = "; ".join(f'''printf '%s\\0' "${name}"''' for name in READ)
    ran = sh(f"set -eu\n{called}() {{ {shown}; }}\n{script}\n")
    assert (ran.returncode, ran.stderr) == (0, "")
    return dict(zip(READ, ran.stdout.split("\0")[:-1], strict=True))


EXPECTED = {
    "app": "shop",
    "release": ID,
    "folder": "app",
    "fingerprint": "print",
    "manager": "systemd",
    "copies": "env,gunicorn.conf.py",
    "health": "/health",
    "passes": "3",
    "timeout": "30",
    "watch": "2",
    "drain": "60",
    "domain": "shop.example.com",
    "keep": "5",
    "before": "",
    "after": "",
    "processes": "",
}


def test_an_activation_and_a_hold_have_all_that_they_read(sh: Callable[..., Ran]) -> None:
    assert values(sh, planned(ACTIVATION).script, "activate") == EXPECTED
    assert values(sh, planned(HOLD, BEFORE).script, "hold") == EXPECTED


def test_a_promotion_takes_what_its_slot_has(sh: Callable[..., Ran]) -> None:
    assert values(sh, planned(PROMOTION).script, "promote") == {**EXPECTED, "fingerprint": ""}


def test_the_way_back_knows_the_slot_and_finds_the_release_by_itself(sh: Callable[..., Ran]) -> None:
    without = {**EXPECTED, "release": "", "folder": ".", "fingerprint": ""}
    assert values(sh, planned(ACTIVATION).undo, "revert") == without
    assert values(sh, planned(PROMOTION).undo, "revert") == without
    assert values(sh, planned(HOLD, BEFORE).undo, "drop") == without


def test_a_value_may_be_anything_in_one_line(sh: Callable[..., Ran]) -> None:
    odd = {"before": "tell 'all' \"$HOME\" `id`; true", "after": "a\\b\\\\c  *", "health": "/health?x=1&y=%20"}
    slot = replace(
        SLOT,
        before=odd["before"],
        after=odd["after"],
        health=odd["health"],
        domain="",
        processes=("worker", "mail"),
    )
    found = values(sh, planned(replace(ACTIVATION, slot=slot)).script, "activate")
    assert {name: found[name] for name in odd} == odd
    assert (found["domain"], found["processes"]) == ("", "worker mail")


def test_no_field_of_the_probe_is_empty() -> None:
    """The shell reads them by tabs, of which it takes two for one."""
    assert SLOT.probe().item == (
        "shop",
        "/health",
        "shop.example.com",
        f"env={'e' * 64},gunicorn.conf.py={'c' * 64}",
        "-",
    )
    bare = replace(SLOT, domain="", processes=("worker", "mail"))
    assert bare.probe().item[2:] == ("-", SLOT.probe().item[3], "worker,mail")


def test_all_that_concerns_a_slot_asks_the_same() -> None:
    assert {each.probe() for each in (ACTIVATION, HOLD, PROMOTION, DROPPED)} == {SLOT.probe()}


@pytest.fixture
def places(tmp_path: Path, me: tuple[str, str], units: Units) -> dict[str, object]:
    """A server's folders in the test's own, which belong to whoever runs the tests."""
    for folder in ("run/shop", "srv/shop/releases", "etc/shop", "etc/supervisor/conf.d", "var/lib/provision"):
        (tmp_path / folder).mkdir(parents=True)
    return {
        "/run/": f"{tmp_path}/run/",
        "/srv/": f"{tmp_path}/srv/",
        "/etc/": f"{tmp_path}/etc/",
        "/var/l": f"{tmp_path}/var/l",
        "PATH=/": f"PATH={units.folder}:/",
    }


@pytest.fixture
def shell(call: Callable[..., Ran], places: dict[str, object], me: tuple[str, str]) -> Shell:
    """Shell functions, called as an activation calls them."""
    user, group = me
    owners = {
        " root root": f" {user} {group}",
        ' root "$app"': f" {user} {group}",
        '"root:$app"': f"{user}:{group}",
        "-o root -g www-data": f"-o {user} -g {group}",
    }
    slot = replace(SLOT, domain="", passes=1, timeout=5, watch=0, drain=1, keep=2)

    def run(script: str) -> Ran:
        called = slot.call("true", release=ID, fingerprint="print")
        return call([release, manager, activation], f"{called}\n{script}", {**places, **owners})

    return run


def fill(folder: Path, **contents: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_text(content)
    return folder


def test_the_slot_with_the_traffic_is_the_one_that_the_link_names(tmp_path: Path, shell: Shell) -> None:
    assert shell("slot_of shop").stdout == "\n"
    (tmp_path / "run" / "shop" / "current.sock").symlink_to("green.sock")
    assert shell("slot_of shop; other green; other blue").stdout == "green\nblue\ngreen\n"


def test_where_the_link_is_gone_the_slot_that_runs_is_the_live_one(tmp_path: Path, shell: Shell, units: Units) -> None:
    assert shell("live_of shop").stdout == "\n"
    units.start("shop@green")
    assert shell("live_of shop").stdout == "green\n"
    (tmp_path / "run" / "shop" / "current.sock").symlink_to("blue.sock")
    assert shell("live_of shop").stdout == "blue\n"


def test_a_held_slot_is_held_until_it_is_let_go(tmp_path: Path, shell: Shell) -> None:
    assert shell("held_slot shop").stdout == ""
    run = fill(tmp_path / "run" / "shop", held="green\n")
    fill(run / "preview", **{TOKEN: ""})
    (run / "preview.sock").symlink_to("green.sock")
    (run / "current.sock").symlink_to("blue.sock")
    (tmp_path / "srv" / "shop" / "preview").symlink_to(f"releases/{ID}")
    assert shell("held_slot shop").stdout == "green\n"
    assert shell("let_go; held_slot shop").stdout == ""
    assert [path.name for path in run.iterdir()] == ["current.sock"]
    assert [path.name for path in (tmp_path / "srv" / "shop").iterdir()] == ["releases"]


def test_the_app_is_asked_as_nginx_asks(tmp_path: Path, shell: Shell, health: Serve) -> None:
    path = tmp_path / "run" / "shop" / "blue.sock"
    assert shell("ask /run/shop/blue.sock shop.example.com /health").stdout == "000"
    app = health(path, 503, 200)
    asks = "ask /run/shop/blue.sock shop.example.com '/health?deep=1'; echo; ask /run/shop/blue.sock '' /"
    assert shell(asks).stdout == "503\n200"
    first, second = app.asked
    assert (first["path"], first["host"], first["x-forwarded-host"]) == (
        "/health?deep=1",
        "shop.example.com",
        "shop.example.com",
    )
    assert (first["x-forwarded-proto"], first["x-forwarded-for"]) == ("https", "127.0.0.1")
    assert (second["path"], second["host"]) == ("/", "localhost")


@pytest.mark.parametrize(
    ("statuses", "asked"), [((200,), 3), ((503, 200), 4), ((200, 200, 500, 200), 6)], ids=["well", "late", "wavering"]
)
def test_healthy_is_so_many_good_answers_in_a_row(
    statuses: tuple[int, ...], asked: int, tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    units.start("shop@blue")
    app = health(tmp_path / "run" / "shop" / "blue.sock", *statuses)
    assert shell('new=blue passes=3; await_health; echo "$answer"').stdout == "200\n"
    assert len(app.asked) == asked


def test_a_slot_that_ended_is_not_waited_for(shell: Shell) -> None:
    began = time.monotonic()
    assert shell('new=blue timeout=30; await_health || echo "$answer"').stdout == "000\n"
    assert time.monotonic() - began < 5


def test_a_slot_that_is_not_healthy_in_time_is_given_up(
    tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    units.start("shop@blue")
    health(tmp_path / "run" / "shop" / "blue.sock", 503)
    assert shell('new=blue timeout=0; await_health || echo "$answer"').stdout == "503\n"


@pytest.fixture
def slots(tmp_path: Path, places: dict[str, object]) -> Path:
    """/etc/shop with what an activation copies; blue has the traffic with OTHER."""
    shop = fill(tmp_path / "etc" / "shop", env="A=1\n", **{"gunicorn.conf.py": "workers = 3\n"})
    fill(shop / "blue", env="A=0\n", fingerprint="older\n", manager="systemd\n")
    (shop / "blue" / "release").symlink_to(tmp_path / "srv" / "shop" / "releases" / OTHER)
    (shop / "current").symlink_to("blue")
    (tmp_path / "run" / "shop" / "current.sock").symlink_to("blue.sock")
    (tmp_path / "srv" / "shop" / "current").symlink_to(f"releases/{OTHER}")
    for name in (ID, OTHER):
        (tmp_path / "srv" / "shop" / "releases" / name).mkdir()
    return shop


SUPERVISED = "manager=supervisor copies=env,gunicorn.conf.py,start,program.conf; "


def test_a_slot_has_its_own_copies_of_what_it_runs_with(
    slots: Path, tmp_path: Path, shell: Shell, units: Units
) -> None:
    (slots / "env").chmod(0o640)
    venv = tmp_path / "srv" / "shop" / "releases" / ID / ".venv"
    venv.parent.mkdir(parents=True, exist_ok=True)
    venv.symlink_to("../../venvs/key")
    (tmp_path / "srv" / "shop" / "venvs").mkdir(exist_ok=True)
    assert shell("new=green; prepare_slot").returncode == 0
    green = slots / "green"
    assert {path.name for path in green.iterdir()} == {
        "env",
        "gunicorn.conf.py",
        "release",
        "venv",
        "manager",
        "fingerprint",
    }
    assert (green / "env").read_text() == "A=1\n"
    assert (green / "env").stat().st_mode & 0o777 == 0o640
    assert green.stat().st_mode & 0o777 == 0o750
    assert (green / "manager").read_text() == "systemd\n"
    assert (green / "fingerprint").read_text() == "print\n"
    assert (slots / "blue" / "env").read_text() == "A=0\n"
    assert str((green / "release").readlink()).endswith(f"/srv/shop/releases/{ID}")
    assert str((green / "venv").readlink()).endswith("/srv/shop/venvs/key")
    assert units.calls == ["is-enabled --quiet shop@green", "disable --quiet shop@green"]


def test_a_slot_under_supervisor_has_its_own_program_too(slots: Path, tmp_path: Path, shell: Shell) -> None:
    fill(slots, start="#!/bin/sh\n", **{"program.conf": "[program:shop-@SLOT@]\ncommand=/etc/shop/@SLOT@/start web\n"})
    (slots / "start").chmod(0o750)
    assert shell(f"{SUPERVISED}new=green; prepare_slot").returncode == 0
    assert (slots / "green" / "start").stat().st_mode & 0o777 == 0o750
    assert (slots / "green" / "manager").read_text() == "supervisor\n"
    program = tmp_path / "etc" / "supervisor" / "conf.d" / "shop-green.conf"
    assert program.read_text() == "[program:shop-green]\ncommand=/etc/shop/green/start web\n"
    assert program.stat().st_mode & 0o777 == 0o644


def test_a_slot_keeps_nothing_of_the_manager_that_it_had_before(slots: Path, tmp_path: Path, shell: Shell) -> None:
    fill(slots, start="#!/bin/sh\n", **{"program.conf": "[program:shop-@SLOT@]\n"})
    assert shell(f"{SUPERVISED}new=green; prepare_slot").returncode == 0
    assert shell("new=green; prepare_slot").returncode == 0
    assert not {"start", "program.conf"} & {path.name for path in (slots / "green").iterdir()}
    assert not list((tmp_path / "etc" / "supervisor" / "conf.d").iterdir())
    assert (slots / "green" / "manager").read_text() == "systemd\n"


def copies(folder: Path, *names: str) -> str:
    """As a probe's item has them."""
    return ",".join(f"{name}={hashlib.sha256((folder / name).read_bytes()).hexdigest()}" for name in names)


def test_the_copies_of_a_slot_are_compared_with_what_is_wanted(slots: Path, shell: Shell) -> None:
    shell("new=green; prepare_slot")
    sums = copies(slots, "env", "gunicorn.conf.py")
    assert shell(f"copies_of shop green {sums}").stdout == "same\n"
    assert shell(f"copies_of shop blue {sums}").stdout == "differs\n"
    (slots / "green" / "env").write_text("A=2\n")
    assert shell(f"copies_of shop green {sums}").stdout == "differs\n"
    (slots / "green" / "env").unlink()
    assert shell(f"copies_of shop green {sums}").stdout == "differs\n"


def test_a_slots_program_is_compared_too(slots: Path, tmp_path: Path, shell: Shell) -> None:
    fill(slots, start="#!/bin/sh\n", **{"program.conf": "[program:shop-@SLOT@]\n"})
    shell(f"{SUPERVISED}new=green; prepare_slot")
    sums = copies(slots, "env", "program.conf")
    assert shell(f"copies_of shop green {sums}").stdout == "same\n"
    program = tmp_path / "etc" / "supervisor" / "conf.d" / "shop-green.conf"
    program.write_text("[program:shop-green]\nautostart=true\n")
    assert shell(f"copies_of shop green {sums}").stdout == "differs\n"
    program.unlink()
    assert shell(f"copies_of shop green {sums}").stdout == "differs\n"


@pytest.fixture
def look(places: dict[str, object], observe: Observe) -> Callable[[Slot], Serving]:
    """What the probe finds of a slot."""

    def run(slot: Slot) -> Serving:
        ((row,),) = observe(Activation(slot, ID, ".", "print"), places=places)
        assert len(row) == len(fields(Serving))
        return Serving(*row)

    return run


def test_an_app_that_does_not_serve_has_no_row(places: dict[str, object], observe: Observe) -> None:
    assert observe(ACTIVATION, places=places) == ((),)


def test_the_probes_row_says_how_the_app_is_served(
    slots: Path, tmp_path: Path, units: Units, health: Serve, look: Callable[[Slot], Serving]
) -> None:
    units.start("shop@blue", "shop-worker.service")
    app = health(tmp_path / "run" / "shop" / "blue.sock")
    slot = replace(SLOT, processes=("worker", "mail", "tidy"))
    assert look(slot) == Serving(
        slot="blue",
        fingerprint="older",
        active="active",
        enabled="enabled",
        reload_needed="no",
        snapshot="differs",
        idle="inactive",
        unfinished="",
        current=OTHER,
        health="200",
        down="mail tidy",
        held="",
        held_fingerprint="",
        held_health="",
    )
    assert app.asked[0]["host"] == "shop.example.com"
    assert look(SLOT).down == ""
    units.start("shop@green")
    assert look(SLOT).idle == "active"


def test_the_probe_asks_for_no_name_where_there_is_no_nginx(
    slots: Path, tmp_path: Path, health: Serve, look: Callable[[Slot], Serving]
) -> None:
    app = health(tmp_path / "run" / "shop" / "blue.sock")
    assert look(replace(SLOT, domain="")).health == "200"
    assert app.asked[0]["host"] == "localhost"


def test_a_release_that_is_held_is_in_the_row_and_its_slot_counts_as_idle(
    slots: Path, tmp_path: Path, units: Units, health: Serve, shell: Shell, look: Callable[[Slot], Serving]
) -> None:
    shell("new=green; prepare_slot")
    units.start("shop@blue", "shop@green")
    fill(tmp_path / "run" / "shop", held="green\n")
    health(tmp_path / "run" / "shop" / "green.sock", 204)
    found = look(SLOT)
    assert (found.idle, found.held, found.held_fingerprint, found.held_health) == ("inactive", ID, "print", "204")
    assert (found.slot, found.current, found.health) == ("blue", OTHER, "000")


def test_under_supervisor_the_slot_that_the_link_names_is_started_at_boot(
    slots: Path, look: Callable[[Slot], Serving]
) -> None:
    """Supervisor is not there in this test, so nothing of its runs."""
    fill(slots / "blue", manager="supervisor\n")
    found = look(replace(SLOT, processes=("worker",)))
    assert (found.active, found.enabled, found.reload_needed, found.down) == ("inactive", "enabled", "no", "worker")
    (slots / "current").unlink()
    assert look(SLOT).enabled == "disabled"


def test_a_run_leaves_a_record_of_the_release_and_a_line_of_history(tmp_path: Path, shell: Shell) -> None:
    assert shell("new=blue who=jo@desk; record held").returncode == 0
    state = tmp_path / "var" / "lib" / "provision"
    record = (state / "apps" / "shop" / "releases" / ID).read_text()
    kind, at, who = record.removesuffix("\n").split("\t")
    assert (kind, who) == ("held", "jo@desk")
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
        ("promote", "shop: no release is held any more"),
        (
            f"hold {TOKEN}",
            "shop: nothing serves yet, so there is nothing to hold a release back from: deploy without --hold",
        ),
        ("revert", "shop: there is no release to go back to"),
        ("drop", "shop: no release is held any more"),
    ],
)
def test_what_cannot_be_is_one_clear_line(called: str, said: str, shell: Shell) -> None:
    ran = shell(called)
    assert (ran.returncode, ran.stdout) == (1, f"error: {said}\n")


def test_a_hook_that_fails_leaves_everything_as_it_was(slots: Path, shell: Shell, tmp_path: Path, units: Units) -> None:
    (units.folder / "systemd-run").write_text("#!/bin/sh\nexit 7\n")
    (units.folder / "systemd-run").chmod(0o755)
    ran = shell("before='python -m shop.warm'; activate")
    assert (ran.returncode, ran.stdout) == (
        1,
        "error: shop: the hook before the activation failed, and nothing was switched: python -m shop.warm\n",
    )
    assert not (slots / "green").exists()
    assert str((tmp_path / "run" / "shop" / "current.sock").readlink()) == "blue.sock"


def test_a_release_is_held_with_its_token_and_nothing_of_the_traffic(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    units.start("shop@blue")
    health(tmp_path / "run" / "shop" / "green.sock")
    ran = shell(f"hold {TOKEN}")
    assert (ran.returncode, ran.stdout) == (0, "")
    run = tmp_path / "run" / "shop"
    assert (run / "held").read_text() == "green\n"
    assert [path.name for path in (run / "preview").iterdir()] == [TOKEN]
    assert (run / "preview").stat().st_mode & 0o7777 == 0o2750
    assert str((run / "preview.sock").readlink()) == "green.sock"
    assert str((tmp_path / "srv" / "shop" / "preview").readlink()) == f"releases/{ID}"
    assert str((run / "current.sock").readlink()) == "blue.sock"
    assert str((tmp_path / "srv" / "shop" / "current").readlink()) == f"releases/{OTHER}"
    assert str((slots / "current").readlink()) == "blue"
    records = tmp_path / "var" / "lib" / "provision" / "apps" / "shop" / "releases"
    assert (records / ID).read_text().startswith("held\t")
    assert not [call for call in units.calls if call.startswith("enable")]


def test_a_release_that_is_held_anew_has_only_the_new_token(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve
) -> None:
    health(tmp_path / "run" / "shop" / "green.sock")
    assert shell(f"hold {'a' * 32}").returncode == 0
    assert shell(f"hold {TOKEN}").returncode == 0
    assert [path.name for path in (tmp_path / "run" / "shop" / "preview").iterdir()] == [TOKEN]


def test_a_release_that_cannot_be_held_leaves_nothing_and_is_recorded_as_failed(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    health(tmp_path / "run" / "shop" / "green.sock", 503)
    ran = shell(f"timeout=0; hold {TOKEN}")
    assert ran.returncode == 1
    assert ran.stdout.startswith(f"error: shop: {ID} was not healthy within 0s (/health answered 503)")
    assert {path.name for path in (tmp_path / "run" / "shop").iterdir()} == {"current.sock", "green.sock"}
    assert not (units.folder / "running" / "shop@green").exists()
    records = tmp_path / "var" / "lib" / "provision" / "apps" / "shop" / "releases"
    assert (records / ID).read_text().startswith("failed\t")


def test_a_release_that_is_dropped_leaves_the_other_one_as_it_was(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    health(tmp_path / "run" / "shop" / "green.sock")
    shell(f"hold {TOKEN}")
    assert (units.folder / "running" / "shop@green").exists()
    assert shell("drop").returncode == 0
    assert {path.name for path in (tmp_path / "run" / "shop").iterdir()} == {"current.sock", "green.sock"}
    assert not (units.folder / "running" / "shop@green").exists()
    records = tmp_path / "var" / "lib" / "provision" / "apps" / "shop" / "releases"
    assert (records / ID).read_text().startswith("dropped\t")


def test_a_release_that_is_held_takes_over_without_being_started_again(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    units.start("shop@blue")
    health(tmp_path / "run" / "shop" / "green.sock")
    shell(f"hold {TOKEN}")
    before = len(units.calls)
    ran = shell("release=''; promote")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert "start shop@green" not in units.calls[before:]
    assert "enable --quiet shop@green" in units.calls[before:]
    assert {path.name for path in (tmp_path / "run" / "shop").iterdir()} == {"current.sock", "green.sock"}
    assert str((tmp_path / "run" / "shop" / "current.sock").readlink()) == "green.sock"
    assert str((tmp_path / "srv" / "shop" / "current").readlink()) == f"releases/{ID}"
    assert str((slots / "current").readlink()) == "green"
    assert [path.name for path in (units.folder / "running").iterdir()] == ["shop@green"]
    records = tmp_path / "var" / "lib" / "provision" / "apps" / "shop" / "releases"
    assert (records / ID).read_text().startswith("good\t")


def test_an_activation_of_what_is_held_only_takes_over(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    units.start("shop@blue")
    health(tmp_path / "run" / "shop" / "green.sock")
    shell(f"hold {TOKEN}")
    before = len(units.calls)
    assert shell("activate").returncode == 0
    assert "start shop@green" not in units.calls[before:]
    assert not (tmp_path / "run" / "shop" / "held").exists()


def test_no_slot_of_a_killed_activation_stands_by_in_the_next_one(slots: Path, tmp_path: Path, shell: Shell) -> None:
    standing_by = tmp_path / "run" / "shop" / "previous.sock"
    standing_by.symlink_to("blue.sock")
    assert shell("old=blue new=green; arm; trap - EXIT").returncode == 0
    assert not standing_by.is_symlink()


def test_from_the_switch_until_all_is_done_a_mark_says_that_it_is_not(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units, look: Callable[[Slot], Serving]
) -> None:
    units.start("shop@blue")
    health(tmp_path / "run" / "shop" / "green.sock")
    (units.folder / "systemd-run").write_text("#!/bin/sh\nexit 7\n")
    (units.folder / "systemd-run").chmod(0o755)
    ran = shell("after='python -m shop.tell'; activate")
    assert ran.stdout == (
        f"error: shop: {ID} has the traffic, but the hook after the activation failed: python -m shop.tell\n"
    )
    assert look(SLOT).unfinished == ID
    health(tmp_path / "run" / "shop" / "blue.sock")
    assert shell("activate").returncode == 0
    assert look(SLOT).unfinished == ""


def test_an_activation_that_fails_after_the_switch_gives_everything_back(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    """Healthy before the switch, and no longer while it is watched."""
    units.start("shop@blue")
    health(tmp_path / "run" / "shop" / "green.sock", 200, 503)
    ran = shell("timeout=1; activate")
    assert ran.returncode == 1
    assert ran.stdout.startswith(f"error: shop: {ID} was no longer healthy after 0s with the traffic")
    assert str((tmp_path / "run" / "shop" / "current.sock").readlink()) == "blue.sock"
    assert str((tmp_path / "srv" / "shop" / "current").readlink()) == f"releases/{OTHER}"
    assert str((slots / "current").readlink()) == "blue"
    assert [path.name for path in (units.folder / "running").iterdir()] == ["shop@blue"]
    assert not (tmp_path / "run" / "shop" / "previous.sock").is_symlink()
    assert not (tmp_path / "var" / "lib" / "provision" / "apps" / "shop" / "unfinished").exists()
    assert units.calls.index("enable --quiet shop@green") < len(units.calls) - units.calls[::-1].index(
        "disable --quiet shop@green"
    )


def test_a_first_release_that_fails_leaves_nothing_that_serves(
    tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    shop = fill(tmp_path / "etc" / "shop", env="A=1\n", **{"gunicorn.conf.py": "workers = 3\n"})
    health(tmp_path / "run" / "shop" / "blue.sock", 200, 503)
    assert shell("timeout=1; activate").returncode == 1
    for link in (tmp_path / "run" / "shop" / "current.sock", tmp_path / "srv" / "shop" / "current", shop / "current"):
        assert not link.is_symlink()
    assert not list((units.folder / "running").iterdir())


def test_an_old_slot_ends_as_soon_as_it_has_answered_and_at_the_limit(
    tmp_path: Path, shell: Shell, units: Units
) -> None:
    began = time.monotonic()
    units.start("shop@blue")
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as client:
        listening.bind(str(tmp_path / "run" / "shop" / "blue.sock"))
        listening.listen()
        assert shell("old=blue drain=30; drain_slot").returncode == 0
        assert time.monotonic() - began < 5
        assert not (units.folder / "running" / "shop@blue").exists()
        client.connect(str(tmp_path / "run" / "shop" / "blue.sock"))
        accepted, _ = listening.accept()
        began = time.monotonic()
        with accepted:
            assert shell("old=blue drain=2; drain_slot").returncode == 0
        assert time.monotonic() - began > 1


@pytest.fixture
def prune(tmp_path: Path, shell: Shell) -> Callable[[int], tuple[list[str], list[str]]]:
    """Seven releases, a day and a venv each, of which the first is active and in slot blue and the third in green.

    What stays of them, as days, when so many are kept: releases, and venvs.
    """
    shop, folders = tmp_path / "srv" / "shop", tmp_path / "etc" / "shop"
    (tmp_path / "var" / "lib" / "provision" / "apps" / "shop" / "releases").mkdir(parents=True)
    for day in range(1, 8):
        (shop / "releases" / f"2026010{day}T000000-abc").mkdir(parents=True)
        (shop / "venvs" / f"key{day}").mkdir(parents=True)
        (shop / "releases" / f"2026010{day}T000000-abc" / ".venv").symlink_to(f"../../venvs/key{day}")
    for slot, day in (("blue", 1), ("green", 3)):
        (folders / slot).mkdir(parents=True)
        (folders / slot / "release").symlink_to(shop / "releases" / f"2026010{day}T000000-abc")
    (shop / "current").symlink_to("releases/20260101T000000-abc")

    def run(keep: int) -> tuple[list[str], list[str]]:
        assert shell(f"keep={keep}; prune").returncode == 0
        releases = sorted(path.name[7] for path in (shop / "releases").iterdir())
        return releases, sorted(path.name[3] for path in (shop / "venvs").iterdir())

    return run


def test_the_newest_releases_stay_and_those_in_use_with_their_venvs(
    prune: Callable[[int], tuple[list[str], list[str]]],
) -> None:
    assert prune(2) == (["1", "3", "6", "7"], ["1", "3", "6", "7"])


def test_a_venv_that_only_a_slot_has_stays(tmp_path: Path, prune: Callable[[int], tuple[list[str], list[str]]]) -> None:
    """The slot's release has another one since, with which it is yet to be started."""
    shop = tmp_path / "srv" / "shop"
    (shop / "venvs" / "key8").mkdir()
    (tmp_path / "etc" / "shop" / "blue" / "venv").symlink_to(shop / "venvs" / "key8")
    assert prune(2) == (["1", "3", "6", "7"], ["1", "3", "6", "7", "8"])


def test_failed_releases_go_unless_a_slot_has_them_and_take_no_place_of_good_ones(
    tmp_path: Path, prune: Callable[[int], tuple[list[str], list[str]]]
) -> None:
    records = tmp_path / "var" / "lib" / "provision" / "apps" / "shop" / "releases"
    for day, state in ((3, "failed"), (4, "good"), (6, "failed"), (7, "failed")):
        (records / f"2026010{day}T000000-abc").write_text(f"{state}\t2026-01-0{day}T00:00:00Z\tjo@desk\n")
    assert prune(2) == (["1", "3", "4", "5"], ["1", "3", "4", "5"])
    assert sorted(path.name[7] for path in records.iterdir()) == ["3", "4"]
