"""VMs that `vagrant up` really makes, and the command line as a user types it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provision.lab import image
from tests.vagrant import hypervisor

ROOT = Path(__file__).parents[2]
SECONDS = 1200
BOX = "provision-test"
MACHINES = tuple(f"vm{number + 1}" for number in range(int(os.environ.get("PROVISION_VMS", "1"))))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """All tests share the machines, so the first that cannot be set up ends the session: its error would only repeat."""
    report = yield
    if report.when == "setup" and report.failed:
        item.session.shouldfail = f"{item.name} cannot be set up, and no other test can"
    return report


@contextmanager
def step(name: str) -> Iterator[None]:
    """Print how long a step took: a line of the table in docs/vagrant.md."""
    begun = time.monotonic()
    yield
    print(f"\n{name}: {time.monotonic() - begun:.0f} s", flush=True)


@dataclass(frozen=True)
class Project:
    """A project with this one's Vagrantfile, an inventory that includes inventories/vagrant.yml, and an app of its own."""

    folder: Path
    environ: dict[str, str]

    @property
    def inventory(self) -> Path:
        """The inventory with the machines."""
        return self.folder / "inventories/vms.yml"

    @property
    def checkout(self) -> Path:
        """The app's checkout, whose commits are pushed."""
        return self.folder / "checkout"

    @property
    def boxes(self) -> Path:
        """Where the tests' own Vagrant home keeps boxes."""
        return self.folder / "home/boxes"

    def _run(self, *words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
        return hypervisor.run_alone(*words, cwd=cwd, env=self.environ, seconds=SECONDS)

    def vagrant(self, *words: str) -> str:
        """Run a vagrant command, which must succeed, and return what it prints."""
        done = self._run("vagrant", *words, cwd=self.folder)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def invoke(self, task: str, *options: str) -> "subprocess.CompletedProcess[str]":
        """Run a task on all machines; it may fail."""
        words = ("-m", "invoke", task, "--host", "vms", "--inventory", str(self.inventory), *options)
        return self._run(sys.executable, *words, cwd=ROOT)

    def documents(self, task: str) -> dict[str, dict[str, Any]]:
        """A task's JSON document, by machine."""
        documents: dict[str, dict[str, Any]] = json.loads(self.invoke(task, "--json").stdout)["hosts"]
        return documents

    def pinned(self, name: str) -> list[str]:
        """The host keys by which the tool trusts a machine."""
        return (self.folder / f".vagrant/provision/{name}.known_hosts").read_text().splitlines()[1:]

    def deploy(self) -> str:
        """Deploy, which must succeed, and return what it prints."""
        done = self.invoke("deploy")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def commit(self, **files: str) -> str:
        """Commit to the app's checkout; the first seven digits of the commit."""
        for name, text in files.items():
            (self.checkout / "sample_app" / name).write_text(text)
        git = ("git", "-c", "user.name=tests", "-c", "user.email=tests@example.com")
        for words in (("add", "."), ("commit", "--quiet", "--allow-empty", "-m", "A commit")):
            subprocess.run([*git, *words], cwd=self.checkout, check=True)
        return subprocess.check_output([*git, "rev-parse", "HEAD"], cwd=self.checkout, text=True)[:7]


@pytest.fixture(scope="session")
def project() -> Iterator[Project]:
    """Vagrant with a home of its own, a box, and libvirt. Nothing is left of it when the tests end or are interrupted."""
    begun, before = time.monotonic(), hypervisor.traces()
    # SIGTERM means the same as Ctrl-C. A process that a shell runs in the background ignores SIGINT, and so do its
    # children, Vagrant among them, which cleans up only at that signal.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    # Not pytest's own folder: the VM's processes do not run as root, and must reach its disk.
    folder = Path(tempfile.mkdtemp(prefix="provision-vagrant-", dir="/var/tmp"))
    folder.chmod(0o711)
    made = Project(
        folder,
        {name: value for name, value in os.environ.items() if not name.startswith(("VAGRANT_", "PROVISION_"))}
        | {
            "VAGRANT_HOME": str(folder / "home"),
            "VAGRANT_DEFAULT_PROVIDER": "libvirt",
            "PROVISION_BOX": BOX,
            "PROVISION_VMS": str(len(MACHINES)),
        },
    )
    try:
        _fill(made)
        _box(made)
        kvm = hypervisor.has_kvm((*made.boxes.rglob("vmlinuz"), *Path("/boot").glob("vmlinuz-*")))
        print(f"the VM runs {'on KVM' if kvm else 'in software emulation'}", flush=True)
        made.environ["PROVISION_TEST_DRIVER"] = "kvm" if kvm else "qemu"
        shutil.copy(ROOT / "tests/vagrant/libvirt.rb", folder / "home/Vagrantfile")
        with hypervisor.libvirt(folder, kvm):
            try:
                yield made
            finally:
                hypervisor.undisturbed()
                with step("vagrant destroy"):
                    made.vagrant("destroy", "--force")
    finally:
        hypervisor.undisturbed()
        shutil.rmtree(folder)
    assert hypervisor.traces() == before
    print(f"all, with what lies between: {time.monotonic() - begun:.0f} s", flush=True)


def _fill(project: Project) -> None:
    for name in ("home", "inventories"):
        (project.folder / name).mkdir()
    shutil.copy(ROOT / "Vagrantfile", project.folder)
    shutil.copytree(ROOT / "sample_app", project.checkout / "sample_app", ignore=shutil.ignore_patterns(".*", "*.db"))
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main"], cwd=project.checkout, check=True)
    project.commit()
    # An emulated processor is slow.
    project.inventory.with_name("vagrant.yml").write_text(
        f"include: {ROOT}/inventories/vagrant.yml\n"
        "connect_timeout: 60\n"
        "apps:\n"
        "  sample:\n"
        f"    source: {{push: {project.checkout}}}\n"
        "    workers: 2\n"
        "    health: {timeout: 240}\n"
    )
    hosts = ", ".join(f"{name}: " for name in MACHINES)
    project.inventory.write_text(f"include: vagrant.yml\nhosts: {{{hosts}}}\n")


def _box(project: Project) -> None:
    """Add the box that `vagrant up` would take to the tests' own Vagrant home, which goes when the tests end.

    That is PROVISION_BOX, a file or one of the user's boxes, or a box that is made here.
    """
    project.vagrant("box", "list")
    wanted = os.environ.get("PROVISION_BOX", "debian/bookworm64")
    home = Path(os.environ.get("VAGRANT_HOME") or Path.home() / ".vagrant.d")
    theirs = home / "boxes" / wanted.replace("/", "-VAGRANTSLASH-")
    if Path(wanted).is_file():
        with step(f"the box {wanted}"):
            project.vagrant("box", "add", "--name", BOX, str(Path(wanted).absolute()))
    elif any(theirs.rglob("libvirt")):
        with step(f"the box {wanted}, of {home}"):
            shutil.copytree(theirs, project.boxes / BOX)
    else:
        assert "PROVISION_BOX" not in os.environ, (
            f"PROVISION_BOX: {wanted} is no file, and no box for libvirt in {home}"
        )
        with step("a box of Debian's packages"):
            _make(project)


def _make(project: Project) -> None:
    """Make a box like any user's: Vagrant replaces its key at the first `up`."""
    folder = project.folder / "box"
    folder.mkdir()
    key = folder / "key.pub"
    key.write_text(hypervisor.run("ssh-keygen", "-y", "-f", project.folder / "home/insecure_private_key"))
    sources = image.mirror().sources("bookworm")
    done = hypervisor.run_alone(ROOT / "tests/vagrant/box.sh", folder, key, *sources, cwd=ROOT, seconds=600)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    project.vagrant("box", "add", "--name", BOX, str(folder / "debian.box"))
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def vm(project: Project) -> Project:
    """The project with its machines up and the app's first commit deployed to each."""
    with step("vagrant up"):
        project.vagrant("up")
    with step("the first deploy, to a bare server"):
        printed = project.deploy()
    (project.folder / "curl").write_text("\n".join(re.findall(r"^ *(curl .*)$", printed, re.MULTILINE)))
    return project


@pytest.fixture
def site(vm: Project) -> Callable[..., list[str]]:
    """Asks each machine's site for a path, with the curl lines that the deploy printed."""
    lines = (vm.folder / "curl").read_text().splitlines()
    assert len(lines) == len(MACHINES)

    def ask(path: str = "") -> list[str]:
        words = [f"{line}{path} -sS --fail -m 20" for line in lines]
        return [subprocess.run(each, shell=True, capture_output=True, text=True).stdout for each in words]

    return ask
