from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from provision.engine.resource import State
from provision.errors import PlanError
from provision.resources import swap
from provision.resources.swap import GIB, MIB, NoSwap, Swap, size_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.conftest import Run

WANTED = Swap(512 * MIB)
NOTHING = {
    "container": "",
    "content": "none",
    "size": "",
    "access": "",
    "active": "no",
    "other": "",
    "unit": "no",
    "room": 10 * GIB,
}
RIGHT = {
    **NOTHING,
    "content": "swap",
    "size": 512 * MIB,
    "access": "600 root:root",
    "active": "yes",
    "unit": "yes",
}
UNIT = """\
[Unit]
Description=Swap file /swapfile

[Swap]
What=/swapfile

[Install]
WantedBy=swap.target
"""


@pytest.mark.parametrize(
    ("memory", "size"),
    [
        (512 * MIB, 512 * MIB),
        (480 * MIB + 1, 481 * MIB),
        (GIB, GIB),
        (GIB + 1, GIB),
        (2 * GIB, GIB),
        (3 * GIB, 2 * GIB),
        (4 * GIB, 2 * GIB),
        (8 * GIB, 3 * GIB),
        (16 * GIB, 4 * GIB),
        (64 * GIB, 8 * GIB),
    ],
)
def test_a_swap_file_is_as_large_as_little_memory_and_the_root_of_much(memory: int, size: int) -> None:
    assert size_for(memory) == size


@pytest.mark.parametrize(
    ("state", "what"),
    [
        (NOTHING, "write it (512 MiB), use it, use it after each boot"),
        (RIGHT, None),
        ({**RIGHT, "size": 256 * MIB}, "write it (512 MiB)"),
        ({**RIGHT, "access": "644 root:root"}, "access 644 root:root -> 600 root:root"),
        ({**RIGHT, "active": "no"}, "use it"),
        ({**RIGHT, "unit": "no"}, "use it after each boot"),
        ({**RIGHT, "room": 0}, None),
        ({**RIGHT, "other": "/dev/zram0"}, None),
        ({**RIGHT, "other": "/dev/zram0", "unit": "no"}, "use it after each boot"),
        ({**NOTHING, "room": 512 * MIB + GIB}, "write it (512 MiB), use it, use it after each boot"),
    ],
)
def test_what_differs_is_changed(state: dict[str, object], what: str | None) -> None:
    change = WANTED.plan(State.of(state), {})
    assert (change.summary if change else None) == (f"swap file /swapfile: {what}" if what else None)
    assert change is None or (change.id, change.script) == ("swap:/swapfile", "swap_make /swapfile 536870912")


@pytest.mark.parametrize("found", [{}, {"room": 0}, {"content": "other"}])
def test_a_server_with_other_swap_needs_no_swap_file(found: dict[str, object]) -> None:
    assert WANTED.plan(State.of({**NOTHING, "other": "/dev/vda2", **found}), {}) is None


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (
            {**NOTHING, "container": "lxc", "other": "/dev/vda2"},
            "/swapfile: the server is a container (lxc), and swap is its host's: make the swap file on the host",
        ),
        (
            {**NOTHING, "room": 512 * MIB + GIB - 1},
            "/swapfile: a swap file of 512 MiB needs 1536 MiB of free disk in /, and 1535 MiB are free: "
            "free some, or choose a path on another disk",
        ),
        ({**NOTHING, "content": "other"}, "/swapfile is there and is not a swap file: move it away"),
    ],
)
def test_a_swap_file_that_cannot_be_is_refused(state: dict[str, object], error: str) -> None:
    with pytest.raises(PlanError) as refused:
        WANTED.plan(State.of(state), {})
    assert str(refused.value) == error


def test_a_swap_file_in_a_folder_that_is_not_there_is_refused() -> None:
    with pytest.raises(PlanError) as refused:
        Swap(MIB, "/mnt/disk/swap").plan(State.of({**NOTHING, "room": ""}), {})
    assert str(refused.value) == "/mnt/disk/swap: there is no folder /mnt/disk: make it, or choose another path"


def test_the_probe_says_what_systemd_says_of_containers(observe: Callable[..., tuple[State, ...]]) -> None:
    said = subprocess.run(("systemd-detect-virt", "--container"), capture_output=True, text=True).stdout.strip()
    (state,) = observe(WANTED)
    assert state["container"] == said.removeprefix("none")


@pytest.fixture
def machine(root: Path, stand_in: Callable[[str, str], Path], owners: Callable[[], list[str]]) -> Path:
    """A machine that is not a container; the swap in use is a line each of this file."""
    in_use = root / "in-use"
    in_use.touch()
    stand_in("systemd-detect-virt", "echo none; exit 1")
    stand_in("swapon", f'case $1 in --show*) cat {in_use} ;; *) echo "$1" >>{in_use} ;; esac')
    stand_in("swapoff", f'echo "off $1" >>{root}/off; : >{in_use}')
    return in_use


def test_nothing_is_seen_where_there_is_nothing(machine: Path, observe: Callable[..., tuple[State, ...]]) -> None:
    here, nowhere = observe(WANTED, Swap(MIB, "/no/such/folder/swap"))
    assert here.records == ({**NOTHING, "room": here["room"]},)
    assert abs(int(here["room"]) - shutil.disk_usage(machine.parent).free) < GIB
    assert nowhere["room"] == ""


