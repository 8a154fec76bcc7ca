"""What an app adopts is kept before it is touched, and comes back, whenever a run is killed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from provision.release import uninstall
from provision.release.adopted import Adopted
from provision.release.claim import Claim
from provision.release.uninstall import Uninstalled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.release.serving import Observe

    Call = Callable[..., subprocess.CompletedProcess[str]]

ADOPT = "adopted_folders shop /etc/shop\n"
BACK = "layout_app shop\nuninstall_adopted shop\n"
ASIDE = "etc/shop.before-provision"


@pytest.fixture
def theirs(root: Path, stand_in: Callable[[str, str], Path]) -> Path:
    """A folder of somebody else's; nobody has the app's name."""
    for name in ("getent", "mountpoint"):
        stand_in(name, "exit 2")
    folder = root / "etc/shop"
    folder.mkdir(parents=True)
    (folder / "env").write_text("A=1\n")
    folder.chmod(0o2770)
    (root / "var/lib/provision").mkdir(parents=True)
    return folder


def test_a_folder_is_moved_aside_as_it_is_and_comes_back(
    theirs: Path, root: Path, call: Call, observe: Observe
) -> None:
    (state,) = observe(Claim("shop"))
    assert [dict(each) for each in state.records] == [
        {"foreign": "/etc/shop", "word": "folders", "never": "", "path": "/etc/shop", "used": ""}
    ]
    before = theirs.stat()
    # All but when it was last renamed.
    kept = tuple(before)[:-1]
    assert call([uninstall], ADOPT + ADOPT).returncode == 0
    assert not theirs.exists()
    assert tuple((root / ASIDE).stat())[:-1] == kept
    assert observe(Claim("shop"))[0] == (("begun=yes",),)
    assert observe(Adopted("shop", "folders"))[0].all("path") == ()
    theirs.mkdir()
    assert observe(Claim("shop"))[0] == (("begun=yes",),), "it is the app's now"
    theirs.rmdir()
    assert observe(Uninstalled("shop", "adopted"))[0].all("thing") == ("/etc/shop",)
    assert call([uninstall], BACK).returncode == 0
    assert (theirs.stat().st_ino, theirs.stat().st_mode) == (before.st_ino, before.st_mode)
    assert not (root / "var/lib/provision/adopted").exists()
    assert call([uninstall], BACK).returncode == 0


def test_what_was_noted_and_not_moved_is_still_theirs(theirs: Path, root: Path, call: Call, observe: Observe) -> None:
    record = root / "var/lib/provision/adopted/shop"
    record.mkdir(parents=True)
    (record / "paths").write_text("/etc/shop\n")
    assert observe(Claim("shop"))[0].all("path") == ("/etc/shop",)
    for part, things in (("files", ()), ("adopted", ("/var/lib/provision/adopted/shop",))):
        assert observe(Uninstalled("shop", part, with_data=True))[0].all("thing") == things
    assert call([uninstall], BACK).returncode == 0
    assert (theirs / "env").read_text() == "A=1\n"
    assert not record.exists()


def test_no_process_says_by_its_name_what_else_is_moved_aside(theirs: Path, observe: Observe) -> None:
    """Whoever has a folder open that is to be adopted could have root move all of /etc aside with it."""
    named = "open('/proc/self/comm', 'w').write('x\\tpath=/etc'); print(flush=True); input()"
    with subprocess.Popen(
        (sys.executable, "-c", named), cwd=theirs, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        (state,) = observe(Claim("shop"))
        process.kill()
    assert state.all("path") == ("/etc/shop",)
    assert state["used"] == f"process {process.pid} (x?path=/etc)"


def test_nothing_takes_the_place_of_what_is_there_again(theirs: Path, root: Path, call: Call) -> None:
    call([uninstall], ADOPT)
    theirs.mkdir()
    ran = call([uninstall], BACK)
    assert ran.returncode == 1
    assert "/etc/shop is there again, and what was there before is kept in /etc/shop.before-provision" in ran.stdout
    assert (root / ASIDE / "env").exists()


@pytest.mark.parametrize(
    ("makes", "never"),
    [
        ((ASIDE,), "/etc/shop.before-provision, where it would be kept, is there already"),
        (("srv/shop/repository.git",), "an app of this toolkit left it (mkdir -p /var/lib/provision/apps/shop says that it is the app's)"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_apart_is_not_adopted(
    theirs: Path, root: Path, observe: Observe, makes: tuple[str, ...], never: str
) -> None:
    for path in makes:
        (root / path).mkdir(parents=True)
    assert observe(Claim("shop"))[0].all("never")[-1] == never
