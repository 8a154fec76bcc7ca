"""What starts an app's programs: a slot's start script, and what runs at a boot."""

from __future__ import annotations

import json
import secrets
import shlex
import signal
import subprocess
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from provision import roles
from tests.unit.test_supervised_app import ID, file, program, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.conftest import Run
    from tests.unit.tables import MakeFacts, MakeHost


GUNICORN = """\
#!/bin/sh
echo "$*"
echo "$PROVISION_SLOT"
echo "$LISTEN_FDS"
if [ "$LISTEN_PID" = $$ ]; then echo yes; fi
cat <&3
echo "input: $(cat)"
"""


@pytest.fixture
def start(tmp_path: Path, make_host: MakeHost, make_known: MakeFacts) -> Callable[..., list[str]]:
    """What a slot's start script says, run for real in a folder of the test's own; gunicorn says how it was called."""

    def run(
        name: str,
        processes: dict[str, str] | None = None,
        environment: dict[str, str] | None = None,
        manager: dict[str, str] | None = None,
        passed: IO[str] | None = None,
    ) -> list[str]:
        more = f"    environment: {json.dumps(environment or {})}\n"
        inventory = text(more).replace("{worker: python -m shop.worker}", json.dumps(processes or {}))
        inventory = inventory.replace("python -m shop.tidy", json.dumps('echo "it\'s tidy"'))
        inventory = inventory.replace("https://git.example.com/shop.git", "{repository: /srv/git/shop, folder: app}")
        found = roles.everything(make_host(inventory), *make_known())
        slot = tmp_path / "blue"
        for folder in (slot / "venv" / "bin", tmp_path / "release" / "app", tmp_path / "run"):
            folder.mkdir(parents=True, exist_ok=True)
        (slot / "release").symlink_to(tmp_path / "release")
        (tmp_path / "current").symlink_to("blue")
        (slot / "env").write_text(file(found, "/etc/shop/env").content)
        (slot / "start").write_text(file(found, "/etc/shop/start").content.replace("/run/shop", f"{tmp_path}/run"))
        gunicorn = slot / "venv" / "bin" / "gunicorn"
        gunicorn.write_text(GUNICORN)
        for path in (slot / "start", gunicorn):
            path.chmod(0o755)
        ran = subprocess.run(
            (str(tmp_path / "current" / "start"), name),
            stdin=passed or subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            env=manager or {},
        )
        # Whoever runs the tests may not be allowed so many files; a slot that may not goes on with fewer.
        assert [line for line in ran.stderr.splitlines() if "ulimit" not in line] == []
        assert ran.returncode == 0
        return ran.stdout.splitlines()

    return run


def test_a_process_runs_in_the_releases_folder_as_the_app_with_its_environment(
    tmp_path: Path, start: Callable[..., list[str]]
) -> None:
    odd = """one 'two' "three" $four `five` \\six #7"""
    show = """pwd -P; echo "$HOME"; echo "$USER $LOGNAME"; echo "$PATH"; umask; printf "%s\\n" "$ODD"; echo "$PROVISION_RELEASE" """
    assert start("show", {"show": show.strip()}, {"ODD": odd}) == [
        f"{tmp_path}/release/app",
        "/srv/shop/shared",
        "shop shop",
        f"{tmp_path}/blue/venv/bin:/usr/local/bin:/usr/bin:/bin",
        "0077",
        odd,
        ID,
    ]


def test_what_has_outlived_its_main_process_ends_when_the_program_starts_anew(start: Callable[..., list[str]]) -> None:
    name = f"shop-{secrets.token_hex(8)}"
    left, other = (
        subprocess.Popen(["sleep", "60"], env={"SUPERVISOR_PROCESS_NAME": each}) for each in (name, f"{name}-mail")
    )
    try:
        start("show", {"show": "true"}, manager={"SUPERVISOR_PROCESS_NAME": name})
        assert left.wait(5) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        for each in (left, other):
            each.kill()
            each.wait()


def test_a_schedules_command_is_run_by_the_same_script(start: Callable[..., list[str]]) -> None:
    assert start("tidy") == ["it's tidy"]


