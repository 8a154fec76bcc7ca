"""Disks, memory, apt and clock: what a plan says of them, and what stops it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from provision.engine.resource import State
from provision.errors import PlanError
from provision.release.memory import Memory
from provision.resources.clock import Clock
from provision.resources.package import PackageManager, Packages
from provision.resources.room import Cost, Room
from provision.resources.sources import Sources
from tests.unit.conftest import planned

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provision.engine.resource import Change, Guard, Ref

ROOM = Room(
    (Cost("packages", "/usr", 100, 2500), *(Cost("venv", f"/srv/{app}", 200, 8000, True, app) for app in ("a", "b"))),
    ("venv",),
)
USR = {"path": "/usr", "at": "/", "free": 900 * 1024, "inodes": 10000, "options": "rw,relatime"}
A = {"path": "/srv/a", "at": "/srv", "free": 900 * 1024, "inodes": "-", "options": "rw"}
B = {**A, "path": "/srv/b"}
MEMORY = Memory("shop", next(iter(planned("activation:shop"))))


def said(guard: Guard, state: State, changes: dict[Ref, Change] | None) -> list[str]:
    """What is not well, in lines."""
    return [f"{one.level}: {one}" for one in guard.findings(state, changes) if one.level != "ok"]


@pytest.mark.parametrize(
    ("changes", "differs", "expected"),
    [
        (("venv:a", "packages:base"), {}, []),
        (
            ("venv:a", "venv:b"),
            {"free": 399 * 1024},
            ["warn: about 400 MB are needed on /srv, and 399 MB are free: du "],
        ),
        (("venv:a",), {"free": 399 * 1024}, []),
        (
            ("venv:a",),
            {"inodes": 7999},
            ["warn: about 8000 files more are needed on /srv, and it has inodes for 7999: "],
        ),
        (("venv:a",), {"options": "ro,relatime"}, ["stop: /srv/a cannot be written: /srv is mounted read-only: see "]),
        (
            ("venv:a",),
            {"options": "rw,noexec"},
            ["stop: no program can run in /srv/a: /srv is mounted noexec: mount -o "],
        ),
        (("packages:base",), {"options": "ro,noexec", "free": 0}, []),
        ((), {"options": "ro", "free": 0}, []),
    ],
)
def test_disks_are_judged_by_what_the_plan_writes(
    changes: tuple[str, ...], differs: dict[str, object], expected: list[str]
) -> None:
    found = said(ROOM, State.of(USR, A | differs, B | differs), planned(*changes))
    assert [line.startswith(start) for line, start in zip(found, expected, strict=True)] == [True] * len(expected), (
        found
    )


def test_an_examination_means_a_release_of_each_app() -> None:
    assert said(ROOM, State.of(USR, A | {"free": 10}, B | {"free": 10}), None)[0].startswith("warn: about 400 MB")
    (fine,) = ROOM.findings(State.of(USR, A, B), None)
    assert (fine.level, fine.what) == ("ok", "free: 0.9 GB on /, 0.9 GB on /srv")


def test_the_probe_asks_the_nearest_folder_that_exists(observe: Callable[..., tuple[State, ...]], root: Path) -> None:
    (root / "usr").mkdir()
    (state,) = observe(ROOM)
    disk = os.statvfs(root)
    assert [each["path"] for each in state.records] == ["/usr", "/srv/a", "/srv/b"]
    for each in state.records:
        assert abs(int(each["free"]) - disk.f_bavail * disk.f_frsize // 1024) < 500_000
        assert {"rw", "ro"} & set(each["options"].split(","))
        assert os.path.ismount(each["at"])


@pytest.mark.parametrize(("free", "used", "warned"), [(181, 150, True), (182, 150, False), (5, 0, False)])
def test_a_second_slot_needs_what_the_first_one_uses(free: int, used: int, warned: bool) -> None:
    state = State.of({"free": free * 1024, "used": used * 1024})
    expected = (
        f"warn: shop uses {used} MB, and a deploy runs it twice for a while: {free} MB are free: add memory or swap, use fewer "
        "workers, or stop the old one first with --stop-first"
    )
    for changes in (planned("activation:shop"), None):
        assert said(MEMORY, state, changes) == [expected] * warned
    assert said(MEMORY, state, planned("activation:blog")) == []


MEMINFO = "MemTotal: 2000000 kB\nMemFree: 5 kB\nMemAvailable: 300000 kB\nSwapFree: 100000 kB\n"


@pytest.mark.parametrize(
    ("limits", "free"),
    [
        ({}, 400000),
        ({"memory.max": "max\n", "memory.stat": "anon 51200000\nfile 5\n"}, 400000),
        ({"memory.max": "153600000\n", "memory.stat": "anon 51200000\nfile 5\n"}, 100000),
        (
            {
                "memory/memory.limit_in_bytes": "153600000\n",
                "memory/memory.stat": "rss 5\ntotal_rss 51200000\n",
            },
            100000,
        ),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n", "memory/memory.stat": "total_rss 1\n"}, 400000),
    ],
)
def test_the_probe_knows_swap_and_a_containers_limit(
    observe: Callable[..., tuple[State, ...]], root: Path, limits: dict[str, str], free: int
) -> None:
    for path, text in {
        "proc/meminfo": MEMINFO,
        **{f"sys/fs/cgroup/{name}": text for name, text in limits.items()},
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (state,) = observe(MEMORY)
    assert state == State.of({"free": free, "used": 0})


def test_a_held_package_that_is_missing_stops_the_plan_and_one_that_is_there_does_not() -> None:
    wanted = Packages("nginx", ("nginx", "curl"))
    with pytest.raises(PlanError, match=r"^nginx: not installed, .*\(apt-mark hold\): apt-mark unhold nginx$"):
        wanted.plan(State.of({"name": "curl"}, {"held": "nginx"}), {})
    assert wanted.plan(State.of({"name": "curl"}, {"name": "nginx"}), {}) is None


def test_what_keeps_apt_busy_is_told_where_packages_are_installed() -> None:
    guard = PackageManager()
    state = State.of({"busy": "unattended-upgr (process 7)"}, {"interrupted": "yes"}, {"booting": "yes"})
    assert said(guard, state, planned("file:/etc/motd")) == []
    for changes in (planned("packages:nginx"), None):
        assert [line.split(":")[1] for line in said(guard, state, changes)] == [
            " cloud-init is not done with the server's first boot, and a deploy waits for it",
            " another program is using apt, and a deploy waits for it",
            " dpkg was interrupted on the server, and a deploy finishes what it began",
        ]
    assert said(guard, State(), None) == []


def test_the_probe_sees_a_first_boot_and_an_interrupted_dpkg(
    observe: Callable[..., tuple[State, ...]], root: Path
) -> None:
    assert observe(PackageManager()) == (State(),)
    for path in ("run/cloud-init/enabled", "var/lib/dpkg/updates/0001"):
        (root / path).parent.mkdir(parents=True)
        (root / path).touch()
    assert observe(PackageManager()) == (State.of({"interrupted": "yes"}, {"booting": "yes"}),)
    (root / "run/cloud-init/result.json").touch()
    assert observe(PackageManager()) == (State.of({"interrupted": "yes"}),)


LISTS = "var/lib/apt/lists"


def apt_says(root: Path, monkeypatch: pytest.MonkeyPatch, said: str, status: int = 0) -> None:
    """apt-get is a program that says this of its sources."""
    (root / LISTS / "partial").mkdir(parents=True)
    (root / "bin").mkdir()
    program = root / "bin/apt-get"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{said}END\nexit {status}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{root}/bin:{os.environ['PATH']}")


def test_sources_that_apt_has_nothing_of_are_told_where_a_package_is_missing_and_others_were_read(
    observe: Callable[..., tuple[State, ...]], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexes = {"a": "http://one.test/debian", "b": "http://two.test/debian", "c": "http://three.test"}
    lines = (f"'{url}/dists/stable/InRelease' {name}_InRelease 0 \n" for name, url in indexes.items())
    apt_says(root, monkeypatch, "".join(lines))
    lacking = PackageManager(("coreutils", "no-such-package"))
    assert observe(lacking) == (State(),), "apt has never read a source here"
    (root / LISTS / "a_InRelease").touch()
    (root / LISTS / "c_Release").write_text("Suite: stable\nValid-Until: Mon, 10 Jan 2022 00:00:00 UTC\n")
    assert observe(PackageManager(("coreutils", "dpkg"))) == (State(),)
    (state,) = observe(lacking)
    assert state == State.of({"unread": "http://two.test/debian stable"}, {"outdated": "http://three.test stable"})
    assert said(lacking, state, planned("packages:nginx")) == [
        "warn: apt has not read its source http://two.test/debian stable: apt-get update on the server says why",
        "warn: what apt has of http://three.test stable has expired, and its last try brought nothing newer: "
        "apt-get update on the server says why",
    ]
    assert said(lacking, state, None) == said(lacking, state, planned("file:/etc/motd")) == []


def test_a_list_of_sources_that_apt_does_not_understand_stops_a_plan(
    observe: Callable[..., tuple[State, ...]], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt_says(root, monkeypatch, "E: Malformed entry 1\nE: The list of sources could not be read.\n", 100)
    lacking = PackageManager(("no-such-package",))
    (state,) = observe(lacking)
    (line,) = said(lacking, state, planned("packages:nginx"))
    assert line.startswith("stop: apt cannot read its list of sources: Malformed entry 1: correct that file; ")
    (root / "run").mkdir()
    assert said(Sources(), observe(Sources())[0], None) == [line]


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([{"count": 0}], "stop: apt has no source of packages"),
        ([{"count": 2}, {"source": "http://a.test x", "said": "404"}], "warn: apt cannot read http://a.test x: 404: "),
        ([{"count": 1}, {"source": "http://a.test x", "said": "404"}], "stop: apt cannot read http://a.test x: 404: "),
        ([{"count": 2}, {"slow": 30}], "warn: apt had not read all of its sources within 30 seconds"),
        ([], "warn: apt's sources were not asked"),
    ],
)
def test_sources_that_do_not_answer_stop_a_deploy_where_all_are_such(
    records: list[dict[str, object]], expected: str
) -> None:
    (line,) = said(Sources(), State.of(*records), None)
    assert line.startswith(expected)


@pytest.mark.parametrize(
    ("off", "expected"),
    [
        (299, ""),
        (-299, ""),
        (301, "the server's clock is 5 minutes ahead of this machine's"),
        (-9000, "the server's clock is 2 hours behind this machine's"),
        (-400 * 86400, "the server's clock is 400 days behind this machine's"),
    ],
)
def test_a_clock_that_is_far_off_is_named(off: int, expected: str) -> None:
    found = said(Clock(1_800_000_000), State.of({"now": 1_800_000_000 + off}), {})
    assert [line.removeprefix("warn: ").split(",")[0] for line in found] == ([expected] if expected else [])


def test_without_a_time_to_compare_with_no_clock_is_wrong(observe: Callable[..., tuple[State, ...]]) -> None:
    (state,) = observe(Clock(0))
    assert abs(int(state["now"]) - time.time()) < 60
    assert said(Clock(0), state, {}) == []
