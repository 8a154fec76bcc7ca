from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.engine.resource import Change, Ref, State
from provision.resources import file as file_module
from provision.resources.file import Absent, Directory, File, Link

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from provision.engine.resource import Resource

    Observe = Callable[..., tuple[State, ...]]
    Make = Callable[..., subprocess.CompletedProcess[str]]

KEYS = ("type", "mode", "owner", "group", "value", "content")
WANTED = File("/etc/motd", "hello\n")
SHA = hashlib.sha256(b"hello\n").hexdigest()


def planned(resource: Resource, *row: str) -> Change | None:
    return resource.plan(State.of(dict(zip(KEYS, row, strict=False))) if row else State(), {})


def summary(resource: Resource, *row: str) -> str | None:
    change = planned(resource, *row)
    assert change is None or change.id == str(resource.ref)
    return change.summary if change else None


def packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ((), "create /etc/motd"),
        (("regular file", "644", "root", "root", SHA, ""), None),
        (("regular file", "600", "root", "root", SHA, ""), "/etc/motd: mode 600 -> 644"),
        (("regular file", "644", "shop", "root", SHA, ""), "/etc/motd: owner shop:root -> root:root"),
        (("regular file", "644", "root", "adm", SHA, ""), "/etc/motd: owner root:adm -> root:root"),
        (("regular file", "644", "root", "root", "0" * 64, packed("hi\n")), "write /etc/motd"),
        (("regular empty file", "644", "root", "root", "0" * 64, ""), "write /etc/motd"),
        (("regular file", "600", "root", "root", "0" * 64, packed("hi\n")), "write /etc/motd (mode 600 -> 644)"),
        (("directory", "755", "root", "root"), "write /etc/motd"),
        (("symbolic link", "777", "root", "root", "elsewhere", ""), "write /etc/motd"),
    ],
)
def test_a_file_changes_where_it_differs(row: tuple[str, ...], expected: str | None) -> None:
    assert summary(WANTED, *row) == expected


def test_an_empty_file_that_should_be_empty_is_right() -> None:
    empty = File("/etc/empty", "")
    assert summary(empty, "regular empty file", "644", "root", "root", empty.sha256, "") is None


def test_a_file_asks_for_its_path_and_checksum() -> None:
    assert WANTED.probe().item == ("/etc/motd", SHA)


def test_only_attributes_that_differ_do_not_write_the_file_again() -> None:
    change = planned(WANTED, "regular file", "600", "root", "root", SHA, "")
    assert change is not None
    assert change.script == "chown root:root /etc/motd\nchmod 644 /etc/motd"
    assert change.diff == ""


def test_the_diff_is_of_the_servers_file_and_the_wanted_one() -> None:
    change = planned(WANTED, "regular file", "644", "root", "root", "0" * 64, packed("hi\n"))
    assert change is not None
    assert change.diff.splitlines()[2:] == ["@@ -1 +1 @@", "-hi", "+hello"]
    new = planned(WANTED)
    assert new is not None
    assert new.diff.splitlines()[2:] == ["@@ -0,0 +1 @@", "+hello"]


def test_a_file_that_is_not_text_still_has_a_diff() -> None:
    change = planned(WANTED, "regular file", "644", "root", "root", "0" * 64, base64.b64encode(b"\xff\x00").decode())
    assert change is not None
    assert "+hello" in change.diff


SECRET = File("/etc/shop/env", '# Ours.\nA="old-secret"\nB="same-secret"\nC="new-secret"\n', secret=True)


def test_a_secret_files_values_are_in_no_diff_and_no_summary() -> None:
    old = '# Ours.\nA="other-secret"\nB="same-secret"\nD="gone-secret"\nstray-secret\n'
    change = planned(SECRET, "regular file", "644", "root", "root", "0" * 64, packed(old))
    assert change is not None
    assert "-secret" not in change.diff + change.summary
    assert change.diff.splitlines()[2:] == [
        "@@ -1,5 +1,4 @@",
        " # Ours.",
        "-A=********",
        "+A=******** (changed)",
        " B=********",
        "-D=********",
        "-********",
        "+C=********",
    ]


def test_no_line_of_a_secret_value_is_shown_whatever_it_looks_like() -> None:
    old = 'A="-secret\n# x-secret\nsecret-b64==\nB=x-secret\n"\nC="a\\\\\\"-secret"\n'
    wanted = File("/etc/shop/env", old.replace("x-", "y-"), secret=True)
    change = planned(wanted, "regular file", "644", "root", "root", "0" * 64, packed(old))
    assert change is not None
    assert "secret" not in change.diff
    assert [line for line in change.diff.splitlines()[2:] if line[0] in "+-"] == [
        "-A=********",
        "+A=******** (changed)",
    ]


def test_a_new_secret_file_shows_its_names_only() -> None:
    change = planned(SECRET)
    assert change is not None
    assert "secret" not in change.diff
    assert "+B=********" in change.diff


