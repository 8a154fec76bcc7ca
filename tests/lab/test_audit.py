"""`invoke audit` on a real server: what a stranger left there is named, and nothing else."""

import os
from pathlib import Path

import pytest
import yaml

from provision import lab
from tests.lab.conftest import Controller, shell
from tests.lab.refusals import lab_values

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab2")
# What a stranger does, and undoes; the audit's name for it, and what it says of it.
STRANGERS = {
    "a port": (
        "cp /usr/bin/systemd-socket-activate /opt/listener; systemd-run -q --unit=listener /opt/listener -l 4444 /bin/true; sleep 1",
        "systemctl stop listener; rm /opt/listener",
        ("listens", "/opt/listener (process"),
    ),
    "a user with a key": (
        "useradd -m -s /bin/bash stranger; install -d /home/stranger/.ssh; echo 'ssh-ed25519 AAAA a' >/home/stranger/.ssh/authorized_keys",
        "userdel -r stranger",
        ("logins", "stranger can log in with 1 SSH key, and the inventory does not say so"),
    ),
    "a second root": (
        "useradd -o -u 0 -d /root -s /bin/bash toor",
        "sed -i '/^toor:/d' /etc/passwd /etc/shadow /etc/group /etc/gshadow",
        ("logins", "toor is root under another name, with 1 SSH key"),
    ),
    "sudo": (
        "echo 'games ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/games",
        "rm /etc/sudoers.d/games",
        ("sudo", "games can become root by /etc/sudoers.d/games"),
    ),
    "a SUID file": (
        "install -m 4755 /bin/sh /var/tmp/sh",
        "rm /var/tmp/sh",
        ("suid", "/var/tmp/sh gives whoever runs it other rights (4755 root:root), and is of no package"),
    ),
    "a SUID bit on a package's file": (
        "chmod u+s /usr/bin/find",
        "chmod u-s /usr/bin/find",
        (
            "suid",
            "/usr/bin/find gives whoever runs it other rights (4755 root:root), and is of findutils, which ships no such mode",
        ),
    ),
    "another program in place of a package's": (
        "cp /usr/bin/chsh /root/chsh; cat /bin/true >/usr/bin/chsh; chmod 4755 /usr/bin/chsh",
        "install -m 4755 /root/chsh /usr/bin/chsh; rm /root/chsh",
        ("suid", "/usr/bin/chsh is not what passwd had"),
    ),
    "a timer": (
        "systemd-run -q --unit=nightly --on-calendar=daily true",
        "systemctl stop nightly.timer",
        (
            "timers",
            "nightly.timer is a timer that runs, and comes from no package (/run/systemd/transient/nightly.timer)",
        ),
    ),
    "a unit": (
        "printf '[Service]\\nExecStart=/bin/true\\n[Install]\\nWantedBy=multi-user.target\\n' >/etc/systemd/system/door.service; systemctl -q enable door",
        "systemctl -q disable door; rm /etc/systemd/system/door.service; systemctl daemon-reload",
        ("units", "door.service is enabled, and comes from no package (/etc/systemd/system/door.service)"),
    ),
    "a job for cron": (
        "echo '* * * * * root true' >/etc/cron.d/door",
        "rm /etc/cron.d/door",
        ("timers", "/etc/cron.d/door has jobs for cron, and comes from no package"),
    ),
}


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Controller:
    """One whose inventory has the server, which has been reset, and who logs in there: `admin`, and those of the lab's image."""
    lab.reset(SERVER)
    content = lab_values()
    content["hosts"] = {SERVER: content["hosts"][SERVER] | {"roles": ["base"]}}
    content["hardening"] = {"logins": ["root", "ops"]}
    for key in ("apps", "tls"):
        content.pop(key, None)
    path: Path = tmp_path_factory.mktemp("inventory") / "audit.yml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return Controller(path)


def audited(controller: Controller) -> tuple[int, list[tuple[str, str]]]:
    """The exit status of an audit, and what it found."""
    answer = controller("audit", SERVER, "--json")
    return answer.status, [(each["check"], each["what"]) for each in answer.host(SERVER)["unexplained"]]


def test_what_strangers_left_is_named_and_nothing_once_it_is_gone(controller: Controller) -> None:
    assert audited(controller) == (0, [])
    for does, _, _ in STRANGERS.values():
        shell(SERVER, does)
    try:
        status, found = audited(controller)
        said = controller("audit", SERVER).stdout
    finally:
        for _, undoes, _ in STRANGERS.values():
            shell(SERVER, undoes)
    assert status == 1
    expected = [wanted for _, _, wanted in STRANGERS.values()]
    assert [
        one for one in expected if not any(check == one[0] and what.startswith(one[1]) for check, what in found)
    ] == []
    assert len(found) == len(expected)
    assert "to do    systemctl disable --now listener.service" in said
    assert f"{SERVER} ✗ {len(expected)} things unexplained" in said
    assert audited(controller) == (0, [])


def test_what_hardening_makes_is_explained(controller: Controller) -> None:
    text = controller.inventory.read_text().replace("hardening:\n", "hardening:\n  system: true\n")
    hardened = controller.with_text(text, "hardened")
    assert hardened("provision", SERVER, "--json").status == 0
    assert audited(hardened) == (0, [])
