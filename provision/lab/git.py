"""Git remotes for the servers: this project, pyenv where GitHub cannot be reached, and what the tests add."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from provision.lab import network
from provision.lab.folder import cache
from provision.lab.machine import LabError, lock, run
from provision.lab.service import Service

if TYPE_CHECKING:
    from provision.lab.folder import Folder

PORT = 9418
PYENV = "https://github.com/pyenv/pyenv.git"

CONFIG = """\
[safe]
    directory = *
[uploadpack]
    allowAnySHA1InWant = true
"""


def url(repository: str) -> str:
    """The URL of one of the lab's repositories."""
    return f"git://{network.GATEWAY}/{repository}"


def service(folder: Folder) -> Service:
    """git daemon, with its configuration written."""
    folder.gitconfig.write_text(CONFIG)
    command = (
        *("git", "daemon", "--reuseaddr", f"--listen={network.GATEWAY}", f"--port={PORT}"),
        *("--export-all", "--init-timeout=10", "--timeout=60", f"--base-path={folder.git}", str(folder.git)),
    )
    return Service("git", PORT, command, env=environment(folder))


def environment(folder: Folder) -> dict[str, str]:
    """Environment variables for git, so that this machine's own configuration does not matter."""
    return {
        "GIT_CONFIG_GLOBAL": str(folder.gitconfig),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }


def project(folder: Folder, checkout: Path) -> None:
    """Link to the checkout's own repository, so that new commits are available at once."""
    found = run(
        *("git", "-C", checkout, "rev-parse", "--absolute-git-dir"),
        check=False,
        env=environment(folder),
    )
    if found.returncode == 0:
        link(folder.git / "provision.git", Path(found.stdout.strip()))


def link(name: Path, target: Path) -> None:
    """Replace a symbolic link atomically."""
    partial = name.with_name(f".{name.name}.partial")
    partial.unlink(missing_ok=True)
    partial.symlink_to(target)
    partial.replace(name)


def reachable(folder: Folder) -> bool:
    """Whether GitHub answers within 5 s."""
    try:
        return run("git", "ls-remote", PYENV, "HEAD", timeout=5, check=False).returncode == 0
    except LabError:
        return False


def pyenv(folder: Folder, from_github: bool) -> str:
    """Make pyenv.git a remote of the lab and return its commit."""
    env = environment(folder)
    source = PYENV if from_github else checkout().as_uri()
    wanted = run("git", "ls-remote", source, "HEAD", timeout=30, env=env).stdout.split()[0]
    kept = cache() / "pyenv.git"
    with lock("pyenv", timeout=300):
        if not kept.is_dir() or commit(kept, env) != wanted:
            half = kept.with_name(".pyenv.git")
            shutil.rmtree(half, ignore_errors=True)
            run("git", "clone", "--quiet", "--bare", "--depth=1", source, half, timeout=300, env=env)
            shutil.rmtree(kept, ignore_errors=True)
            half.rename(kept)
    link(folder.git / "pyenv.git", kept)
    return commit(kept, env)


def commit(repository: Path, env: dict[str, str]) -> str:
    """The repository's HEAD; empty if there is none."""
    return run("git", "-C", repository, "rev-parse", "HEAD", check=False, env=env).stdout.strip()


def checkout() -> Path:
    """A checkout of pyenv on this machine. Raises LabError if there is none."""
    homes = [Path.home()]
    if user := os.environ.get("SUDO_USER"):
        homes.insert(0, Path(f"~{user}").expanduser())
    places = [home / ".pyenv" for home in homes]
    if chosen := os.environ.get("PYENV_ROOT"):
        places.insert(0, Path(chosen))
    for place in places:
        if (place / ".git").exists():
            return place
    raise LabError(f"GitHub cannot be reached and there is no checkout of pyenv: {', '.join(map(str, places))}")