def test_swap_in_use_is_this_file_or_another(
    machine: Path, root: Path, observe: Callable[..., tuple[State, ...]]
) -> None:
    machine.write_text(f"/dev/zram0\n{root}/swapfile\n")
    this, that = observe(WANTED, Swap(MIB, "/swap"))
    assert (this["active"], this["other"]) == ("yes", "/dev/zram0")
    assert (that["active"], that["other"]) == ("no", "/dev/zram0")


@pytest.mark.parametrize("kind", ["text", "folder", "link"])
def test_what_is_not_a_swap_file_is_seen(
    kind: str, machine: Path, root: Path, observe: Callable[..., tuple[State, ...]]
) -> None:
    path = root / "swapfile"
    if kind == "text":
        path.write_text("precious\n")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("elsewhere")
    (state,) = observe(WANTED)
    assert state["content"] == "other"


@pytest.mark.usefixtures("machine")
def test_a_swap_file_is_made_used_and_kept_over_boots(
    root: Path, observe: Callable[..., tuple[State, ...]], make: Callable[..., Run], me: tuple[str, str]
) -> None:
    wanted = Swap(MIB)
    assert make(wanted.plan(observe(wanted)[0], {})).returncode == 0
    units = root / "etc/systemd/system"
    assert (units / "swapfile.swap").read_text() == UNIT
    assert (units / "swap.target.wants/swapfile.swap").resolve() == units / "swapfile.swap"
    (state,) = observe(wanted)
    assert {**state.records[0], "room": ""} == {
        **RIGHT,
        "size": str(MIB),
        "access": f"600 {me[0]}:{me[1]}",
        "room": "",
    }


def test_a_swap_file_of_another_size_is_taken_out_of_use_and_replaced(
    root: Path, machine: Path, observe: Callable[..., tuple[State, ...]], make: Callable[..., Run]
) -> None:
    make(Swap(MIB).plan(observe(Swap(MIB))[0], {}))
    before = (root / "swapfile").stat().st_ino
    assert make(Swap(2 * MIB).plan(observe(Swap(2 * MIB))[0], {})).returncode == 0
    after = (root / "swapfile").stat()
    assert (after.st_size, after.st_ino != before) == (2 * MIB, True)
    assert (root / "off").read_text() == f"off {root}/swapfile\n"
    assert machine.read_text() == f"{root}/swapfile\n"


@pytest.mark.usefixtures("machine")
def test_a_swap_file_that_cannot_be_taken_out_of_use_stays(
    root: Path,
    observe: Callable[..., tuple[State, ...]],
    make: Callable[..., Run],
    stand_in: Callable[[str, str], Path],
) -> None:
    make(Swap(MIB).plan(observe(Swap(MIB))[0], {}))
    stand_in("swapoff", "echo 'swapoff failed: Cannot allocate memory' >&2; exit 4")
    ran = make(Swap(2 * MIB).plan(observe(Swap(2 * MIB))[0], {}))
    assert ran.returncode == 1
    assert ran.stdout == (
        f"error: {root}/swapfile stays as it is, as it cannot be taken out of use: swapoff failed: Cannot allocate memory\n"
    )
    assert (root / "swapfile").stat().st_size == MIB
    assert list(root.glob(".provision.*")) == []


@pytest.mark.usefixtures("machine")
def test_a_swap_file_that_the_filesystem_cannot_hold_gets_no_unit(
    root: Path, call: Callable[..., Run], stand_in: Callable[[str, str], Path]
) -> None:
    stand_in("swapon", "case $1 in --show*) ;; *) echo 'swapon failed: Invalid argument' >&2; exit 255 ;; esac")
    ran = call([swap], f"swap_make /swapfile {MIB}")
    assert (ran.returncode, ran.stdout) == (
        1,
        "error: /swapfile cannot be used as swap: swapon failed: Invalid argument\n",
    )
    assert not (root / "etc").exists()


@pytest.mark.usefixtures("machine")
def test_a_killed_run_leaves_no_swap_file_and_what_it_left_counts_as_room_and_goes(
    root: Path,
    call: Callable[..., Run],
    observe: Callable[..., tuple[State, ...]],
    stand_in: Callable[[str, str], Path],
) -> None:
    mkswap = stand_in("mkswap", "kill -KILL $PPID")
    assert call([swap], f"swap_make /swapfile {8 * MIB}").returncode == -9
    (left,) = root.glob(".provision.*")
    assert (left.stat().st_size, left.stat().st_mode & 0o777) == (8 * MIB, 0o600)
    assert not (root / "swapfile").exists()
    mkswap.unlink()
    stat = stand_in("stat", "case $1 in -f) echo '10 * 4096' ;; *) exec /usr/bin/stat \"$@\" ;; esac")
    assert observe(WANTED)[0]["room"] == str(10 * 4096 + left.stat().st_blocks * 512)
    stat.unlink()
    call([swap], f"swap_make /swapfile {8 * MIB}")
    assert list(root.glob(".provision.*")) == []
    assert observe(WANTED)[0]["content"] == "swap"


@pytest.mark.usefixtures("machine")
def test_a_swap_file_goes_with_its_unit(
    root: Path, observe: Callable[..., tuple[State, ...]], make: Callable[..., Run]
) -> None:
    swap, none = Swap(MIB, "/swapfile.provision", optional=True), NoSwap("/swapfile.provision")
    assert none.plan(observe(none)[0], {}) is None
    make(swap.plan(observe(swap)[0], {}))
    assert make(none.plan(observe(none)[0], {})).returncode == 0
    assert (root / "off").read_text() == f"off {root}/swapfile.provision\n"
    assert list(root.rglob("*swapfile*")) == []
    assert none.plan(observe(none)[0], {}) is None
