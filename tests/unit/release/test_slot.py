"""The slots of an app."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from provision.release.slot import Previewed, Serving, Slot
from tests.unit.release.serving import (
    ACTIVATION,
    ID,
    NO_NGINX,
    NO_PREVIEW,
    OTHER,
    PREVIEW,
    PROMOTION,
    SLOT,
    fill,
    unit,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.conftest import Units
    from tests.unit.release.serving import Observe, Serve, Shell


NO_LINKS = hashlib.sha256(b"").hexdigest()


def test_no_field_of_the_probe_is_empty() -> None:
    """The shell reads them by tabs, of which it takes two for one."""
    assert SLOT.probe().item == (
        "shop",
        "/health",
        "shop.example.com",
        f"env={'e' * 64},gunicorn.conf.py={'c' * 64},units/shop@.service={'a' * 64},units/shop@.socket={'b' * 64}",
        NO_LINKS,
    )
    bare = replace(NO_NGINX, static=(("/static/", "app/static"), ("/media/", "media")))
    links = hashlib.sha256(b"media=media\nstatic=app/static\n").hexdigest()
    assert bare.probe().item[2:] == ("-", SLOT.probe().item[3], links)


def test_all_that_concerns_a_slot_asks_the_same() -> None:
    assert {each.probe() for each in (ACTIVATION, PREVIEW, PROMOTION, NO_PREVIEW)} == {SLOT.probe()}


def test_the_slot_with_the_traffic_is_the_one_that_the_link_names(tmp_path: Path, shell: Shell) -> None:
    assert shell("slot_current").stdout == "\n"
    (tmp_path / "run" / "shop" / "current.sock").symlink_to("green.sock")
    assert shell("slot_current; slot_other green; slot_other blue").stdout == "green\nblue\ngreen\n"


def test_where_the_link_is_gone_the_slot_that_runs_is_the_live_one(tmp_path: Path, shell: Shell, units: Units) -> None:
    assert shell("slot_live shop").stdout == "\n"
    units.serve("green")
    assert shell("slot_live shop").stdout == "green\n"
    (tmp_path / "run" / "shop" / "current.sock").symlink_to("blue.sock")
    assert shell("slot_live shop").stdout == "blue\n"


def test_the_app_is_asked_as_nginx_asks(tmp_path: Path, shell: Shell, health: Serve) -> None:
    path = tmp_path / "run" / "shop" / "blue.sock"
    assert shell("slot_http_status $app_sockets/blue.sock shop.example.com /health").stdout == "000"
    app = health(path, 503, 200)
    asks = "slot_http_status $app_sockets/blue.sock shop.example.com '/health?deep=1'; echo; slot_http_status $app_sockets/blue.sock '' /"
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
    units.serve("blue")
    app = health(tmp_path / "run" / "shop" / "blue.sock", *statuses)
    assert shell('new=blue passes=3; slot_await_health; echo "$answer"').stdout == "200\n"
    assert len(app.asked) == asked


def test_a_slot_that_ended_is_not_waited_for(shell: Shell) -> None:
    began = time.monotonic()
    assert shell('new=blue timeout=30; slot_await_health || echo "$answer"').stdout == "ended\n"
    assert time.monotonic() - began < 5


def test_a_slot_that_is_not_healthy_in_time_is_given_up(
    tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    units.serve("blue")
    health(tmp_path / "run" / "shop" / "blue.sock", 503)
    assert shell('new=blue timeout=1; slot_await_health || echo "$answer"').stdout == "503\n"


SUPERVISED = "manager=supervisor copies=env,gunicorn.conf.py,start,program.conf; "


def test_a_slot_has_its_own_copies_of_what_it_runs_with(
    slots: Path, tmp_path: Path, shell: Shell, units: Units
) -> None:
    (slots / "env").chmod(0o640)
    venv = tmp_path / "srv" / "shop" / "releases" / ID / ".venv"
    venv.parent.mkdir(parents=True, exist_ok=True)
    venv.symlink_to("../../venvs/key")
    (tmp_path / "srv" / "shop" / "venvs").mkdir(exist_ok=True)
    assert shell("new=green; slot_prepare").returncode == 0
    green = slots / "green"
    assert {path.name for path in green.iterdir()} == {
        "env",
        "gunicorn.conf.py",
        "release",
        "venv",
        "units",
        "manager",
        "fingerprint",
        "static",
    }
    assert (green / "env").read_text() == "A=1\n"
    assert (green / "env").stat().st_mode & 0o777 == 0o640
    assert green.stat().st_mode & 0o777 == 0o750
    assert (green / "manager").read_text() == "systemd\n"
    assert (green / "fingerprint").read_text() == "print\n"
    assert (slots / "blue" / "env").read_text() == "A=0\n"
    assert str((green / "release").readlink()).endswith(f"/srv/shop/releases/{ID}")
    assert str((green / "venv").readlink()).endswith("/srv/shop/venvs/key")
    assert units.calls == [
        "is-active shop@green.service",
        "is-enabled --quiet shop@green.socket",
        "disable --quiet shop@green.socket",
        "is-enabled --quiet shop@green.service",
        "disable --quiet shop@green.service",
        "daemon-reload",
    ]


def test_a_slots_units_are_its_own_and_the_other_slots_stay_as_they_are(
    slots: Path, tmp_path: Path, shell: Shell
) -> None:
    fill(slots / "units", **unit("shop@.service", "Restart=always\nMemoryMax=1G\n"))
    (slots / "units" / "shop@.service").chmod(0o640)
    read = tmp_path / "etc" / "systemd" / "system"
    before = (read / "shop@blue.service").read_text()
    assert shell("new=green; slot_prepare").returncode == 0
    assert (slots / "green" / "units").stat().st_mode & 0o777 == 0o750
    for kind in ("service", "socket"):
        copy = slots / "green" / "units" / f"shop@.{kind}"
        assert copy.read_text() == (slots / "units" / copy.name).read_text()
        assert (read / f"shop@green.{kind}").read_text() == copy.read_text()
        assert (read / f"shop@green.{kind}").stat().st_mode & 0o777 == 0o644
    assert (slots / "green" / "units" / "shop@.service").stat().st_mode & 0o777 == 0o640
    assert (read / "shop@blue.service").read_text() == before


def test_a_slot_keeps_no_unit_that_its_release_does_not_have(slots: Path, shell: Shell) -> None:
    fill(slots / "green" / "units", **unit("shop-mail.service"))
    assert shell("new=green; slot_prepare").returncode == 0
    assert {path.name for path in (slots / "green" / "units").iterdir()} == {"shop@.service", "shop@.socket"}


def test_a_slot_under_supervisor_has_its_own_program_too(slots: Path, tmp_path: Path, shell: Shell) -> None:
    fill(slots, start="#!/bin/sh\n", **{"program.conf": "[program:shop-@SLOT@]\ncommand=/etc/shop/@SLOT@/start web\n"})
    (slots / "start").chmod(0o750)
    assert shell(f"{SUPERVISED}new=green; slot_prepare").returncode == 0
    assert (slots / "green" / "start").stat().st_mode & 0o777 == 0o750
    assert (slots / "green" / "manager").read_text() == "supervisor\n"
    program = tmp_path / "etc" / "supervisor" / "conf.d" / "shop-green.conf"
    assert program.read_text() == "[program:shop-green]\ncommand=/etc/shop/green/start web\n"
    assert program.stat().st_mode & 0o777 == 0o644


def test_a_slot_keeps_nothing_of_the_manager_that_it_had_before(slots: Path, tmp_path: Path, shell: Shell) -> None:
    fill(slots, start="#!/bin/sh\n", **{"program.conf": "[program:shop-@SLOT@]\n"})
    assert shell(f"{SUPERVISED}new=green; slot_prepare").returncode == 0
    assert shell("new=green; slot_prepare").returncode == 0
    assert not {"start", "program.conf"} & {path.name for path in (slots / "green").iterdir()}
    assert not list((tmp_path / "etc" / "supervisor" / "conf.d").iterdir())
    assert (slots / "green" / "manager").read_text() == "systemd\n"
    read = tmp_path / "etc" / "systemd" / "system"
    assert {path.name for path in read.glob("*@green.*")} == {"shop@green.service", "shop@green.socket"}
    assert shell(f"{SUPERVISED}new=green; slot_prepare").returncode == 0
    assert not list(read.glob("*@green.*"))


def copies(folder: Path, *names: str) -> str:
    """As a probe's item has them."""
    return ",".join(f"{name}={hashlib.sha256((folder / name).read_bytes()).hexdigest()}" for name in names)


