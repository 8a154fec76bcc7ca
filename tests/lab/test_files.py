"""Files, directories, links and absent paths on a real server: made, kept, and repaired."""

import os

import pytest

from provision.resources.file import Absent, Directory, File, Link
from tests.lab.conftest import shell
from tests.lab.sample_site import SERVER, Apply, ids

pytest_plugins = ("tests.lab.sample_site",)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("", "empty"),
        ("no newline at the end", "no newline"),
        ("a name\n", "a folder/with spaces, 'quotes' & $dollars.txt"),
        ("\0\x01\x1b[31m é 漢字 😀 \\ $HOME `id` %s\r\n\tEND_OF_BASE64\nEND_OF_CHANGE_0\n", "anything"),
        ("0123456789abcdef" * 65536, "a megabyte in one line"),
        ("".join(f"line {number}\n" for number in range(90_000)), "a megabyte of lines"),
    ],
    ids=lambda value: value if len(value) < 30 else "",
)
def test_a_file_has_any_content_and_any_name(apply: Apply, folder: str, content: str, name: str) -> None:
    file = File(f"{folder}/{name}", content, "www-data", "games", 0o604)
    above = Directory(os.path.dirname(file.path))  # noqa: PTH120
    apply(above)
    assert ids(apply(file)) == [str(file.ref)]
    assert ids(apply(file)) == []
    found = shell(SERVER, f'cd {folder} && find . -type f -printf "%p %u:%g %m %s " -exec sha256sum {{}} +')
    assert f"./{name} www-data:games 604 {len(content.encode())} " in found
    assert file.sha256 in found
    shell(SERVER, f"find {folder} -type f -exec sh -c 'echo more >>\"$1\"' - {{}} ';'")
    assert ids(apply(file)) == [str(file.ref)]
    assert ids(apply(file, applies=False)) == []
    assert shell(SERVER, f"find {folder} -name '.*' -o -name '*provision*'") == ""


def test_the_diff_of_a_large_file_is_of_its_beginning_and_the_plan_says_so(apply: Apply, folder: str) -> None:
    file = File(f"{folder}/large", "".join(f"line {number}\n" for number in range(90_000)))
    ids(apply(file))
    shell(SERVER, f"sed -i 's/^line 7$/line x/' {file.path}")
    (change,) = apply(file, applies=False).changes
    assert [line for line in change.diff.splitlines()[2:] if line[0] in "+-"] == ["-line x", "+line 7"]
    assert change.summary == f"write {file.path} (compared: its first 256 KB)"


def test_a_file_takes_the_place_of_a_link_and_leaves_what_it_led_to(apply: Apply, folder: str) -> None:
    shell(SERVER, f"echo kept >{folder}/target; ln -s target {folder}/file")
    file = File(f"{folder}/file", "new\n")
    assert ids(apply(file)) == [str(file.ref)]
    assert ids(apply(file)) == []
    assert (
        shell(SERVER, f"cat {folder}/target; cat {folder}/file; stat -c %F {folder}/file") == "kept\nnew\nregular file"
    )


def test_a_file_that_its_check_refuses_is_as_it_was(apply: Apply, folder: str) -> None:
    good = File(f"{folder}/checked", "good\n", mode=0o640, check=f"grep -q good {folder}/checked")
    bad = File(good.path, "bad\n", check=good.check)
    refused = apply(bad)
    assert (refused.status, refused.changed, refused.failed) == ("failed", 0, 1)
    assert shell(SERVER, f"ls -A {folder}") == ""
    assert ids(apply(good)) == [str(good.ref)]
    refused = apply(bad)
    assert refused.error == f"{bad.path} was put back as it was: {bad.check} refused the new one"
    assert shell(SERVER, f"ls -A {folder}; cat {good.path}; stat -c %a {good.path}") == "checked\ngood\n640"
    assert ids(apply(good)) == []


