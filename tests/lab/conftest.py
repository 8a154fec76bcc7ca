"""Real servers for the tests, and the command line as a user types it."""

import json
import os
import pty
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from provision import lab
from provision.controller import python_cache
from provision.inventory import load
from tests.lab import again, starter

pytest.register_assert_rewrite(
    *(
        f"tests.lab.{name}"
        for name in ("apps", "bad_days", "interruptions", "refusals", "releases", "safe_site", "sample_site")
    )
)

ROOT = Path(__file__).parents[2]
LAB = ROOT / ".lab"
SERVERS = 4
SECONDS = 900
SEEDED: list[Path] = []
BUILDER = os.environ.get("PROVISION_TEST_SERVER", "lab1")
# Lanes that run beside each other share two cores: what is measured in seconds takes longer there.
ALONE = "PROVISION_LANE" not in os.environ
SUITE = os.environ.get("PROVISION_SUITE", "bookworm")


@dataclass(frozen=True)
class Answer:
    """What a task printed, and its exit status."""

    status: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document of a task that ran with --json."""
        document: dict[str, Any] = json.loads(self.stdout)
        return document

    def host(self, name: str) -> dict[str, Any]:
        """One host of the document."""
        host: dict[str, Any] = self.document["hosts"][name]
        return host

    def failing(self, name: str) -> set[str]:
        """The checks of `verify` that a host fails, without test_ and what they are for."""
        checks = self.host(name)["checks"]
        assert checks, self.stderr
        failed = (check["id"].partition("[")[0] for check in checks if check["outcome"] == "failed")
        return {each.removeprefix("test_") for each in failed}

    def changed(self, name: str) -> list[str]:
        """The ids of a host's changes."""
        return [change["id"] for change in self.host(name)["changes"]]