def test_the_copies_of_a_slot_are_compared_with_what_is_wanted(slots: Path, shell: Shell) -> None:
    shell("new=green; slot_prepare")
    sums = copies(slots, "env", "gunicorn.conf.py")
    assert shell(f"slot_copies shop green {sums} {NO_LINKS}").stdout == "same\n"
    assert shell(f"slot_copies shop blue {sums} {NO_LINKS}").stdout == "differs\n"
    (slots / "green" / "env").write_text("A=2\n")
    assert shell(f"slot_copies shop green {sums} {NO_LINKS}").stdout == "differs\n"
    (slots / "green" / "env").unlink()
    assert shell(f"slot_copies shop green {sums} {NO_LINKS}").stdout == "differs\n"


@pytest.mark.parametrize("kind", ["service", "socket"])
def test_what_systemd_reads_of_a_slot_is_compared_too(kind: str, slots: Path, tmp_path: Path, shell: Shell) -> None:
    shell("new=green; slot_prepare")
    sums = copies(slots, "env", f"units/shop@.{kind}")
    assert shell(f"slot_copies shop green {sums} {NO_LINKS}").stdout == "same\n"
    read = tmp_path / "etc" / "systemd" / "system" / f"shop@green.{kind}"
    read.write_text("[Unit]\n")
    assert shell(f"slot_copies shop green {sums} {NO_LINKS}").stdout == "differs\n"
    read.unlink()
    assert shell(f"slot_copies shop green {sums} {NO_LINKS}").stdout == "differs\n"


