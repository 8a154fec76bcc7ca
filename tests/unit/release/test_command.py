"""What an app's commands say has an end for the server, and is looked at for what the sandbox forbids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provision.release import shell as release
from provision.release import status
from tests.unit.release.serving import ID, unit

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.release.serving import Shell

    Ran = subprocess.CompletedProcess[str]

DENIED = "PermissionError: [Errno 1] Operation not permitted"
HINT = "; if it is the sandbox that does not permit it, set apps.shop.unsandbox to the directive"
# What stands for systemd-run says more than a megabyte, and fails.
TALKS = "echo first; yes | head -c 30000000; echo; echo because of the last line; exit 3"
ENDS = "error: shop: {}: because of the last line\n"


@pytest.fixture
def talks(server: Path, slots: Path, stand_in: Callable[[str, str], Path]) -> None:
    """An app whose commands never stop talking, on a server that has not much memory for them."""
    stand_in("systemd-run", TALKS)
    release_folder = server / "srv/shop/releases" / ID
    (release_folder / ".release").write_text("0123456\t.\n")
    (release_folder / "alembic.ini").touch()


@pytest.mark.parametrize(
    ("called", "says"),
    [
        (
            f"migration_run shop {ID} . print 'make tables'",
            "the migration failed: make tables: because of the last line",
        ),
        (f"check_import shop {ID} . main:app print </dev/null", "main:app cannot be imported: of the last line"),
        (f"origin_of_release shop {ID} . main", f"{ID} does not load its own code: of the last line"),
        ("activation_hook talk || fail 'shop: no hook'", "no hook"),
    ],
)
def test_what_a_command_says_without_an_end_is_kept_in_neither_files_nor_memory(
    called: str, says: str, talks: None, call: Callable[..., Ran], server: Path
) -> None:
    ran = call([release], f"ulimit -v 60000; app=shop release={ID} folder=.; {called}")
    assert (ran.returncode, ran.stdout[-len(says) - 14 :]) == (1, f"error: shop: {says}\n"), ran.stderr
    assert len(ran.stdout) < 1100000
    assert not list((server / "run/provision").iterdir())


def test_the_end_of_what_a_command_says_and_its_status_are_told(call: Callable[..., Ran]) -> None:
    for script, expected in (
        ("printf 'a\\nb'; printf c >&2; true", "a\nbc 0"),
        ("printf '0\\n'; return 7", "0 7"),
        (":", " 0"),
    ):
        ran = call([release], f'one() {{ {script}; }}; status=0; command_told one || status=$?; echo "$told $status"')
        assert ran.stdout == f"{expected}\n", ran.stderr


def test_what_a_command_leaves_behind_ends_with_it_at_once(
    slots: Path, call: Callable[..., Ran], stand_in: Callable[[str, str], Path]
) -> None:
    """Otherwise `invoke run` waits for a daemon that ignores SIGTERM, and takes its end for a failure of the command."""
    stand_in("systemd-run", 'printf "<%s>" "$@"')
    blue = slots.parent.parent / "srv/shop/releases" / (slots / "blue/release").readlink().name
    (blue / ".release").write_text("0123456\t.\n")
    for called in (f"command_run shop {blue.name} . true", "status_run shop true mark"):
        ran = call([status], called)
        assert "<KillMode=mixed>" in ran.stdout, ran.stderr


def test_a_hook_that_the_sandbox_ended_says_which_key_to_set(
    slots: Path, shell: Shell, stand_in: Callable[[str, str], Path]
) -> None:
    stand_in("systemd-run", f"echo '{DENIED}' >&2; exit 1")
    for name in ("before", "after"):
        ran = shell(f"{name}=warm; activation_{name}")
        assert HINT in ran.stdout, ran.stdout


def test_a_process_that_the_sandbox_ends_says_which_key_to_set(
    slots: Path, shell: Shell, stand_in: Callable[[str, str], Path]
) -> None:
    """The journal has its last minute."""
    (slots / "blue/units/shop-worker.service").write_text(unit("x")["x"])
    stand_in("journalctl", f'case "$*" in *-u*shop-worker.service*) echo "{DENIED}" ;; esac')
    ran = shell("new=blue; systemd_process_state() { echo failed; }; process_keep")
    assert ran.stdout.endswith("\n"), ran.stdout
    assert f"error: shop: worker does not keep running{HINT}" in ran.stdout


def test_a_release_that_the_sandbox_ends_with_the_traffic_says_which_key_to_set(
    slots: Path, shell: Shell, stand_in: Callable[[str, str], Path]
) -> None:
    stand_in("journalctl", 'case "$*" in *shop@green*) echo "[ERROR] Worker (pid:7) was sent SIGSYS!" ;; esac')
    ran = shell("new=green watch=1 workers=999999999 log_mark=; activation_check_workers")
    assert "ended it (SIGSYS): if the app needs it, set apps.shop.unsandbox: [SystemCallFilter]" in ran.stdout
