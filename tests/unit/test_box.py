"""The script that makes a box for the VM tests says why it failed, and tries again what a mirror may have at the next try."""

import os
import subprocess
from pathlib import Path

BOX = Path(__file__).parents[1] / "vagrant/box.sh"


def make(folder: Path, script: str) -> "subprocess.CompletedProcess[str]":
    """box.sh, where what stands for mmdebstrap is this script. No pause takes time."""
    programs = folder / "bin"
    programs.mkdir()
    for name, text in (("mmdebstrap", script), ("sleep", "")):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    return subprocess.run(
        ["sh", BOX, folder / "box", folder / "key.pub"],
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_step_that_fails_prints_its_commands_last_lines_whole(tmp_path: Path) -> None:
    done = make(tmp_path, "seq 100; echo 'E: Unable to locate package nothing' >&2; exit 25")
    first, *lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (25, "")
    assert first == "box.sh: installing Debian (mmdebstrap) failed with status 25; the last lines of its output:"
    assert lines == [*map(str, range(42, 101)), "E: Unable to locate package nothing"]


def test_what_could_not_be_fetched_is_tried_three_times_from_nothing(tmp_path: Path) -> None:
    said = "E: Failed to fetch http://mirror.test/passwd.deb  503  Service Unavailable"
    done = make(
        tmp_path,
        f"echo tried; mkdir -p {tmp_path}/box/root && mkdir {tmp_path}/box/root/half && echo '{said}'; exit 25",
    )
    assert done.returncode == 25
    again = "debian.sh: a package or an index could not be fetched; trying again in {} s"
    tries = ["tried", said]
    assert done.stderr.splitlines()[1:] == [*tries, again.format(5), *tries, again.format(20), *tries]
