"""What the lab needs of this machine: root, a few Debian packages, namespaces, overlayfs."""

from __future__ import annotations

import functools
import json
import os
import platform
import shlex
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from provision.errors import ProvisionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

P = ParamSpec("P")
T = TypeVar("T")

PACKAGES = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "ip": "iproute2",
    "dnsmasq": "dnsmasq-base",
    "pebble": "pebble",
    "git": "git",
    "openssl": "openssl",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}
OTHER_WAY = "Vagrant is the other way: docs/vagrant.md."
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin",
    "LC_ALL": "C",
}


class LabError(ProvisionError):
    """What is wrong and what to do, in one or two lines."""


def require() -> None:
    """Raises LabError unless this machine can run a lab."""
    if platform.system() != "Linux":
        raise LabError(f"The lab needs Linux; this is {platform.system()}. {OTHER_WAY}")
    missing = {package for tool, package in PACKAGES.items() if not shutil.which(tool, path=ENVIRONMENT["PATH"])}
    if missing:
        raise LabError(f"The lab needs: apt-get install {' '.join(sorted(missing))}\n{OTHER_WAY}")
    lacking = [kind for kind in ("mnt", "pid", "net", "uts") if not Path(f"/proc/self/ns/{kind}").exists()]
    if lacking:
        raise LabError(f"This kernel has no {', '.join(lacking)} namespaces. {OTHER_WAY}")
    if "overlay" not in Path("/proc/filesystems").read_text().split():
        run("modprobe", "overlay", check=False)
        if "overlay" not in Path("/proc/filesystems").read_text().split():
            raise LabError(f"This kernel has no overlayfs. {OTHER_WAY}")


def as_root(function: Callable[P, T]) -> Callable[P, T]:
    """Run the function here if we are root, otherwise in a child process under sudo. Raises LabError."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        if platform.system() != "Linux" or os.geteuid() == 0:
            return function(*args, **kwargs)
        if not shutil.which("sudo"):
            raise LabError(f"The lab needs root, and there is no sudo here. {OTHER_WAY}")
        call = json.dumps([function.__name__, args, kwargs])
        kept = [f"{key}={os.environ[key]}" for key in ("PROVISION_LAB", "PYENV_ROOT") if key in os.environ]
        source = f"PYTHONPATH={Path(__file__).parents[2]}"
        child = subprocess.run(
            ["sudo", "env", source, *kept, sys.executable, "-m", "provision.lab", call],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if child.returncode != 0 or not child.stdout:
            raise LabError("The lab needs root: the call under sudo failed, see above.")
        answer = json.loads(child.stdout)
        if "error" in answer:
            raise LabError(answer["error"])
        result = answer["result"]
        if isinstance(result, dict):
            return cast("T", subprocess.CompletedProcess(**result))
        return cast("T", result)

    return wrapper


def run(
    *words: str | Path,
    stdin: str | None = None,
    timeout: float = 60,
    check: bool = True,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command. `timeout` is in seconds. Raises LabError when it takes longer or, with `check`, when it fails."""
    command = [str(word) for word in words]
    try:
        result = subprocess.run(
            command,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            cwd=cwd,
            env=ENVIRONMENT | (env or {}),
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"No answer within {timeout:.0f} s: {shlex.join(command)}") from None
    if check and result.returncode != 0:
        said = (result.stderr.strip() or result.stdout.strip()).splitlines()
        raise LabError("\n".join((f"Failed: {shlex.join(command)}", *said[-20:])))
    return result


def until(true: Callable[[], bool], timeout: float, pause: float = 0.02) -> bool:
    """Wait until `true()` holds; False after `timeout` seconds. `pause` is in seconds."""
    end = time.monotonic() + timeout
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True


@contextmanager
def lock(name: str, timeout: float = 600) -> Iterator[None]:
    """Hold a lock of this machine; it ends with its holder and leaves no file. Raises LabError after `timeout` seconds."""
    with socket.socket(socket.AF_UNIX) as held:

        def take() -> bool:
            try:
                held.bind(f"\0provision-lab-{name}")
            except OSError:
                return False
            return True

        if not until(take, timeout, pause=0.1):
            raise LabError(f"Another lab task has been running for {timeout:.0f} s. Wait for it or end it.")
        yield
