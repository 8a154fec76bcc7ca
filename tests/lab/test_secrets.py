"""Canaries on all the ways that a secret takes: nothing but the app's own files has them, plain or in Base64."""

import base64
import hashlib
import json
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision import lab
from tests.lab.conftest import ROOT, https, shell
from tests.lab.refusals import lab_values
from tests.lab.repository import Repository

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab2")
APP = "canary"
DOMAIN = f"{APP}.{SERVER}.test"
# One for each way. What the app itself prints is in its journal; nothing else may have it.
CANARIES = {
    "STORED": "kanarie-in-the-file-0",
    "REFERRED": "kanarie-referred-to-12",
    "LINES": "kanarie-first-line-345\nkanarie-second-line-6",
    "HERE": "kanarie-of-this-machine-78",
    "PRINTED": "kanarie-of-a-command-9",
    "TEMPLATE": "kanarie-in-a-template-1",
    "EARLIER": "kanarie-in-a-template-0",
    "FAILING": "kanarie-of-a-failing-one-2",
    "SAID": "kanarie-of-a-talkative-app-34",
}
APPS = ("STORED", "REFERRED", "LINES", "HERE", "PRINTED", "SAID")
MAIN = f"""\
import base64
import hashlib
import os
import sys

from fastapi import FastAPI

app = FastAPI()
BREAKS = False


@app.on_event("startup")
async def begin():
    if BREAKS:
        said = os.environ["SAID"]
        print(f"cannot start with {{said}}", base64.b64encode(f"user:{{said}}".encode()).decode(), file=sys.stderr, flush=True)
        os._exit(3)


@app.get("/health")
def health():
    return {{name: hashlib.sha256(os.environ[name].encode()).hexdigest() for name in {APPS}}}
"""
INVENTORY = """\
apps:
  {app}:
    source: {url}
    module: main:app
    python: system
    workers: 1
    domains: ["{app}.{{host}}.test"]
    health: {{path: /health, timeout: 30, watch: 1}}
    migrate: echo "migrating with $SAID"; true
    secrets: [STORED, SAID]
    environment:
      REFERRED: !secret REFERRED
      LINES: !secret LINES
      TEMPLATE: !secret TEMPLATE
      HERE: !env HERE
      PRINTED: !command [{command}]
"""