def test_a_slot_knows_which_it_is_and_takes_no_traffic(tmp_path: Path, start: Callable[..., list[str]]) -> None:
    first, slot, *_ = start("web")
    assert (first, slot) == (f"--config {tmp_path}/blue/gunicorn.conf.py shop.main:app", "blue")
    assert not list((tmp_path / "run").iterdir())


def test_gunicorn_gets_the_socket_of_supervisors_as_systemd_would_pass_it(
    tmp_path: Path, start: Callable[..., list[str]]
) -> None:
    with (tmp_path / "socket").open("w+") as passed:
        passed.write("a request\n")
        passed.seek(0)
        *_, descriptors, mine, request, rest = start("web", passed=passed)
    assert (descriptors, mine, request, rest) == ("1", "yes", "a request", "input: ")


def test_what_keeps_the_socket_open_needs_nothing_of_the_release(
    tmp_path: Path, make_host: MakeHost, make_known: MakeFacts
) -> None:
    """It runs where there is nothing but the script."""
    script = tmp_path / "start"
    script.write_text(file(roles.everything(make_host(text()), *make_known()), "/etc/shop/start").content)
    script.chmod(0o755)
    keeper = subprocess.Popen((str(script), "web", "1"), stdin=subprocess.DEVNULL)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            keeper.wait(0.5)
        assert (Path("/proc") / str(keeper.pid) / "comm").read_text() == "sleep\n"
    finally:
        keeper.kill()
        keeper.wait()


@pytest.fixture
def boot(tmp_path: Path, make_host: MakeHost, make_known: MakeFacts) -> Callable[..., Run]:
    """What runs at a boot, under Supervisor or for the socket of slot blue under systemd; it says what it starts."""
    for folder in ("run", "etc/blue", "etc/green", "bin"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("systemctl", "supervisorctl"):
        (tmp_path / "bin" / name).write_text('#!/bin/sh\necho "$*"\n')
        (tmp_path / "bin" / name).chmod(0o755)

    def run(manager: str) -> Run:
        found = roles.everything(make_host(text(manager=manager)), *make_known())
        if manager == "supervisor":
            command = program(found, "shop")["command"]
        else:
            unit = file(found, "/etc/shop/units/shop@.socket").content
            (command,) = (line for line in unit.splitlines() if line.startswith("ExecStartPost=-"))
            command = command.removeprefix("ExecStartPost=-").replace("%p", "shop").replace("%i", "blue")
        command = command.replace("/etc/shop", f"{tmp_path}/etc").replace("/run/shop", f"{tmp_path}/run")
        path = f"{tmp_path}/bin:/usr/bin:/bin"
        return subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=20, env={"PATH": path})

    return run


STARTED = {"supervisor": "start shop-blue:*\n", "systemd": "start --no-block shop@blue.service\n"}


@pytest.mark.parametrize("manager", ["supervisor", "systemd"])
def test_at_a_boot_the_active_slot_takes_the_traffic_and_starts(
    manager: str, tmp_path: Path, boot: Callable[..., Run]
) -> None:
    (tmp_path / "etc" / "current").symlink_to("blue")
    ran = boot(manager)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, STARTED[manager], "")
    assert str((tmp_path / "run" / "current.sock").readlink()) == "blue.sock"


def test_at_a_boot_the_socket_of_the_other_slot_takes_nothing_and_starts_nothing(
    tmp_path: Path, boot: Callable[..., Run]
) -> None:
    (tmp_path / "etc" / "current").symlink_to("green")
    assert boot("systemd").stdout == ""
    assert not list((tmp_path / "run").iterdir())


def test_a_socket_takes_no_traffic_from_another_slot(tmp_path: Path, boot: Callable[..., Run]) -> None:
    (tmp_path / "etc" / "current").symlink_to("blue")
    (tmp_path / "run" / "current.sock").symlink_to("green.sock")
    assert boot("systemd").stdout == ""
    assert boot("supervisor").stdout == STARTED["supervisor"]
    assert str((tmp_path / "run" / "current.sock").readlink()) == "green.sock"


def test_supervisor_starts_nothing_at_a_boot_where_no_slot_is_active(tmp_path: Path, boot: Callable[..., Run]) -> None:
    assert boot("supervisor").stdout == ""
    assert not list((tmp_path / "run").iterdir())