def test_a_changes_repr_has_no_plain_secret() -> None:
    assert "-secret" not in repr(planned(SECRET))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ((), "create /srv/shop/"),
        (("directory", "755", "root", "root"), None),
        (("directory", "700", "root", "root"), "/srv/shop: mode 700 -> 755"),
        (
            ("directory", "2750", "shop", "www-data"),
            "/srv/shop: mode 2750 -> 755, owner shop:www-data -> root:root",
        ),
        (("regular file", "644", "root", "root", "", ""), "create /srv/shop/"),
    ],
)
def test_a_directory_changes_where_it_differs(row: tuple[str, ...], expected: str | None) -> None:
    assert summary(Directory("/srv/shop"), *row) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ((), "link /etc/localtime -> /usr/share/zoneinfo/Etc/UTC"),
        (("symbolic link", "777", "root", "root", "/usr/share/zoneinfo/Etc/UTC", ""), None),
        (
            ("symbolic link", "777", "root", "root", "elsewhere", ""),
            "link /etc/localtime -> /usr/share/zoneinfo/Etc/UTC",
        ),
        (("regular file", "644", "root", "root", "", ""), "link /etc/localtime -> /usr/share/zoneinfo/Etc/UTC"),
    ],
)
def test_a_link_changes_where_it_leads_elsewhere(row: tuple[str, ...], expected: str | None) -> None:
    assert summary(Link("/etc/localtime", "/usr/share/zoneinfo/Etc/UTC"), *row) == expected


def test_what_should_not_be_there_is_removed_where_it_is() -> None:
    assert summary(Absent("/etc/old")) is None
    assert summary(Absent("/etc/old"), "directory", "755", "root", "root") == "remove /etc/old"


def test_what_an_earlier_change_puts_there_is_removed_as_well() -> None:
    first = Ref("files", "first")
    puts = {first: Change(first, "write /etc/old", "true", "")}
    assert Absent("/etc/old", first).plan(State(), {}) is None
    change = Absent("/etc/old", first).plan(State(), puts)
    assert change is not None
    assert change.summary == "remove /etc/old"
    assert Absent("/etc/old").plan(State(), puts) is None


ODD = [
    "plain",
    "with two  spaces",
    " led by a space",
    "it's",
    'a "quote"',
    "$HOME `id` *",
    "größe ☃",
    "-dash",
    "#",
    "a=b=c",
]


def test_the_probe_sees_files_of_any_name(tmp_path: Path, me: tuple[str, str], observe: Observe) -> None:
    for name in ODD:
        (tmp_path / name).write_text(name)
        (tmp_path / name).chmod(0o640)
        (tmp_path / f"{name} link").symlink_to(name)
    right = [File(str(tmp_path / name), name, *me, 0o640) for name in ODD]
    wrong = [File(str(tmp_path / name), "other", *me, 0o640) for name in ODD]
    links = [Link(str(tmp_path / f"{name} link"), name) for name in ODD]
    states = observe(*right, *links, *wrong)
    wanted: list[Resource] = [*right, *links]
    for resource, state in zip(wanted, states, strict=False):
        assert resource.plan(state, {}) is None
    for name, file, state in zip(ODD, right, states[-len(ODD) :], strict=True):
        row = ("regular file", "640", *me, file.sha256, packed(name))
        assert state.records == (dict(zip(KEYS, row, strict=True)),)


def test_the_probe_tells_files_folders_and_links_apart(tmp_path: Path, me: tuple[str, str], observe: Observe) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "empty").touch(0o644)
    resources: tuple[Resource, ...] = (
        Directory(str(tmp_path / "folder"), *me, 0o700),
        File(str(tmp_path / "folder"), "text"),
        Link(str(tmp_path / "dangling"), "nowhere"),
        File(str(tmp_path / "missing"), "text"),
        Absent(str(tmp_path / "missing")),
        Absent(str(tmp_path / "dangling")),
        File(str(tmp_path / "empty"), "", *me),
    )
    changes = [resource.plan(state, {}) for resource, state in zip(resources, observe(*resources), strict=True)]
    assert [change.summary if change else None for change in changes] == [
        None,
        f"write {tmp_path}/folder",
        None,
        f"create {tmp_path}/missing",
        None,
        f"remove {tmp_path}/dangling",
        None,
    ]


def test_two_resources_may_ask_for_the_same_path(tmp_path: Path, me: tuple[str, str], observe: Observe) -> None:
    (tmp_path / "one").write_text("hello\n")
    (tmp_path / "one").chmod(0o644)
    path = str(tmp_path / "one")
    file, folder, other = observe(File(path, "hello\n"), Directory(path), File(path, "bye\n"))
    assert [file["type"], folder["type"], other["content"]] == ["regular file", "regular file", packed("hello\n")]


def test_a_large_files_content_is_cut_for_the_diff(tmp_path: Path, observe: Observe) -> None:
    (tmp_path / "large").write_bytes(b"x" * 300_000)
    (state,) = observe(File(str(tmp_path / "large"), "small"))
    assert len(base64.b64decode(state["content"])) == 256 * 1024


