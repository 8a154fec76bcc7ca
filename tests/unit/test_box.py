"""The script that makes a box for the VM tests says why it failed."""

import os
import subprocess
from pathlib import Path

BOX = Path(__file__).parents[1] / "vagrant/box.sh"


def test_a_step_that_fails_prints_its_commands_last_lines_whole(tmp_path: Path) -> None:
    fake = tmp_path / "bin/mmdebstrap"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\nseq 100\necho 'E: Unable to locate package nothing' >&2\nexit 25\n")
    fake.chmod(0o755)
    done = subprocess.run(
        ["sh", BOX, tmp_path / "box", tmp_path / "key.pub"],
        env={**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    first, *lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (25, "")
    assert first == "box.sh: installing Debian (mmdebstrap) failed with status 25; the last lines of its output:"
    assert lines == [*map(str, range(42, 101)), "E: Unable to locate package nothing"]
