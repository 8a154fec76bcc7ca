"""A server that answers with anything, without an end, or never: it fails alone, in one line, and does no harm here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.lab.conftest import LAB, ROOT, sampled, shell
from tests.lab.refusals import ADDRESS, SERVER, lab_values

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 4
# A second address of the same server.
OTHER = ADDRESS.replace(".0.", ".0.2")
MEMORY = 200 << 20
# The login shell of admin, for whom the server is hostile; ops, on the same server, is the other host.
SHELL = "/usr/local/bin/hostile"
FACTS = r"system\tsystem=debian\tversion=12\tinit=systemd\tarchitecture=x86_64\tcpus=1\tmemory=1\tlogin=a\thome=/home/a\tnow=1"
WAYS = {
    "garbage": "BEGIN; head -c 300000 /dev/urandom",
    "endless lines": "BEGIN; exec yes",
    "an endless line": "BEGIN; exec cat /dev/zero",
    "endless empty lines": "BEGIN; exec yes ''",
    "endless errors": "exec yes >&2",
    "much on both": "yes | head -c 50000000 >&2; yes | head -c 50000000; exit 1",
    "never": "exec sleep 100",
    "a word at a time": "BEGIN; while :; do echo word; sleep 0.2; done",
    "nothing": "exit 0",
    "escape codes": r"BEGIN; printf '\033]0;owned\007\033[2J\233\r\010forged\nend\nend\n'; printf '\033[2J\007' >&2; exit 1",
    "forged facts": r"BEGIN; printf 'system\tsystem=ubuntu\tversion=x\nend\nend\n'",
    "forged paths": rf"BEGIN; printf '{FACTS}\nmanaged\tapp=shop\tpath=/etc/../root/.profile\nend\nend\n'",
    "forged rows": r"BEGIN; printf 'app=shop\tstate=x\tworkers=x\thealth=\033[2J\nupdates=x\n'",
}
# The mark that an answer begins with is the first line of what is to be run; whoever wants to be believed says it.
BEGIN = 'read -r first; eval "$first"'
SLOW = ("endless errors", "a word at a time")
PROGRAM = """
import resource, sys
from provision.controller import ssh
from provision.__main__ import main
ssh.SCRIPT_SECONDS = int(sys.argv.pop(1))
sys.argv[0] = "provision"
try:
    main()
finally:
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}", file=sys.stderr)
"""


@dataclass(frozen=True)
class Both:
    """An inventory with both hosts, and a home for the controller."""

    inventory: Path
    home: Path

    def with_an_app(self) -> Both:
        """The same hosts with an app, so that there is something to check."""
        app = {
            "source": "https://git.test/shop.git",
            "module": "main:app",
            "domains": ["shop.test"],
            "python": "system",
        }
        values = {**yaml.safe_load(self.inventory.read_text()), "apps": {"shop": app}}
        del values["roles"]
        path = self.inventory.with_name("checked.yml")
        path.write_text(yaml.safe_dump(values, sort_keys=False))
        return Both(path, self.home)

    def __call__(self, task: str, *options: str) -> subprocess.CompletedProcess[bytes]:
        words = (task, "--host", "both", "--inventory", str(self.inventory), *options)
        environ = {
            **os.environ,
            "HOME": str(self.home),
            "TMPDIR": str(self.home / "tmp"),
            "PROVISION_SUDO_PASSWORD": (LAB / "ops-password").read_text().strip(),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(ROOT),
        }
        words = (sys.executable, "-c", PROGRAM, str(SECONDS), *words)
        return subprocess.run(
            words, cwd=self.home, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=90
        )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "home/tmp").mkdir(parents=True)
    known = folder / "known_hosts"
    lines = (LAB / "known_hosts").read_text().splitlines(keepends=True)
    known.write_text("".join(each + each.replace(ADDRESS, OTHER) for each in lines if each.startswith(f"{ADDRESS},")))
    path = folder / "both.yml"
    hosts: dict[str, Any] = {
        "bad": {"address": ADDRESS, "groups": ["both"]},
        "good": {"address": OTHER, "groups": ["both"], "user": "ops", "become": "sudo-password"},
    }
    values = {**lab_values(), "hosts": hosts, "roles": ["base"], "known_hosts": str(known)}
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    before = shell(SERVER, f"ip address add {OTHER}/24 dev host0; getent passwd admin | cut -d: -f7")
    yield Both(path, folder / "home")
    shell(
        SERVER, f"usermod -s {before} admin; rm -f {SHELL}; ip address del {OTHER}/24 dev host0; pkill -u admin || true"
    )


@pytest.mark.parametrize("way", sampled(list(WAYS)))
def test_a_hostile_server_fails_alone_and_in_one_line(both: Both, way: str) -> None:
    shell(
        SERVER,
        f"cat >{SHELL} <<'END'\n#!/bin/sh\n{WAYS[way].replace('BEGIN', BEGIN)}\nEND\nchmod 755 {SHELL}; usermod -s {SHELL} admin",
    )
    for task in ("plan",) if way in SLOW else ("plan", "releases"):
        ran = both(task, "--json")
        said = ran.stderr.decode()
        assert ran.returncode == 1 or task == "releases", said
        assert "Traceback" not in said
        hosts = json.loads(ran.stdout)["hosts"]
        assert hosts["good"]["error"] is None, hosts
        # No row is an answer to `releases`.
        assert hosts["bad"]["error"] or task == "releases", hosts
        assert "\n" not in (hosts["bad"]["error"] or "")
        assert len(hosts["bad"]["error"] or "") < 700
        (peak,) = re.findall(r"^peak (\d+)$", said, re.MULTILINE)
        assert int(peak) << 10 < MEMORY
    if way not in ("garbage", "escape codes", "forged rows"):
        return
    ran = both("plan")
    printed = ran.stdout + ran.stderr
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]", printed), printed
    assert [
        path for path in both.home.rglob("*") if path.name != "tmp" and not path.is_relative_to(both.home / ".cache")
    ] == []


# It answers as it should until it is asked for something.
CHECKED = {
    "garbage": "head -c 100000 /dev/urandom",
    "endless": "yes",
    "escape codes": r"printf '\033]0;owned\007\033[2J\n' | tee /dev/stderr; exit 255",
}


@pytest.mark.parametrize("way", sampled(list(CHECKED)))
def test_the_checks_of_a_hostile_server_fail_and_those_of_others_go_on(both: Both, way: str) -> None:
    told = f'{BEGIN}; if [ -n "$first" ]; then echo 0; exit; fi; {CHECKED[way]}'
    shell(SERVER, f"cat >{SHELL} <<'END'\n#!/bin/sh\n{told}\nEND\nchmod 755 {SHELL}; usermod -s {SHELL} admin")
    ran = both.with_an_app()("verify", "--json")
    found = json.loads(ran.stdout)
    # The app is on neither of them: the good one, too, fails each check that needs it, but is asked.
    bad, good = ([one["reason"] for one in found["hosts"][name]["checks"]] for name in ("bad", "good"))
    assert (ran.returncode, len(bad)) == (1, len(good)), found
    assert len(good) > 20, found
    printed = ran.stdout + ran.stderr
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]", printed), printed[-3000:]
    (peak,) = re.findall(rb"^peak (\d+)$", ran.stderr, re.MULTILINE)
    assert int(peak) << 10 < MEMORY