def test_the_unit_of_a_process_is_compared_too(slots: Path, tmp_path: Path, shell: Shell) -> None:
    fill(slots / "blue" / "units", **unit("shop-worker.service"))
    sums = copies(slots / "blue", "env")
    assert shell(f"slot_copies shop blue {sums} {NO_LINKS}").stdout == "differs\n"
    fill(tmp_path / "etc" / "systemd" / "system", **unit("shop-worker.service"))
    assert shell(f"slot_copies shop blue {sums} {NO_LINKS}").stdout == "same\n"


def test_a_slots_program_is_compared_too(slots: Path, tmp_path: Path, shell: Shell) -> None:
    fill(slots, start="#!/bin/sh\n", **{"program.conf": "[program:shop-@SLOT@]\n"})
    shell(f"{SUPERVISED}new=green; slot_prepare")
    sums = copies(slots, "env", "program.conf")
    assert shell(f"slot_copies shop green {sums} {NO_LINKS}").stdout == "same\n"
    program = tmp_path / "etc" / "supervisor" / "conf.d" / "shop-green.conf"
    program.write_text("[program:shop-green]\nautostart=true\n")
    assert shell(f"slot_copies shop green {sums} {NO_LINKS}").stdout == "differs\n"
    program.unlink()
    assert shell(f"slot_copies shop green {sums} {NO_LINKS}").stdout == "differs\n"


def test_an_app_that_does_not_serve_has_no_row(observe: Observe) -> None:
    assert observe(ACTIVATION) == ((),)


def test_the_probes_row_says_how_the_app_is_served(
    slots: Path, tmp_path: Path, units: Units, health: Serve, probed: Callable[[Slot], Serving]
) -> None:
    units.serve("blue")
    units.start("shop-worker.service")
    for name in ("worker", "mail", "tidy"):
        fill(slots / "blue" / "units", **unit(f"shop-{name}.service"))
    app = health(tmp_path / "run" / "shop" / "blue.sock")
    assert probed(SLOT) == Serving(
        slot="blue",
        fingerprint="older",
        active="active",
        enabled="enabled",
        reload="no",
        copies="differs",
        idle="inactive",
        unfinished="",
        current=OTHER,
        health="200",
        down="mail tidy",
    )
    assert app.asked[0]["host"] == "shop.example.com"
    units.start("shop-mail.service", "shop-tidy.service")
    assert probed(SLOT).down == ""
    units.serve("green")
    assert probed(SLOT).idle == "active"


def test_a_slot_is_not_active_without_its_socket_and_starts_at_boot_by_it(
    slots: Path, units: Units, probed: Callable[[Slot], Serving]
) -> None:
    units.start("shop@blue.service")
    assert probed(SLOT).active == "without its socket"
    units.serve("blue")
    (units.folder / "disabled" / "shop@blue.service").touch()
    assert (probed(SLOT).active, probed(SLOT).enabled) == ("active", "enabled")
    (units.folder / "disabled" / "shop@blue.socket").touch()
    assert probed(SLOT).enabled == "disabled"


def test_the_probe_asks_for_no_name_where_there_is_no_nginx(
    slots: Path, tmp_path: Path, health: Serve, probed: Callable[[Slot], Serving]
) -> None:
    app = health(tmp_path / "run" / "shop" / "blue.sock")
    assert probed(NO_NGINX).health == "200"
    assert app.asked[0]["host"] == "localhost"


def test_a_release_that_is_held_is_in_the_row_and_its_slot_counts_as_idle(
    slots: Path, tmp_path: Path, units: Units, health: Serve, shell: Shell, probed: Callable[[Slot], Serving]
) -> None:
    shell("new=green; slot_prepare")
    units.serve("blue")
    units.serve("green")
    fill(tmp_path / "run" / "shop", held="green\n")
    health(tmp_path / "run" / "shop" / "green.sock", 204)
    found = probed(SLOT)
    assert (found.idle, found.previewed) == ("inactive", Previewed(ID, "print", "204"))
    assert (found.slot, found.current, found.health) == ("blue", OTHER, "000")


def test_under_supervisor_the_slot_that_the_link_names_is_started_at_boot(
    slots: Path, probed: Callable[[Slot], Serving]
) -> None:
    """Supervisor is not there in this test, so nothing of its runs."""
    fill(slots / "blue", manager="supervisor\n")
    fill(slots / "blue" / "units", **{"shop-worker.conf": "[program:shop-worker]\nautorestart=true\n"})
    found = probed(SLOT)
    assert (found.active, found.enabled, found.reload, found.down) == ("inactive", "enabled", "no", "worker")
    (slots / "current").unlink()
    assert probed(SLOT).enabled == "disabled"
