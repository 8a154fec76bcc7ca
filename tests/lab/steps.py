"""A run that stops before one of its steps, so that a test can kill something there."""

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
    """Within this, each command that changes something is logged and can be stopped at. It makes commands slower."""
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
    """Make the next run stop before a step of the changes whose ids begin with `change`: the first is 1, none is 0."""
    shell(
        server,
        f"rm -rf /run/steps; mkdir /run/steps; cd /run/steps; echo '{change}' >change; echo {number} >number; : >log",
    )


def taken(server: str, change: str) -> list[str]:
    """The steps since `arm`, of the changes whose ids begin with `change`."""
    lines = [line.split("\t", 1) for line in shell(server, "cat /run/steps/log").splitlines()]
    return [step for of, step in lines if of.startswith(change)]


def wait(server: str) -> str:
    """Wait until the run stops, and return the step before which it does; raises TimeoutError after 60 s."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        step = lab.shell(server, "cat /run/steps/reached").stdout
        if step:
            return step.strip()
        time.sleep(0.02)
    raise TimeoutError("the run came to no such step")


def go(server: str) -> None:
    """Let the run go on."""
    shell(server, ": >/run/steps/go")


def end_the_script(server: str) -> None:
    """Send SIGKILL to all of the run's processes."""
    shell(server, "pkill -9 -s $(ls -t /run/provision/runs/*/pid | head -n 1 | xargs cat)")
