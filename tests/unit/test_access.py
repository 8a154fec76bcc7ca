"""Changes to how a server is reached, made for real in a folder of the test's own; systemd alone is stood in for."""

from __future__ import annotations

import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from provision.engine import access, apply
from provision.engine.plan import Plan
from provision.engine.resource import Change, Ref

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Sh = Callable[[str], subprocess.CompletedProcess[str]]

RUN = "20261121T230500-abcdef"


@pytest.fixture
def server(tmp_path: Path, stand_in: Callable[[str, str], Path]) -> Path:
    """A root folder with two files that a change is to protect, and one that is not there yet."""
    stand_in("tail", 'exec /usr/bin/tail -s 0.01 "$@"')
    stand_in("systemctl", "exit 0")
    stand_in("systemd-run", f'echo "$@" >{tmp_path}/armed')
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    (tmp_path / "one").write_text("old\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/key").write_text("key\n")
    return tmp_path


def change(server: Path, script: str) -> str:
    """The script of a run with one change, of a file, of a folder, and of what is not there."""
    paths = tuple(str(server / name) for name in ("one", "folder", "new"))
    made = f"echo new >{paths[0]}; rm -r {paths[1]}; echo new >{paths[2]}; {script}"
    wanted = access.confirmed(made, paths, f"echo went back >>{server}/after", 3)
    return apply.start(Plan((Change(Ref("a", "b"), "change it", wanted),), 1, "none"), RUN, "me@laptop", "deploy")


def run(sh: Sh, script: str) -> list[tuple[str, str]]:
    ran = sh(script)
    return [(event.kind, event.text) for event in apply.events(iter(ran.stdout.splitlines()))]


def as_before(server: Path) -> bool:
    """Whether all has come back, and nothing waits for a confirmation any more."""
    left = [path for path in ("new", "var/lib/provision/access/undo", *UNITS) if (server / path).exists()]
    return (server / "one").read_text() == "old\n" and (server / "folder/key").read_text() == "key\n" and not left


UNITS = (
    "etc/systemd/system/provision-access.service",
    "etc/systemd/system/multi-user.target.wants/provision-access.service",
)


def test_a_change_that_fails_is_taken_back_at_once(server: Path, sh: Sh) -> None:
    events = run(sh, change(server, "fail 'this is wrong'"))
    assert ("error", "this is wrong") in events
    assert events[-1] == ("end", "1")
    assert as_before(server)
    assert (server / "after").read_text() == "went back\n"
    assert "--on-active=3" in (server / "armed").read_text()


def confirmed_with(sh: Sh, server: Path, token: str = "") -> list[int]:
    """Confirms as soon as the server asks, in a thread of its own: its exit status."""
    statuses: list[int] = []

    def confirm() -> None:
        asked = server / "run/provision/runs" / RUN / "events"
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            lines = asked.read_text().splitlines() if asked.exists() else []
            for line in lines:
                if line.startswith("asks\t"):
                    told = line.split("\t")[2].split(" ")[0]
                    statuses.append(sh(access.confirm(token or told)).returncode)
                    return
            time.sleep(0.02)

    threading.Thread(target=confirm, daemon=True).start()
    return statuses


def test_a_change_that_a_new_login_confirms_stays(server: Path, sh: Sh) -> None:
    statuses = confirmed_with(sh, server)
    events = run(sh, change(server, "true"))
    assert (events[-2:], statuses) == ([("done", ""), ("end", "0")], [0])
    assert (server / "one").read_text() == (server / "new").read_text() == "new\n"
    assert not (server / "folder").exists()
    assert not (server / "after").exists()
    assert [path for path in ("var/lib/provision/access", *UNITS) if (server / path).exists()] == []


def test_a_wrong_token_confirms_nothing(server: Path, sh: Sh) -> None:
    statuses = confirmed_with(sh, server, "0" * 32)
    undo = server / "var/lib/provision/access/undo"

    def later() -> None:
        while not statuses:
            time.sleep(0.02)
        subprocess.run(("sh", str(undo)), check=True)

    threading.Thread(target=later, daemon=True).start()
    events = run(sh, change(server, "true"))
    assert statuses == [1]
    assert [text for kind, text in events if kind == "error"] == [
        "no new login succeeded within 3 s of this change, so the server took it back: nobody is locked out"
    ]
    assert as_before(server)


@pytest.mark.parametrize("killed", ["cp", "mv", "rm", "sync"])
def test_taking_back_can_be_killed_anywhere_and_begun_again(
    server: Path, sh: Sh, stand_in: Callable[[str, str], Path], killed: str
) -> None:
    """At each command of its, and then a second time from the beginning, as at a boot."""
    kept = server / "var/lib/provision/access"
    run(sh, change(server, f"cp -a {kept} {server}/kept; fail 'far enough'"))
    assert as_before(server)
    for number in range(1, 9):
        subprocess.run(
            f"rm -rf {kept}; cp -a {server}/kept {kept}; echo new >{server}/one; rm -rf {server}/folder", shell=True
        )
        (server / "count").write_text("0")
        command = stand_in(
            killed,
            f"n=$(($(cat {server}/count) + 1)); echo $n >{server}/count\n"
            f'if [ $n = {number} ]; then kill -KILL $PPID; fi\nexec /bin/{killed} "$@"',
        )
        environ = {"PATH": f"{command.parent}:/usr/bin:/bin"}
        subprocess.run(("sh", str(kept / "undo")), env=environ, capture_output=True)
        command.unlink()
        if (kept / "undo").exists():
            subprocess.run(("sh", str(kept / "undo")), check=True)
        assert as_before(server), (killed, number)


def test_while_a_change_waits_no_other_run_begins(server: Path, sh: Sh) -> None:
    kept = server / "var/lib/provision/access"
    kept.mkdir(parents=True)
    (kept / "undo").touch()
    (kind, text) = run(sh, change(server, "true"))[0]
    assert kind == "locked"
    assert text.startswith("the server itself (taking back a change to its access that no login confirmed)")