def spellings(value: str) -> set[str]:
    """A value as it may have leaked: its lines, and what Base64 has of it wherever it stands."""
    found = set(value.splitlines())
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + value.encode()).decode()
        found.add(encoded[-(-8 * offset // 6) : 8 * (offset + len(value.encode())) // 6])
    return found


LEAKS = {spelling: name for name, value in CANARIES.items() for spelling in spellings(value)}


def leaked(text: str) -> set[str]:
    return {name for spelling, name in LEAKS.items() if spelling in text}


@dataclass
class Project:
    """A project with its own templates and a team of one, and all that its tasks have printed."""

    folder: Path
    url: str
    printed: list[str] = field(default_factory=list)

    def __call__(
        self, task: str, *options: str, given: str = "", debug: bool = False
    ) -> "subprocess.CompletedProcess[str]":
        words = (sys.executable, "-m", "invoke", *(["--debug"] if debug else []), task, "--host", SERVER, *options)
        ran = subprocess.run(
            words,
            cwd=self.folder,
            env={
                **os.environ,
                "HOME": str(self.folder / "home"),
                "TMPDIR": str(self.folder / "tmp"),
                "PYTHONPATH": str(ROOT),
                "HERE": CANARIES["HERE"],
                "OF_COMMAND": CANARIES["PRINTED"],
                "OF_FAILING": CANARIES["FAILING"],
            },
            input=given,
            capture_output=True,
            text=True,
            timeout=600,
        )
        self.printed.append(ran.stdout + ran.stderr)
        return ran

    def declare(self, command: str = "printenv, OF_COMMAND") -> None:
        values = lab_values()
        values["hosts"] = {SERVER: values["hosts"][SERVER]}
        text = INVENTORY.format(app=APP, url=self.url, command=command)
        (self.folder / "inventories/prod.yml").write_text(yaml.safe_dump(values) + text)

    def template(self, line: str) -> None:
        own = self.folder / "templates/gunicorn.conf.py.j2"
        own.parent.mkdir(exist_ok=True)
        own.write_text((ROOT / "templates/gunicorn.conf.py.j2").read_text() + line)

    def set(self, name: str, value: str) -> None:
        ran = self("secrets.set", "--key", name, given=value)
        assert ran.returncode == 0, ran.stderr


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    made = Repository.create(f"canary-{SERVER}", tmp_path_factory.mktemp("repository") / "tree")
    made.commit({"main.py": MAIN, "requirements.txt": "fastapi==0.165.0\n"})
    made.commit({"main.py": MAIN.replace("BREAKS = False", "BREAKS = True")}, "broken")
    yield made
    made.remove()


@pytest.fixture
def project(repository: Repository, tmp_path: Path) -> Project:
    for name in ("inventories", "home/.ssh", "tmp"):
        (tmp_path / name).mkdir(parents=True)
    key = tmp_path / "home/.ssh/id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (tmp_path / "inventories/prod.recipients").write_text(key.with_suffix(".pub").read_text())
    (tmp_path / "tasks.py").write_text("from provision.tasks import namespace\n")
    made = Project(tmp_path, repository.url)
    made.declare()
    made.template("# {{ app.env.TEMPLATE }}\n")
    lab.reset(SERVER, used=True)
    return made


@contextmanager
def processes_watched() -> Iterator[set[str]]:
    """The command lines of all processes, on this machine and on the server, which runs on it; seen again and again."""
    seen: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield seen
    finally:
        over.set()
        watching.join()


def on_the_servers_disk() -> set[str]:
    """The files on the server that have a canary, the journal's own aside; in memory (/run) as well."""
    patterns = " ".join(f"-e {shlex.quote(each)}" for each in LEAKS)
    found = shell(
        SERVER,
        "find / /run /dev/shm /tmp -xdev -type f -size -30M -not -path '*/log/journal/*' -not -path '/usr/*' -print0"
        f" | xargs -0 grep -lFsa {patterns} || true",
    )
    return set(found.splitlines())


def in_the_journal() -> set[tuple[str, str]]:
    """The canaries in the journal, each with the unit whose line has it."""
    lines = shell(
        SERVER, "journalctl -o json --output-fields=_SYSTEMD_UNIT,MESSAGE --no-pager | grep -a kanarie || true"
    )
    entries = [json.loads(line) for line in lines.splitlines()]
    return {(name, str(entry.get("_SYSTEMD_UNIT"))) for entry in entries for name in leaked(str(entry["MESSAGE"]))}


def deployed(project: Project) -> None:
    """Every secret on its way to the server, one of them changed; and then there is nothing more to change."""
    for name in ("STORED", "REFERRED", "LINES", "SAID"):
        project.set(name, CANARIES[name])
    project.set("TEMPLATE", CANARIES["EARLIER"])
    first = project("deploy", "--json")
    assert first.returncode == 0, first.stdout
    assert any("TEMPLATE=********" in change["diff"] for change in hosted(first)["changes"])
    project.set("TEMPLATE", CANARIES["TEMPLATE"])
    planned = project("plan", debug=True)
    assert planned.returncode == 2, planned.stderr
    assert "TEMPLATE=******** (changed)" in planned.stdout
    assert "      -********\n      +# ********\n" in planned.stdout
    second = project("deploy")
    assert second.returncode == 0, second.stdout
    again = hosted(project("deploy", "--json"))
    assert (again["status"], again["execs"], again["changes"]) == ("ok", 2, [])
    answered = json.loads(https(SERVER, "/health", DOMAIN).stdout)
    assert answered == {name: hashlib.sha256(CANARIES[name].encode()).hexdigest() for name in APPS}


def failed(project: Project) -> None:
    """A template, a command and an activation that fail, each with a secret in what it says."""
    project.template("# {{ {}[app.env.TEMPLATE] }}\n")
    assert "'dict object' has no attribute '********'" in hosted(project("plan", "--json"))["error"]
    project.template("# {{ app.env.TEMPLATE }}\n")
    project.declare("sh, -c, 'echo $OF_FAILING; echo $OF_FAILING >&2; exit 3'")
    assert project("plan").stderr.endswith(
        "environment.PRINTED: the command sh failed (exit status 3); run it by itself to see why\n"
    )
    project.declare()
    broken = project("deploy", "--json", "--revision", "broken")
    assert broken.returncode == 1, broken.stdout
    assert any("cannot start with ********" in line for line in hosted(broken)["output"])
    assert "cannot start with ********" in project("logs", "--lines", "400").stdout
    assert project("secrets.show").stdout == "STORED\nREFERRED\nLINES\nSAID\nTEMPLATE\n"


def test_a_secret_is_nowhere_but_in_the_apps_own_files(project: Project) -> None:
    with processes_watched() as seen:
        deployed(project)
        failed(project)
    assert [names for each in project.printed if (names := leaked(each))] == []
    assert [each for each in seen if leaked(each)] == []
    assert any("gunicorn" in each for each in seen), "the server's processes are seen from here"
    here = [path for path in project.folder.rglob("*") if path.is_file()]
    assert [path for path in here if leaked(path.read_bytes().decode(errors="replace"))] == []
    there = on_the_servers_disk()
    assert f"/etc/{APP}/env" in there
    assert {path for path in there if not path.startswith(f"/etc/{APP}/")} == set()
    modes = shell(SERVER, f"stat -c '%a %U:%G' {' '.join(sorted(there))} /etc/{APP}")
    assert set(modes.splitlines()) == {f"640 root:{APP}", f"750 root:{APP}"}
    found = in_the_journal()
    assert {name for name, _ in found} <= {"SAID"}
    assert {unit for _, unit in found if not unit.startswith((f"{APP}@", f"{APP}-", "run-", "provision-"))} == set()
    runs = shell(SERVER, "cat /run/provision/runs/*/events")
    assert "migrating with ********" in runs
    assert "cannot start with ********" in runs


def hosted(ran: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """The server's part of a task's JSON document."""
    host: dict[str, Any] = json.loads(ran.stdout)["hosts"][SERVER]
    return host
