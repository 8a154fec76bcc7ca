"""A run that stands still before one of its steps, so that a test can end something there."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provision import lab
from tests.lab.conftest import shell

COMMANDS = ("curl", "install", "ln", "mkdir", "mv", "rm", "systemctl", "systemd-run")
SECONDS = 60


@contextmanager
def noted(server: str) -> Iterator[None]:
    """Each command that changes something is noted on its way, and can be held up. It makes them slower."""
    text = Path(__file__).with_suffix(".sh").read_text()
    names = " ".join(COMMANDS)
    shell(
        server,
        f"cat >/usr/local/sbin/.step <<'END_OF_STEP'\n{text}END_OF_STEP\n"
        f"chmod 755 /usr/local/sbin/.step; for name in {names}; do ln -sf .step /usr/local/sbin/$name; done",
    )
    try:
        yield
    finally:
        shell(server, f"cd /usr/local/sbin && /usr/bin/rm -rf .step {names} /run/steps")


def arm(server: str, change: str = "-", number: int = 0) -> None:
    """The next run stands still before the step of that number, from 1, of the changes whose ids begin so; 0 is none."""
    shell(
        server,
        f"rm -rf /run/steps; mkdir /run/steps; cd /run/steps; echo '{change}' >change; echo {number} >number; : >log",
    )


def taken(server: str, change: str) -> list[str]:
    """The steps since it was armed, of the changes whose ids begin so."""
    lines = [line.split("\t", 1) for line in shell(server, "cat /run/steps/log").splitlines()]
    return [step for of, step in lines if of.startswith(change)]


def wait(server: str) -> str:
    """Until the run stands still; before which step. A TimeoutError where it does not."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        step = lab.shell(server, "cat /run/steps/reached").stdout
        if step:
            return step.strip()
        time.sleep(0.02)
    raise TimeoutError("the run came to no such step")


def go(server: str) -> None:
    """The run goes on."""
    shell(server, ": >/run/steps/go")


def end_the_script(server: str) -> None:
    """SIGKILL to the run's every process."""
    shell(server, "pkill -9 -s $(ls -t /run/provision/runs/*/pid | head -n 1 | xargs cat)")
