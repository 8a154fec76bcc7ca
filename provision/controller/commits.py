"""Resolves revisions to commits, and packs commits for servers, with this machine's git."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from provision.controller import known_hosts
from provision.engine.shell import quote
from provision.errors import PlanError
from provision.inventory import Source, known_as
from provision.untrusted import line as shown_line

FULL = re.compile(r"[0-9a-f]{40}")
SHORT = re.compile(r"[0-9a-f]{7,39}")
SECONDS = 60


def resolve(app: str, source: Source, revision: str | None = None) -> str:
    """The commit (40 hex digits) of a branch, tag or commit: `revision`, or else the inventory's.

    Raises PlanError where there is none, the repository cannot be read, or its host's key is unknown. The remote has 60
    seconds to answer.
    """
    wanted = revision or source.revision
    if source.push:
        return _local(app, source.push, wanted)
    # Reject an unknown host before ssh asks about it.
    known_hosts.pinned(app, source)
    with pinned(source) as environ:
        return _resolve(app, source, wanted, environ)


def _resolve(app: str, source: Source, wanted: str, environ: Mapping[str, str]) -> str:
    refs = _refs(app, source, wanted, environ)
    # NAME^{} is the commit of an annotated tag. A branch wins over a tag, as in git.
    for name in (f"{wanted}^{{}}", wanted, f"refs/heads/{wanted}", f"refs/tags/{wanted}^{{}}", f"refs/tags/{wanted}"):
        if name in refs:
            return refs[name]
    if FULL.fullmatch(wanted) or SHORT.fullmatch(wanted):
        found = _commit(source.location, wanted, environ)
        if found:
            return found
    raise PlanError(f"{app}: {source.location} has no branch, tag or commit {wanted}: was it pushed?")


def pack(source: Source, commit: str, known: str | None, path: Path) -> Path:
    """Write a pack of the commit and its history to `path`, without what the commit `known` reaches; return `path`.

    The format is git's own, see gitformat-pack(5). Raises PlanError.
    """
    checkout = ("-C", str(source.push))
    has_known = known and git(*checkout, "cat-file", "-e", f"{known}^{{commit}}").returncode == 0
    wanted = f"{commit}\n" + (f"^{known}\n" if has_known else "")
    with path.open("wb") as file:
        words = ("git", *checkout, "pack-objects", "--revs", "--stdout", "--quiet", *(("--thin",) if has_known else ()))
        done = subprocess.run(words, input=wanted.encode(), stdout=file, stderr=subprocess.PIPE)
    if done.returncode:
        raise PlanError(f"{source.push}: git cannot pack {commit[:7]}: {done.stderr.decode(errors='replace').strip()}")
    return path


def _local(app: str, checkout: Path, wanted: str) -> str:
    found = git("-C", str(checkout), "rev-parse", "--quiet", "--verify", f"{wanted}^{{commit}}")
    if found.returncode:
        raise PlanError(f"{app}: {checkout} is no checkout that has a branch, tag or commit {wanted}")
    return found.stdout.strip()


@contextmanager
def pinned(source: Source) -> Iterator[dict[str, str]]:
    """The environment in which git accepts only the host keys that the inventory pins; empty where it pins none."""
    if not source.host_key or source.ssh is None:
        yield {}
        return
    with tempfile.NamedTemporaryFile("w", prefix="provision-") as file:
        # The pattern * holds under whatever name ssh_config gives the host.
        file.write("\n".join(known_hosts.named(source.host_key, "*")) + "\n")
        file.flush()
        options = f"-o UserKnownHostsFile={quote(file.name)} -o GlobalKnownHostsFile=/dev/null"
        yield {"GIT_SSH_COMMAND": f"{known_hosts.ssh()} {options} -o StrictHostKeyChecking=yes -o UpdateHostKeys=no"}


def git(*arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run git, which has 60 seconds and asks nothing. Raises PlanError if there is no git, and subprocess.TimeoutExpired."""
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **(environ or {})}
    try:
        return subprocess.run(
            ("git", *arguments),
            capture_output=True,
            text=True,
            # A path is bytes, in whatever encoding its author had.
            errors="replace",
            env=environment,
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        raise PlanError("git is not installed on this machine: install it") from None


def _refs(app: str, source: Source, wanted: str, environ: Mapping[str, str]) -> dict[str, str]:
    repository = source.location
    try:
        listed = git("ls-remote", "--", repository, wanted, f"{wanted}^{{}}", environ=environ)
    except subprocess.TimeoutExpired:
        raise PlanError(f"{app}: {repository} did not answer within {SECONDS} seconds") from None
    if listed.returncode:
        raise PlanError(why(app, source, listed.stderr))
    return {name: commit for commit, _, name in (line.partition("\t") for line in listed.stdout.splitlines())}


def why(app: str, source: Source, said: str) -> str:
    """One line on why a repository cannot be read from here, from what git said on standard error."""
    if source.ssh and "Host key verification failed" in said:
        shown = re.search(r"^(SHA256:[\w+/]+)\.?\s*$", said, re.MULTILINE)
        name = known_as(*source.ssh)
        kept = re.search(r"^Offending .* key in (.+:\d+)\s*$", said, re.MULTILINE)
        if source.host_key:
            where, right = "source.host_key pins", "source.host_key"
        else:
            where, right = "this machine's known_hosts has", kept[1] if kept else "known_hosts"
        return (
            f"{app}: the host key of {name}{f', {shown[1]},' if shown else ''} is none that {where}: where the host has "
            f"a new one, compare it with what the host publishes and correct {right}; otherwise do not connect"
        )
    lines = [line.strip() for line in said.splitlines() if line.strip(" \r@*") and not line.startswith("Warning: ")]
    reason = shown_line((lines or ["git ls-remote failed"])[0].rstrip("."))
    return f"{app}: {source.location} cannot be read from here: {reason}; this machine needs access too, to find the commit"


def _commit(repository: str, wanted: str, environ: Mapping[str, str]) -> str | None:
    """The commit that starts with these hex digits. Fetches commits only, where the remote supports filters."""
    with tempfile.TemporaryDirectory(prefix="provision-") as folder:
        git("init", "--quiet", "--bare", folder)
        into = ("--git-dir", folder, "fetch", "--quiet", "--filter=tree:0")
        try:
            one = FULL.fullmatch(wanted) and git(*into, "--depth=1", repository, wanted, environ=environ)
            if not one or one.returncode:
                git(*into, repository, "+refs/*:refs/*", environ=environ)
        except subprocess.TimeoutExpired:
            raise PlanError(f"{repository} did not answer within {SECONDS} seconds") from None
        found = git("--git-dir", folder, "rev-parse", "--quiet", "--verify", f"{wanted}^{{commit}}")
        return found.stdout.strip() if found.returncode == 0 else None
