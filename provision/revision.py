"""Which commit a revision of a repository is, found out on the controller, once for all hosts."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

from provision.engine.resource import Refusal
from provision.inventory import Source

FULL = re.compile(r"[0-9a-f]{40}")
SHORT = re.compile(r"[0-9a-f]{7,39}")
SECONDS = 60


def resolve(app: str, source: Source, revision: str | None = None) -> str:
    """The commit, 40 hex digits, of a branch, a tag or a commit. Raises Refusal when there is none."""
    wanted = revision or source.revision
    if source.push:
        return _local(app, source.push, wanted)
    refs = _refs(app, source.place, wanted)
    # A tag's commit stands behind ^{}; a branch wins over a tag, as in git.
    for name in (f"{wanted}^{{}}", wanted, f"refs/heads/{wanted}", f"refs/tags/{wanted}^{{}}", f"refs/tags/{wanted}"):
        if name in refs:
            return refs[name]
    if FULL.fullmatch(wanted) or SHORT.fullmatch(wanted):
        found = _commit(source.place, wanted)
        if found:
            return found
    raise Refusal(f"{app}: {source.place} has no branch, tag or commit {wanted}: was it pushed?")


def pack(source: Source, commit: str, known: str | None, path: Path) -> Path:
    """Write a pack with the commit to `path`: with all that leads to it, or with what the commit `known` does not have.

    The format is git's own (gitformat-pack(5)); Raises Refusal.
    """
    checkout = ("-C", str(source.push))
    has_known = known and _git(*checkout, "cat-file", "-e", f"{known}^{{commit}}").returncode == 0
    wanted = f"{commit}\n" + (f"^{known}\n" if has_known else "")
    with path.open("wb") as file:
        words = ("git", *checkout, "pack-objects", "--revs", "--stdout", "--quiet", *(("--thin",) if has_known else ()))
        done = subprocess.run(words, input=wanted.encode(), stdout=file, stderr=subprocess.PIPE)
    if done.returncode:
        raise Refusal(f"{source.push}: git cannot pack {commit[:7]}: {done.stderr.decode(errors='replace').strip()}")
    return path


def _local(app: str, checkout: Path, wanted: str) -> str:
    found = _git("-C", str(checkout), "rev-parse", "--quiet", "--verify", f"{wanted}^{{commit}}")
    if found.returncode:
        raise Refusal(f"{app}: {checkout} is no checkout that has a branch, tag or commit {wanted}")
    return found.stdout.strip()


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    return subprocess.run(
        ("git", *arguments),
        capture_output=True,
        text=True,
        env=environment,
        timeout=SECONDS,
        stdin=subprocess.DEVNULL,
    )


def _refs(app: str, repository: str, wanted: str) -> dict[str, str]:
    try:
        listed = _git("ls-remote", "--", repository, wanted, f"{wanted}^{{}}")
    except FileNotFoundError:
        raise Refusal("git is not installed on this machine: install it") from None
    except subprocess.TimeoutExpired:
        raise Refusal(f"{app}: {repository} did not answer within {SECONDS} seconds") from None
    if listed.returncode:
        reason = (listed.stderr.strip().splitlines() or ["git ls-remote failed"])[0]
        raise Refusal(f"{app}: {repository} cannot be read from here: {reason}")
    return {name: commit for commit, _, name in (line.partition("\t") for line in listed.stdout.splitlines())}


def _commit(repository: str, wanted: str) -> str | None:
    """The commit that these hex digits begin, by a fetch of the commits alone where the remote allows that."""
    with tempfile.TemporaryDirectory(prefix="provision-") as folder:
        _git("init", "--quiet", "--bare", folder)
        into = ("--git-dir", folder, "fetch", "--quiet", "--filter=tree:0")
        try:
            if not FULL.fullmatch(wanted) or _git(*into, "--depth=1", repository, wanted).returncode:
                _git(*into, repository, "+refs/*:refs/*")
        except subprocess.TimeoutExpired:
            raise Refusal(f"{repository} did not answer within {SECONDS} seconds") from None
        found = _git("--git-dir", folder, "rev-parse", "--quiet", "--verify", f"{wanted}^{{commit}}")
        return found.stdout.strip() if found.returncode == 0 else None
