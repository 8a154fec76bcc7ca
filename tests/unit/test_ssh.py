"""How a login becomes root, and what is said where it does not; connections themselves are the lab's to test."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from provision.controller import become
from provision.controller.ssh import denial, nameless, root_shell

if TYPE_CHECKING:
    from collections.abc import Callable

    from provision.inventory import Host

    MakeHost = Callable[..., Host]


def login(make_host: MakeHost, user: str, method: str) -> Host:
    return make_host(f"hosts: {{web1: {{address: 203.0.113.10, user: {user}, become: {method}}}}}\n")


@pytest.mark.parametrize(
    ("user", "method", "command"),
    [
        ("root", "auto", "sh -s"),
        ("admin", "none", "sh -s"),
        ("admin", "auto", "sudo -n sh -s"),
        ("root", "sudo", "sudo -n sh -s"),
    ],
)
def test_a_login_becomes_root_as_the_inventory_says(make_host: MakeHost, user: str, method: str, command: str) -> None:
    host = login(make_host, user, method)
    assert root_shell(host, None) == (command, "")
    assert become.uses_sudo(host) is command.startswith("sudo")
    assert not become.needs_password(host)


@pytest.mark.parametrize("reads", [True, False])
def test_a_script_runs_whether_or_not_sudo_reads_the_password(make_host: MakeHost, reads: bool) -> None:
    host = login(make_host, "admin", "sudo-password")
    assert become.uses_sudo(host)
    assert become.needs_password(host)
    command, first = root_shell(host, "a password")
    password, mark, end = first.split("\n")
    assert (password, end) == ("a password", "")
    assert re.fullmatch("[0-9a-f]{32}", mark)
    shell = command.removeprefix("sudo -k -S -p '' ")
    assert shell != command
    asks = "IFS= read -r password; " if reads else ""
    ran = subprocess.run(
        ["sh", "-c", f"{asks}exec {shell} an-argument"],
        input=f'{first}echo "$1"\nexit 3\n',
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stdout) == (3, "an-argument\n")


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        (
            "sudo: a password is required",
            "sudo wants a password for ops: set become: sudo-password, or allow ops to use sudo without one",
        ),
        ("sudo: 1 incorrect password attempt", "sudo refused the password of ops"),
        (
            "ops is not in the sudoers file.",
            "ops may not use sudo: add it to the sudo group, or log in as root",
        ),
        ("sh: 1: sudo: not found", "sudo is not installed: install it, or log in as root"),
        ("cat: /etc/shadow: Permission denied", ""),
        ("", ""),
    ],
)
def test_why_sudo_made_nobody_root_is_one_line(stderr: str, message: str) -> None:
    assert denial("ops", stderr) == message


def test_a_wait_for_the_servers_own_name_is_told_only_where_there_was_one() -> None:
    said = "bash: warning\nsudo: unable to resolve host web1.internal: Temporary failure in name resolution\n"
    found = nameless(said, 12.3)
    assert str(found) == (
        "sudo asks DNS for the server's own name each time, and waits for an answer that does not come (12 s): add the line 127.0.1.1 "
        "web1.internal to /etc/hosts on the server"
    )
    assert (nameless(said, 0.4), nameless("", 12.3)) == (None, None)
