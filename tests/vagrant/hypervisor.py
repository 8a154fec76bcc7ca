"""libvirt for as long as the tests run, on a machine where it does not run, and what tests have left behind."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from provision.lab import network

POOL = NETWORK = "provision-test"
FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
PROGRAMS = ("libvirtd", "virtlogd", "qemu-system-x86_64", "qemu-system-x86")
KVM = Path("/dev/kvm")
KVM_SECONDS = 20
# The longest that Vagrant takes to remove the machine of an interrupted `up`.
BREAK_OFF_SECONDS = 120


def run(*words: str | Path, check: bool = True, seconds: float = 60) -> str:
    """A command's output; it must succeed, unless `check` is False."""
    command = [str(word) for word in words]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


def undisturbed() -> None:
    """From here on, no second Ctrl-C interrupts the cleaning up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def run_alone(
    *words: str | Path, cwd: Path, env: Mapping[str, str] | None = None, seconds: float
) -> "subprocess.CompletedProcess[str]":
    """Run a command out of Ctrl-C's reach, as what it makes cannot be removed before it has ended.

    When this is interrupted, the command and all that it started are interrupted too, and waited for.
    """
    command = [str(word) for word in words]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
    try:
        stdout, stderr = process.communicate(timeout=seconds)
    except BaseException as problem:
        if isinstance(problem, KeyboardInterrupt):
            undisturbed()
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.communicate(timeout=BREAK_OFF_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        raise
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def virsh(*words: str | Path, check: bool = True) -> str:
    """A virsh command's output; it must succeed, unless `check` is False."""
    return run("virsh", "--connect", "qemu:///system", *words, check=check)


def answers() -> bool:
    """Whether libvirtd runs."""
    return subprocess.run(["virsh", "--connect", "qemu:///system", "uri"], capture_output=True).returncode == 0


def has_kvm(kernels: Sequence[Path]) -> bool:
    """Whether a guest really runs on /dev/kvm, tried with any kernel: on some machines guests hang on it."""
    if not KVM.exists() or not kernels:
        return False
    words = [
        "qemu-system-x86_64",
        "-accel",
        "kvm",
        "-cpu",
        "host",
        "-m",
        "256",
        "-nodefaults",
        "-display",
        "none",
        "-serial",
        "stdio",
        "-no-reboot",
    ]
    try:
        done = subprocess.run(
            [*words, "-kernel", str(kernels[0]), "-append", "console=ttyS0 panic=-1"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=KVM_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return b"Kernel panic" in done.stdout


@contextmanager
def libvirt(folder: Path, kvm: bool) -> Iterator[None]:
    """libvirt with a storage pool in the folder; daemons that do not run are started, and stopped again."""
    with ExitStack() as stack:
        if not answers():
            stack.enter_context(_daemons(folder, kvm))
        pool = folder / "pool"
        pool.mkdir()
        virsh("pool-define-as", POOL, "dir", "--target", pool)
        stack.callback(virsh, "pool-undefine", POOL)
        virsh("pool-start", POOL)
        stack.callback(virsh, "pool-destroy", POOL)
        stack.callback(_remove_domains, folder)
        yield


def _remove_domains(folder: Path) -> None:
    """Remove what an interrupted test left: machines whose disk is in the folder, and the network."""
    for name in virsh("list", "--all", "--name").split():
        if str(folder) in virsh("dumpxml", name):
            virsh("destroy", name, check=False)
            virsh("undefine", name, check=False)
    if NETWORK in virsh("net-list", "--all", "--name").split():
        virsh("net-destroy", NETWORK, check=False)
        virsh("net-undefine", NETWORK, check=False)


@contextmanager
def _daemons(folder: Path, kvm: bool) -> Iterator[None]:
    tables, forward = set(_tables()), FORWARD.read_text()
    started: list[subprocess.Popen[bytes]] = []
    hidden = () if kvm or not KVM.exists() else _without_kvm(folder)
    try:
        for name in ("virtlogd", "libvirtd"):
            with (folder / f"{name}.log").open("wb") as log:
                command = [*hidden, name]
                # Out of Ctrl-C's reach: removing the machines needs them.
                started.append(
                    subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
                )
        deadline = time.monotonic() + 30
        while not answers():
            assert time.monotonic() < deadline, "libvirtd does not answer"
            time.sleep(0.2)
        try:
            yield
        finally:
            for name in virsh("net-list", "--name").split():
                virsh("net-destroy", name)
    finally:
        for daemon in reversed(started):
            daemon.terminate()
            daemon.wait(30)
        # libvirt leaves behind the tables that it made.
        for table in set(_tables()) - tables:
            run("nft", "delete", *table.split())
        # A lab that came up meanwhile needs forwarding too.
        if not network.exists(network.BRIDGE):
            FORWARD.write_text(forward)


def _without_kvm(folder: Path) -> tuple[str, ...]:
    """The words before a command that hide /dev/kvm from it.

    If libvirtd may use /dev/kvm and the VM's user may not, libvirtd probes QEMU again at each step, for seconds each time.
    """
    nothing, settings = folder / "kvm", folder / "qemu.conf"
    nothing.touch(mode=0)
    # A VM cannot have a /dev of its own while something is mounted below /dev.
    settings.write_text("namespaces = []\n")
    script = f'mount --bind "$0" {KVM}; mount --bind "$1" /etc/libvirt/qemu.conf; shift; exec "$@"'
    return ("unshare", "--mount", "sh", "-euc", script, str(nothing), str(settings))


def _tables() -> list[str]:
    """The nftables tables that libvirt makes through iptables; others may come and go."""
    return re.findall(r"^table ip6? (?:filter|nat|mangle)$", run("nft", "list", "tables"), re.MULTILINE)


def traces() -> dict[str, list[str]]:
    """Traces of virtual machines on this machine: processes, networks, and libvirt's definitions."""
    # A process that has ended stays listed until its parent, the machine's first process, collects its status.
    every = [line.split(maxsplit=2) for line in run("ps", "-e", "-o", "stat=,comm=,args=").splitlines()]
    running = [words[1:] for words in every if not words[0].startswith("Z")]
    links = [line.split(": ")[1] for line in run("ip", "-o", "link").splitlines()]
    return {
        "processes": sorted(words[-1] for words in running if words[0] in PROGRAMS or "/libvirt/" in words[-1]),
        "forwarded ports": sorted(words[-1] for words in running if words[0] == "ssh" and ":192.168.213." in words[-1]),
        "links": sorted(link for link in links if link.startswith(("virbr", "vnet"))),
        "tables": sorted(_tables()),
        "definitions": sorted(map(str, Path("/etc/libvirt").rglob("*.xml"))),
        "boxes": sorted(map(str, (Path.home() / ".vagrant.d/boxes").glob("*"))),
        "folders": sorted(map(str, Path("/var/tmp").glob("provision-vagrant-*"))),
    }