def test_a_secret_files_values_are_never_shown(apply: Apply, folder: str) -> None:
    def planned(content: str) -> str:
        (change,) = apply(File(f"{folder}/secret", content, mode=0o600, secret=True), applies=False).changes
        return change.summary + change.diff

    assert "first-value" not in planned("A=first-value\nB=same-value\n")
    ids(apply(File(f"{folder}/secret", "A=first-value\nB=same-value\n", mode=0o600, secret=True)))
    text = planned("A=second-value\nB=same-value\n")
    assert "+A=******** (changed)" in text
    assert not any(value in text for value in ("first-value", "second-value", "same-value"))


def test_a_directory_is_made_with_its_parents_and_keeps_what_is_in_it(apply: Apply, folder: str) -> None:
    directory = Directory(f"{folder}/some where/deep", "www-data", "games", 0o2750)
    stat = f"stat -c %U:%G:%a:%F '{directory.path}'"
    for hand in ("true", f"rm -rf '{folder}/some where'"):
        shell(SERVER, hand)
        assert ids(apply(directory)) == [str(directory.ref)]
        assert ids(apply(directory)) == []
        assert shell(SERVER, stat) == "www-data:games:2750:directory"
    shell(SERVER, f"touch '{directory.path}/kept'; chmod 2777 '{directory.path}'")
    (change,) = apply(directory).changes
    assert change.summary == f"{directory.path}: mode 2777 -> 2750"
    assert shell(SERVER, f"ls '{directory.path}'; {stat}") == "kept\nwww-data:games:2750:directory"


def test_a_directory_does_not_take_the_place_of_a_file(apply: Apply, folder: str) -> None:
    shell(SERVER, f"echo kept >{folder}/file")
    assert apply(Directory(f"{folder}/file")).error == f"{folder}/file is there and is not a folder: move it away"
    assert shell(SERVER, f"cat {folder}/file") == "kept"


def test_a_directory_that_someone_replaced_by_a_link_is_refused_and_left_alone(apply: Apply, folder: str) -> None:
    shell(SERVER, f"mkdir {folder}/disk; touch {folder}/disk/data; ln -s disk {folder}/shared")
    refused = apply(Directory(f"{folder}/shared"))
    assert refused.error == (
        f"{folder}/shared is a link to disk, and a directory is wanted: remove the link, or mount what it leads to there"
    )
    assert shell(SERVER, f"readlink {folder}/shared; ls {folder}/disk") == "disk\ndata"


def test_a_link_takes_the_place_of_a_file_but_not_of_a_directory(apply: Apply, folder: str) -> None:
    link = Link(f"{folder}/a link", "../over there")
    for hand in ("true", f"echo >'{link.path}.x' && mv '{link.path}.x' '{link.path}'", f"ln -sfn / '{link.path}'"):
        shell(SERVER, hand)
        assert ids(apply(link)) == [str(link.ref)]
        assert ids(apply(link)) == []
        assert shell(SERVER, f"readlink '{link.path}'") == "../over there"
    shell(SERVER, f"rm '{link.path}'; mkdir '{link.path}'; touch '{link.path}/kept'")
    assert apply(link).error == f"{link.path} is a directory, not a link: move it away"
    assert shell(SERVER, f"ls -A '{link.path}'") == "kept"


def test_what_must_not_be_there_goes_whatever_it_is(apply: Apply, folder: str) -> None:
    shell(
        SERVER,
        f"cd {folder}; mkdir -p 'a tree/of' kept; touch 'a tree/of/files' -- -file; ln -s kept link; ln -s no dangling",
    )
    absent = tuple(Absent(f"{folder}/{name}") for name in ("a tree", "-file", "link", "dangling", "never there"))
    assert ids(apply(*absent)) == [str(one.ref) for one in absent[:-1]]
    assert ids(apply(*absent)) == []
    assert shell(SERVER, f"ls -A {folder}") == "kept"
    shell(SERVER, f"touch '{folder}/never there'")
    assert ids(apply(*absent)) == [str(absent[-1].ref)]
    assert ids(apply(*absent, applies=False)) == []
