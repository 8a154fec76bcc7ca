"""The sandbox: what it comes to, what an app can do without, and what runs in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.engine.shell import quote, words
from provision.inventory import sandbox as inventory
from provision.release import sandbox, shell
from tests.unit.conftest import TEN_LINES
from tests.unit.tables import file

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.tables import MakeFacts, MakeHost

PROGRAMS = "    processes: {worker: sleep 1}\n    schedules: {tidy: {at: daily, run: sleep 1}}\n"
UNITS = ("shop@.service", "shop-worker.service", "shop-tidy.service")


def test_an_inventory_can_name_each_directive() -> None:
    assert sorted({name for name, _ in sandbox.DIRECTIVES}) == list(inventory.NAMES)


def test_each_unit_and_the_file_for_commands_have_the_same_sandbox(make_host: MakeHost, make_known: MakeFacts) -> None:
    found = roles.everything(make_host(TEN_LINES + PROGRAMS + "    tasks_max: 99\n"), *make_known())
    lines = file(found, "/etc/shop/sandbox").content
    assert lines.endswith("TasksMax=99\nMemoryMax=75%\n")
    for name in UNITS:
        assert f"ReadWritePaths=/srv/shop/shared\n{lines}" in file(found, f"/etc/shop/units/{name}").content


def test_an_app_can_do_without_a_directive(make_host: MakeHost, make_known: MakeFacts) -> None:
    more = "    unsandbox: [MemoryDenyWriteExecute, SystemCallFilter]\n"
    found = roles.everything(make_host(TEN_LINES + PROGRAMS + more), *make_known())
    for name in (*(f"units/{unit}" for unit in UNITS), "sandbox"):
        content = file(found, f"/etc/shop/{name}").content
        assert "MemoryDenyWriteExecute" not in content
        assert "SystemCallFilter" not in content
        assert "\nPrivateUsers=yes\n" in content


@pytest.fixture
def said(
    call: Callable[..., subprocess.CompletedProcess[str]], stand_in: Callable[[str, str], Path]
) -> Callable[[str], str]:
    """Runs functions of the sandbox, and returns what they print; what stands for systemd-run prints its arguments."""
    stand_in("systemd-run", 'printf "<%s>\\n" "$@"')

    def run(script: str) -> str:
        done = call([shell], script)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_command_gets_each_property_in_order_and_its_words_as_they_are(said: Callable[[str], str]) -> None:
    properties, command = "A=1 2\nB=~@x\nC=", "echo 'a  b'\n$HOME"
    lines = said(words("sandbox_run", properties, "--unit=u", "sh", "-c", command)).splitlines()
    assert lines[lines.index("<-p>") :] == [
        *("<-p>", "<A=1 2>", "<-p>", "<B=~@x>", "<-p>", "<C=>", "<--unit=u>", "<sh>", "<-c>"),
        *f"<{command}>".splitlines(),
    ]


def test_an_app_without_a_file_has_the_default(said: Callable[[str], str], tmp_path: Path) -> None:
    own = ["User=shop", "Group=shop", f"ReadWritePaths={tmp_path}/srv/shop/shared"]
    assert said(f"sandbox_of shop {tmp_path}/none").splitlines() == [*sandbox.DEFAULT.splitlines(), *own]
    (tmp_path / "some").write_text("A=1\n")
    assert said(f"sandbox_of shop {tmp_path}/some").splitlines() == ["A=1", *own]


@pytest.mark.parametrize(
    ("log", "says"),
    [
        (
            "[ERROR] Worker (pid:7) was sent SIGSYS!",
            "(SIGSYS): if the app needs it, set apps.shop.unsandbox: [SystemCallFilter]",
        ),
        ("Main process exited, code=killed, status=31/SYS", "unsandbox: [SystemCallFilter]"),
        ("signal 31", "unsandbox: [SystemCallFilter]"),
        ("LLVM ERROR: Unable to allocate section memory!", "unsandbox: [MemoryDenyWriteExecute]"),
        ("PermissionError: [Errno 1] Operation not permitted", "set apps.shop.unsandbox to the directive"),
        (
            "Main process exited, code=killed, status=9/KILL",
            "it was killed: for want of memory (apps.shop.memory_max), or by",
        ),
        ("ValueError: 31", ""),
        ("", ""),
    ],
)
def test_what_the_sandbox_may_have_ended_says_which_key_to_set(said: Callable[[str], str], log: str, says: str) -> None:
    hint = said(f"printf '%s\\n' {quote(log)} | sandbox_hint shop")
    assert says in hint
    assert bool(hint) == bool(says)


@pytest.mark.parametrize(
    "log",
    [
        "OSError: [Errno 30] Read-only file system: 'logs'",
        "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) unable to open database file",
        "sqlite3.OperationalError: attempt to write a readonly database",
    ],
)
def test_what_writes_to_its_release_is_told_where_it_may_write(said: Callable[[str], str], log: str) -> None:
    hint = said(f"printf '%s\\n' {quote(log)} | sandbox_hint shop /srv/shop/shared")
    assert hint == (
        "; a release can only be read: name the folder in apps.shop.shared (such as [data, logs]), or let the app write to"
        " /srv/shop/shared by a full path, or to /tmp"
    )
    assert said(f"printf '%s\\n' {quote(log)} | sandbox_hint shop") == "", "a build has no such folder"