def test_files_that_were_written_are_right(tmp_path: Path, me: tuple[str, str], observe: Observe, call: Make) -> None:
    content = "it's\t100% \\n ☃\nEND_OF_BASE64\nno newline at the end"
    files = [File(str(tmp_path / name), content, *me, 0o600) for name in ODD]
    changes = [file.plan(state, {}) for file, state in zip(files, observe(*files), strict=True)]
    assert call([file_module], "\n".join(change.script for change in changes if change)).returncode == 0
    assert [file.plan(state, {}) for file, state in zip(files, observe(*files), strict=True)] == [None] * len(ODD)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(ODD)
    assert (tmp_path / ODD[0]).read_text() == content


def test_a_file_takes_the_place_of_a_link_and_leaves_its_target(
    tmp_path: Path, me: tuple[str, str], observe: Observe, make: Make
) -> None:
    (tmp_path / "target").write_text("target")
    (tmp_path / "file").symlink_to("target")
    file = File(str(tmp_path / "file"), "file", *me)
    (state,) = observe(file)
    assert make(file.plan(state, {})).returncode == 0
    assert (tmp_path / "target").read_text() == "target"
    assert not (tmp_path / "file").is_symlink()


def test_attributes_are_put_right(tmp_path: Path, me: tuple[str, str], observe: Observe, make: Make) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "file").chmod(0o666)
    file = File(str(tmp_path / "file"), "text", *me, 0o600)
    (state,) = observe(file)
    assert make(file.plan(state, {})).returncode == 0
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_a_refused_file_is_put_back_as_it_was(tmp_path: Path, me: tuple[str, str], make: Make) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text("old")
    path.chmod(0o640)
    file = File(str(path), "new", *me, check=f"echo unknown directive; grep -q old '{path}'")
    ran = make(planned(file, "regular file", "640", *me, "0" * 64, packed("old")))
    assert ran.returncode == 1
    assert ran.stdout.splitlines()[0] == "unknown directive"
    assert ran.stdout.splitlines()[1].startswith(f"error: {path} was put back as it was")
    assert path.read_text() == "old"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [found.name for found in tmp_path.iterdir()] == ["nginx.conf"]


def test_a_refused_file_that_is_new_is_gone_again(tmp_path: Path, me: tuple[str, str], make: Make) -> None:
    ran = make(planned(File(str(tmp_path / "site.conf"), "new", *me, check="false")))
    assert ran.returncode == 1
    assert list(tmp_path.iterdir()) == []


def test_an_accepted_file_leaves_nothing_beside_it(tmp_path: Path, me: tuple[str, str], make: Make) -> None:
    path = tmp_path / "site.conf"
    path.write_text("old")
    ran = make(planned(File(str(path), "new", *me, check=f"grep -q new '{path}'")))
    assert (ran.returncode, ran.stdout) == (0, "")
    assert path.read_text() == "new"
    assert [found.name for found in tmp_path.iterdir()] == ["site.conf"]


def test_a_directory_is_made_with_its_mode_and_its_parents_are_open(
    tmp_path: Path, me: tuple[str, str], observe: Observe, make: Make
) -> None:
    folder = Directory(str(tmp_path / "a" / "b"), *me, 0o2750)
    assert make(planned(folder)).returncode == 0
    (state,) = observe(folder)
    assert folder.plan(state, {}) is None
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o755


def test_a_directory_that_is_there_keeps_what_is_in_it(tmp_path: Path, me: tuple[str, str], make: Make) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").touch()
    assert make(planned(Directory(str(tmp_path / "a"), *me, 0o700))).returncode == 0
    assert (tmp_path / "a" / "file").exists()
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("before", ["nothing", "file", "other link", "link to a folder"])
def test_a_link_that_was_made_is_right(before: str, tmp_path: Path, observe: Observe, make: Make) -> None:
    link = Link(str(tmp_path / "the link"), "it's a target")
    if before == "file":
        Path(link.path).touch()
    elif before != "nothing":
        Path(link.path).symlink_to("elsewhere" if before == "other link" else tmp_path)
    (state,) = observe(link)
    assert make(link.plan(state, {})).returncode == 0
    (state,) = observe(link)
    assert link.plan(state, {}) is None
    assert [path.name for path in tmp_path.iterdir()] == ["the link"]


def test_a_folder_is_never_replaced_by_a_link(tmp_path: Path, make: Make) -> None:
    (tmp_path / "folder").mkdir()
    ran = make(planned(Link(str(tmp_path / "folder"), "target")))
    assert ran.returncode == 1
    assert ran.stdout == f"error: {tmp_path}/folder is a directory, not a link: move it away\n"


def test_what_should_not_be_there_goes_with_all_that_is_in_it(tmp_path: Path, observe: Observe, make: Make) -> None:
    (tmp_path / "-old stuff" / "deep").mkdir(parents=True)
    absent = Absent(str(tmp_path / "-old stuff"))
    (state,) = observe(absent)
    assert make(absent.plan(state, {})).returncode == 0
    assert list(tmp_path.iterdir()) == []