@dataclass(frozen=True)
class Controller:
    """Runs tasks with one inventory, each in a process of its own."""

    inventory: Path
    environ: dict[str, str] = field(default_factory=dict)

    def command(self, task: str, host: str, *options: str) -> list[str]:
        """The command line of a task."""
        return [sys.executable, "-m", "invoke", task, "--host", host, "--inventory", str(self.inventory), *options]

    def start(self, task: str, host: str, *options: str) -> "subprocess.Popen[str]":
        """Start a task. It can be interrupted by SIGINT, which processes in the background of a shell ignore."""
        return subprocess.Popen(
            ["env", "--default-signal=INT", *self.command(task, host, *options)],
            cwd=ROOT,
            env={**os.environ, **self.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, task: str, host: str, *options: str) -> Answer:
        if not any(name.startswith(starter.EARLY) for name in self.environ):
            words = self.command(task, host, *options)[3:]
            answer = Answer(*starter.run(words, {**os.environ, **self.environ}, SECONDS))
        else:
            process = self.start(task, host, *options)
            stdout, stderr = process.communicate(timeout=SECONDS)
            answer = Answer(process.returncode, stdout, stderr)
        if again.REBOOTS and task == "deploy" and answer.status:
            again.check(self.inventory, host)
        return answer

    def deploy(self, host: str, *options: str) -> Answer:
        """A deploy that must succeed."""
        answer = self("deploy", host, "--json", *options)
        assert answer.status == 0, answer.stdout + answer.stderr
        return answer

    def plan(self, host: str, *options: str) -> Answer:
        """A plan; it may fail."""
        return self("plan", host, "--json", *options)

    def with_text(self, text: str, name: str = "") -> "Controller":
        """The same controller with another inventory in its place, or beside it under another `name`."""
        path = self.inventory.with_name(f"{name or self.inventory.stem}.yml")
        path.write_text(text)
        return Controller(path, self.environ)


def on_a_terminal(command: list[str], answers: str) -> Answer:
    """A task whose questions are answered on a terminal; what it prints is all in its stdout."""
    terminal, inside = pty.openpty()
    os.write(terminal, answers.encode())
    ran = subprocess.run(
        command,
        cwd=ROOT,
        stdin=inside,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        start_new_session=True,
    )
    os.close(inside)
    os.close(terminal)
    return Answer(ran.returncode, ran.stdout, "")


@pytest.fixture(scope="session", autouse=True)
def running_lab() -> Iterator[None]:
    """The lab, with at least four servers; it ends with the tests, unless PROVISION_KEEP_LAB is set.

    A lane (lanes.sh) finds the lab up, and leaves a server alone that is down: the other lane is making it bare.
    """
    if not os.environ.get("PROVISION_LANE"):
        lab.up(count=SERVERS, suite=SUITE)
    yield
    for folder in SEEDED:
        shutil.rmtree(folder, ignore_errors=True)
    if not os.environ.get("PROVISION_KEEP_LAB"):
        lab.down()


@pytest.fixture(scope="session")
def sample() -> str:
    """The text of an inventory for the sample app on the lab's servers; releases are watched for a second, which is enough here."""
    text = (ROOT / "inventories/lab.yml").read_text()
    return text.replace("../.lab/", f"{LAB}/").replace("    env_file:", "    health: {watch: 1}\n    env_file:")


@dataclass(frozen=True)
class Built:
    """A deploy to a bare server for which pyenv built a Python: its answer, and how many seconds it took."""

    answer: Answer
    seconds: float


def first_inventory(sample: str) -> Path:
    """Write the inventory whose server builds the Python for all others."""
    path = LAB / f"tests/{'first' if SUITE == 'bookworm' else f'first-{SUITE}'}.yml"
    path.parent.mkdir(exist_ok=True)
    # The other lane may be reading it.
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_text(sample)
    beside.replace(path)
    return path


@pytest.fixture(scope="session")
def built(sample: str, running_lab: None) -> Built:
    """The only deploy that builds a Python; all others install what it packed."""
    path = first_inventory(sample)
    shutil.rmtree(python_cache.location(load(path)), ignore_errors=True)
    python_cache.lock(load(path)).unlink(missing_ok=True)
    lab.reset(BUILDER, SUITE)
    begun = time.monotonic()
    answer = Controller(path).deploy(BUILDER)
    return Built(answer, time.monotonic() - begun)


@pytest.fixture(scope="session")
def pythons(sample: str, request: pytest.FixtureRequest) -> Path:
    """The inventory that has packed Pythons; with PROVISION_KEEP_LAB, those of an earlier session are used again.

    A lane that `waits` (lanes.sh) has those that the other one builds.
    """
    path = first_inventory(sample)
    lock = python_cache.lock(load(path))
    if os.environ.get("PROVISION_LANE") == "waits":
        deadline = time.monotonic() + 1800
        while not lock.is_file():
            assert time.monotonic() < deadline, "the other lane has built no Python"
            time.sleep(1)
    elif not (os.environ.get("PROVISION_KEEP_LAB") and lock.is_file()):
        request.getfixturevalue("built")
    return path


@pytest.fixture
def controller(sample: str, tmp_path: Path, pythons: Path) -> Controller:
    """The sample app's inventory in a file of its own, so that a test may change it."""
    path = tmp_path / "test.yml"
    path.write_text(sample)
    seed(path, pythons)
    return Controller(path)


def seed(path: Path, pythons: Path) -> Path:
    """Give an inventory the packed Pythons of another, whose path is `pythons`; return its folder of them, which is removed when
    the tests end.
    """
    source, target = load(pythons), load(path)
    own = python_cache.location(target)
    shutil.rmtree(own, ignore_errors=True)
    shutil.copytree(python_cache.location(source), own, copy_function=os.link)
    shutil.copy(python_cache.lock(source), python_cache.lock(target))
    SEEDED.append(own)
    return own


@pytest.fixture
def fresh() -> Callable[[str], None]:
    """Makes a server bare again."""
    return lab.reset


def sampled(values: Sequence[Any], stride: int = 2) -> list[Any]:
    """The values of a test's parameter, of which `make test` takes each `stride`-th, beginning with the first, and `make test-all` all."""
    return [
        pytest.param(*(each if isinstance(each, tuple) else (each,)), marks=pytest.mark.long if number % stride else ())
        for number, each in enumerate(values)
    ]


def shell(name: str, command: str) -> str:
    """Run a command as root in a lab server, without SSH, and return what it prints; it must succeed."""
    done = lab.shell(name, command)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout.rstrip("\n")


def https(name: str, path: str = "/", domain: str = "", *options: str) -> subprocess.CompletedProcess[str]:
    """Ask a site on a lab server for a path, with curl, which trusts only the ACME authority's root."""
    domain = domain or f"sample.{name}.test"
    address = f"10.213.0.{10 + int(name.removeprefix('lab'))}"
    return subprocess.run(
        [
            "curl",
            "-sS",
            "-m",
            "20",
            "--cacert",
            LAB / "acme-root.pem",
            "--resolve",
            f"{domain}:443:{address}",
            "--resolve",
            f"{domain}:80:{address}",
            *options,
            f"https://{domain}{path}",
        ],
        capture_output=True,
        text=True,
        timeout=30,
    )
