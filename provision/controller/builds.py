"""Builds on this machine: in a clean checkout of a commit, and kept by what they read of it.

They are under ~/.cache/provision/builds/, a folder for each inventory: for each step, a folder with what it made.
"""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from provision.controller import python_cache
from provision.controller.commits import git, pinned, why
from provision.errors import PlanError, RunError
from provision.inventory import Inventory, Source
from provision.untrusted import line as shown

SECONDS, KEPT, LINES = 7200, 20, 40
# What commands get of this machine's environment: what programs need, and none of the variables that may be an app's.
PASSED = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TMPDIR", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"),
)


@dataclass(frozen=True, slots=True)
class Commands:
    """A `program` for sh, which runs at the top of a commit and sees of it only the `inputs` (none: all of it), and the `outputs` that it
    makes. All are paths from there. `says` names the commands.
    """

    says: str
    program: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Checkout:
    """A commit of a repository, for git's options `where`."""

    app: str
    where: tuple[str, ...]
    commit: str

    def read(self, paths: Sequence[str]) -> str:
        """The objects of Git that these are."""
        found = [(path, git(*self.where, "rev-parse", "--verify", f"{self.commit}:{path}")) for path in paths or ("",)]
        missing = next((path for path, done in found if done.returncode), None)
        if missing is not None:
            raise PlanError(f"{self.app}: the commit has no {missing} (build.inputs)")
        return "\n".join(done.stdout.strip() for _, done in found)

    def write(self, paths: Sequence[str], folder: Path) -> None:
        """Their files, as the commit has them."""
        archive = folder.with_name(f"{folder.name}.tar")
        done = git(*self.where, "archive", f"--output={archive}", self.commit, *paths)
        if done.returncode:
            raise PlanError(f"{self.app}: {shown((done.stderr.strip().splitlines() or ['git archive failed'])[-1])}")
        words = ("tar", "-C", str(folder), "-xf", str(archive))
        unpacked = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
        if unpacked.returncode:
            said = shown((unpacked.stderr.strip().splitlines() or ["tar failed"])[0])
            raise PlanError(f"{self.app}: the commit cannot be unpacked on this machine: {said}")
        archive.unlink()


def build(app: str, source: Source, commit: str, steps: Sequence[Commands], inventory: Inventory, path: Path) -> Path:
    """Write what the steps make of a commit to `path`, a tar; return `path`.

    Raises RunError, with the end of what was said, for commands that fail, and PlanError.
    """
    kept = python_cache.folder() / "builds" / python_cache.location(inventory).name
    kept.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="provision-") as work,
        _alone(kept),
        _checkout(app, source, commit) as files,
    ):
        made = list[Path]()
        for number, step in enumerate(steps):
            done = kept / _key(step, files, made)
            if not done.is_dir():
                _make(app, step, files, made, Path(work, str(number)), done)
            os.utime(done)
            made.append(done)
        with tarfile.open(path, "w") as packed:
            for each in made:
                for item in sorted(each.iterdir()):
                    packed.add(item, item.name, filter=_anonymous)
        _prune(kept)
    return path


@contextmanager
def _checkout(app: str, source: Source, commit: str) -> Iterator[_Checkout]:
    if source.push:
        yield _Checkout(app, ("-C", str(source.push)), commit)
        return
    with tempfile.TemporaryDirectory(prefix="provision-") as folder, pinned(source) as environ:
        git("init", "--quiet", "--bare", folder)
        words = ("fetch", "--quiet", "--no-tags", "--depth=1", source.location, commit)
        fetched = git("--git-dir", folder, *words, environ=environ)
        if fetched.returncode:
            raise PlanError(why(app, source, fetched.stderr))
        yield _Checkout(app, ("--git-dir", folder), commit)


def _key(step: Commands, files: _Checkout, made: Sequence[Path]) -> str:
    parts = (step.program, *step.inputs, "", *step.outputs, "", files.read(step.inputs), *(each.name for each in made))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _make(app: str, step: Commands, files: _Checkout, made: Sequence[Path], folder: Path, done: Path) -> None:
    folder.mkdir()
    files.write(step.inputs, folder)
    for each in made:
        shutil.copytree(each, folder, symlinks=True, dirs_exist_ok=True)
    _run(app, step, folder)
    half = done.with_name(f".{done.name}")
    shutil.rmtree(half, ignore_errors=True)
    for output in step.outputs:
        found = folder / output
        if found.is_symlink() or not found.exists() or not found.resolve().is_relative_to(folder.resolve()):
            raise RunError(f"{app}: the build made no {output} that is a file or a folder (build.outputs)")
        (half / output).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(found, half / output)
    half.rename(done)


def _run(app: str, step: Commands, folder: Path) -> None:
    """Run the program; nothing of it goes on afterwards."""
    environment = {name: os.environ[name] for name in PASSED if name in os.environ} | {"NO_COLOR": "1"}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            ("sh", "-eu", "-c", step.program),
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status: int | None = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        said.seek(0)
        lines = [line for line in said.read().decode(errors="replace").splitlines() if line.strip()]
    if status == 0:
        return
    command = next((line[2:] for line in reversed(lines) if line.startswith("$ ")), step.says)
    reason = f"it took more than {SECONDS // 3600} hours" if status is None else (lines or ["it said nothing"])[-1]
    raise RunError(f"{app}: the build on this machine failed at `{command}`: {reason[:300]}", tuple(lines[-LINES:]))


def _anonymous(item: tarfile.TarInfo) -> tarfile.TarInfo:
    item.uid = item.gid = 0
    item.uname = item.gname = "root"
    return item


def _prune(kept: Path) -> None:
    """Keep those that were used last."""
    found = sorted(
        (each for each in kept.iterdir() if each.is_dir()), key=lambda each: each.stat().st_mtime, reverse=True
    )
    for each in found[KEPT:]:
        shutil.rmtree(each, ignore_errors=True)


@contextmanager
def _alone(kept: Path) -> Iterator[None]:
    """Within this, no other run or thread builds for the same inventory: it would build the same."""
    with (kept / ".lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
