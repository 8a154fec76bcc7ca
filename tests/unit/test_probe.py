from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.engine import probe
from provision.engine.probe import Lock, Observation
from provision.engine.resource import State
from provision.errors import ProbeError
from provision.resources.file import Directory, File
from provision.resources.package import Packages
from provision.resources.user import Group

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from provision.engine.resource import Resource
    from provision.inventory import Host
    from tests.unit.conftest import Known


ENDS = probe.PARTS * "end\n"


def calls(script: str) -> list[str]:
    return [line.split()[0] for line in script.splitlines() if line.endswith("<<'END_OF_ITEMS'")]


def test_a_hundred_files_are_one_call() -> None:
    script = probe.script([File(f"/etc/{number}", "") for number in range(100)])
    assert calls(script) == ["file_probe"]
    assert script.count("file_probe() {") == 1
    assert all(f"\n{number}\t/etc/{number}\t" in script for number in range(100))


def test_each_kind_is_called_once_however_its_resources_are_mixed() -> None:
    mixed: list[Resource] = [
        File("/a", ""),
        Group("a"),
        Directory("/b"),
        Packages("c", ("c",)),
        Group("d"),
        File("/e", ""),
    ]
    script = probe.script(mixed)
    assert sorted(calls(script)) == ["file_probe", "package_probe", "user_probe_groups"]


def test_a_whole_server_calls_each_probe_once(make_host: Callable[..., Host], make_known: Callable[..., Known]) -> None:
    resources = roles.everything(make_host(), *make_known())
    functions = {resource.probe().function for resource in resources}
    script = probe.script(resources)
    assert sorted(calls(script)) == sorted(functions)
    for function in functions:
        assert script.count(f"\n{function}() {{") == 1


def test_no_item_holds_a_newline_or_a_tab(make_host: Callable[..., Host], make_known: Callable[..., Known]) -> None:
    for resource in roles.everything(make_host(), *make_known()):
        assert not set("\t\n") & set("".join(resource.probe().item))


def test_the_probe_of_nothing_ends_too(sh: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert probe.parse(sh(probe.script([])).stdout, 0).states == ()


def test_kinds_are_probed_at_the_same_time(tmp_path: Path, sh: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    script = probe.script([File("/a", ""), Group("root")])
    waiting = [
        ("file_probe", f": >{tmp_path}/first; until [ -e {tmp_path}/second ]; do sleep 0.01; done"),
        ("user_probe_groups", f": >{tmp_path}/second; until [ -e {tmp_path}/first ]; do sleep 0.01; done"),
    ]
    for function, waits in waiting:
        script = script.replace(f"\n{function}() {{\n", f"\n{function}() {{\n{waits}\n", 1)
    assert probe.parse(sh(script).stdout, 2).states[1]


def test_states_come_back_in_the_order_of_the_resources(
    tmp_path: Path, observe: Callable[..., tuple[State, ...]]
) -> None:
    resources = [Directory(str(tmp_path / name)) for name in "cab"]
    for name in "ab":
        (tmp_path / name).mkdir()
    assert [bool(state) for state in observe(Group("no-such-group"), *resources, Group("root"))] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_rows_go_to_the_resource_of_their_number() -> None:
    seen = probe.parse("generation\tnone\n1\ta\tb\n0\n1\tc\t\n" + ENDS, 3)
    assert seen == Observation((State([()]), State([("a", "b"), ("c", "")]), State()), "none")


def test_the_generation_and_the_lock_are_read() -> None:
    seen = probe.parse("generation\trun-7\nlock\tme@laptop (deploy)\t2026-11-21T23:05:00Z\trun-8\n" + ENDS, 0)
    assert seen == Observation((), "run-7", Lock("me@laptop (deploy)", "2026-11-21T23:05:00Z", "run-8"))


@pytest.mark.parametrize(
    "output",
    [
        "",
        "generation\tnone\n0\ta\n",
        "generation\tnone\n0\tend\n",
        "end\n0\ta\n",
        "generation\tnone\n0\ta\n" + (probe.PARTS - 1) * "end\n",
    ],
)
def test_truncated_output_is_refused(output: str) -> None:
    with pytest.raises(ProbeError, match="ended early; the last line it printed: "):
        probe.parse(output, 1)


def test_a_lock_whose_holder_is_not_written_yet_is_a_lock() -> None:
    assert probe.parse("generation\tnone\nlock\t\n" + ENDS, 0).lock is not None


def test_a_held_lock_and_the_last_generation_are_seen(
    tmp_path: Path, sh: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    state, run = tmp_path / "var/lib/provision", tmp_path / "run/provision"
    for folder in (state, run):
        folder.mkdir(parents=True)
    (state / "generation").write_text("run-7\n")
    (run / "holder").write_text("me@laptop (deploy)\t2026-11-21T23:05:00Z\trun-8\n")
    assert probe.parse(sh(probe.script([])).stdout, 0) == Observation((), "run-7")
    (run / "lock").touch()
    assert probe.parse(sh(probe.script([])).stdout, 0).lock is None
    held = sh(f"exec 8>>{run}/lock; flock 8\n{probe.script([])}")
    assert probe.parse(held.stdout, 0).lock == Lock("me@laptop (deploy)", "2026-11-21T23:05:00Z", "run-8")


def test_a_probe_changes_nothing(tmp_path: Path, sh: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    sh(probe.script([File(str(tmp_path / "file"), "text"), Directory(str(tmp_path / "folder"))]))
    assert list(tmp_path.iterdir()) == []


def test_a_value_with_a_tab_takes_the_place_of_nothing() -> None:
    """Whoever can put one into a value of a record would say what the record is about."""
    with pytest.raises(ValueError, match="the key path is there twice"):
        State([("path=/etc/shop", "used=process 1 (x", "path=/etc)")])["path"]
