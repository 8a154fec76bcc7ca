"""Files that are written, checked and put back together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.resources.file import Absent, File, Link
from provision.resources.file_set import FileSet

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from provision.engine.resource import Change, Resource, State

    Observe = Callable[..., tuple[State, ...]]
    Make = Callable[[Change | None], subprocess.CompletedProcess[str]]


def texts(folder: Path) -> dict[str, str]:
    """What is in a folder: texts of files, targets of links."""
    return {
        path.name: f"-> {path.readlink()}" if path.is_symlink() else path.read_text()
        for path in folder.iterdir()
        if path.is_symlink() or path.is_file()
    }


def made(folder: Path, me: tuple[str, str], check: str = "true", refuses: str = "") -> FileSet:
    members = (
        Absent(f"{folder}/stock"),
        File(f"{folder}/one", "new one", *me),
        File(f"{folder}/two", "new two", *me),
        Link(f"{folder}/link", "two"),
        File(f"{folder}/same", "same", *me),
    )
    return FileSet("web", members, check, refuses)


@pytest.fixture
def folder(root: Path) -> Path:
    """Files as they were: one of the set is not there yet."""
    found = root / "etc"
    found.mkdir()
    for name in ("one", "stock", "same"):
        (found / name).write_text("same" if name == "same" else f"old {name}")
    (found / "same").chmod(0o644)
    (found / "link").symlink_to("one")
    return found


OLD = {"one": "old one", "stock": "old stock", "same": "same", "link": "-> one"}
NEW = {"one": "new one", "two": "new two", "same": "same", "link": "-> two"}


def change(files: FileSet, observe: Observe) -> Change | None:
    (state,) = observe(files)
    return files.plan(state, {})


def test_all_that_differs_is_one_change_and_then_there_is_none(
    folder: Path, me: tuple[str, str], observe: Observe, make: Make
) -> None:
    files = made(folder, me, f"grep -q new {folder}/one && grep -q new {folder}/link")
    planned = change(files, observe)
    assert planned
    assert planned.summary == (
        f"remove {folder}/stock; write {folder}/one (mode 600 -> 644); create {folder}/two; link {folder}/link -> two"
    ).replace(" (mode 600 -> 644)", "" if (folder / "one").stat().st_mode & 0o777 == 0o644 else " (mode 600 -> 644)")
    assert [line for line in planned.diff.splitlines() if line[:2] in ("-o", "+n")] == [
        "-old one",
        "+new one",
        "+new two",
    ]
    assert make(planned).returncode == 0
    assert texts(folder) == NEW
    assert change(files, observe) is None


@pytest.mark.parametrize(
    ("check", "refuses", "reason"),
    [
        (
            "echo nginx: hm; echo 'nginx: [emerg] 12#12: no such word in /etc/x:3'; false",
            "",
            "no such word in /etc/x:3",
        ),
        ("echo '2026/11/27 02:20:59 [emerg] 7#7: no [such] word'; false", "", "no [such] word"),
        ("echo wrong; false", "", "wrong"),
        ("echo fine; echo 'nginx: [warn] twice \"a.b\", ignored'", 'twice "(a\\.b|c)"', 'twice "a.b", ignored'),
    ],
)
def test_what_is_refused_is_put_back_all_of_it(
    folder: Path, me: tuple[str, str], observe: Observe, make: Make, check: str, refuses: str, reason: str
) -> None:
    inodes = {path.name: path.lstat().st_ino for path in folder.iterdir()}
    ran = make(change(made(folder, me, check, refuses), observe))
    assert ran.returncode == 1
    assert ran.stdout.splitlines()[-1] == (
        f"error: the files of web were put back as they were, all of them, as {check} refused the new ones: {reason}"
    )
    assert texts(folder) == OLD
    assert {path.name: path.lstat().st_ino for path in folder.iterdir()} == inodes


def test_a_warning_about_a_name_of_others_is_none_of_ours(
    folder: Path, me: tuple[str, str], observe: Observe, make: Make
) -> None:
    files = made(folder, me, "echo 'nginx: [warn] twice \"aXb\", ignored'", 'twice "(a\\.b|c)"')
    assert make(change(files, observe)).returncode == 0
    assert texts(folder) == NEW


def test_a_step_that_fails_puts_back_what_came_before_it(
    folder: Path, me: tuple[str, str], observe: Observe, make: Make
) -> None:
    files = made(folder, me)
    planned = change(files, observe)
    (folder / "link").unlink()
    (folder / "link").mkdir()
    assert make(planned).returncode == 1
    assert {name: text for name, text in texts(folder).items() if name != "link"} == {
        name: text for name, text in OLD.items() if name != "link"
    }


def test_a_run_killed_before_the_check_is_checked_next_time_and_put_back_if_need_be(
    folder: Path, root: Path, me: tuple[str, str], observe: Observe, make: Make
) -> None:
    planned = change(made(folder, me, "kill -9 $$"), observe)
    assert make(planned).returncode == -9
    assert texts(folder) == NEW
    again = change(made(folder, me, "echo no; false"), observe)
    assert again
    assert again.summary == "check what a run that was killed has written (echo no; false)"
    assert make(again).returncode == 1
    assert texts(folder) == OLD
    assert list((root / "var/lib/provision/before").iterdir()) == []


def test_what_a_killed_run_wrote_stays_if_it_is_right(
    folder: Path, me: tuple[str, str], observe: Observe, make: Make
) -> None:
    make(change(made(folder, me, "kill -9 $$"), observe))
    assert make(change(made(folder, me), observe)).returncode == 0
    assert texts(folder) == NEW
    assert change(made(folder, me), observe) is None


def test_the_members_are_seen_in_one_probe(folder: Path, me: tuple[str, str], observe: Observe) -> None:
    others: tuple[Resource, ...] = (File(f"{folder}/same", "same", *me), made(folder, me))
    (single, _) = observe(*others)
    assert single["type"] == "regular file"


@pytest.mark.parametrize(("check", "there"), [("true", False), ("false", True)])
def test_what_the_set_replaces_goes_once_it_is_right(
    check: str, there: bool, folder: Path, me: tuple[str, str], observe: Observe, make: Make
) -> None:
    (folder / "replaced").mkdir()
    files = replace(made(folder, me, check), replaces=(f"{folder}/replaced",), first=True)
    planned = change(files, observe)
    assert planned is not None
    assert planned.id == "files:web-first"
    make(planned)
    assert (folder / "replaced").exists() is there
