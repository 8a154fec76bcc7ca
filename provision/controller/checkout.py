"""What a checkout on this machine has that a commit to push does not."""

import subprocess
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from provision.inventory import Source

SHOWN = 3
# What tools leave in a folder, and no release needs.
LEFTOVERS = {
    "__pycache__",
    ".venv",
    "venv",
    "node_modules",
    ".tox",
    ".nox",
    ".idea",
    ".vscode",
    ".DS_Store",
    ".coverage",
}


def uncommitted(app: str, source: Source, commit: str, built: Sequence[str] = ()) -> str:
    """One line that names the files which a commit to push lacks: changed, new, or ignored in the app's folder, but those that are `built`
    for each release.

    Empty where there are none, and where the checkout has no files at all.
    """
    if source.push is None:
        return ""
    top = _git(source.push, "rev-parse", "--show-toplevel").rstrip("\n")
    if not top:
        return ""
    found: dict[str, list[str]] = {"changed": [], "not added": [], "ignored": []}
    fields = iter(_git(Path(top), "status", "--porcelain=v1", "-z", "--ignored").split("\0"))
    for field in fields:
        state, name = field[:2], field[3:]
        if "R" in state or "C" in state:
            next(fields, "")
        if state == "!!":
            if _is_of(name, source.folder) and not any(PurePosixPath(name).is_relative_to(output) for output in built):
                found["ignored"].append(name)
        elif state.strip():
            found["not added" if state == "??" else "changed"].append(name)
    parts = [f"{kind} {_some(names)}" for kind, names in found.items() if names]
    return f"{app}: not in the commit {commit[:7]}, so not deployed: {'; '.join(parts)}" if parts else ""


def _is_of(name: str, folder: str) -> bool:
    """Whether an ignored file or folder is the app's own, and not a leftover of some tool."""
    path = PurePosixPath(name)
    leftover = path.name in LEFTOVERS or path.name.endswith(("_cache", ".egg-info", ".pyc"))
    return not leftover and (path.is_relative_to(folder) or PurePosixPath(folder).is_relative_to(path))


def _some(names: Sequence[str]) -> str:
    """A few names, then how many more there are. Control characters become question marks."""
    shown = ["".join(each if each.isprintable() else "?" for each in name) for name in names[:SHOWN]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _git(folder: Path, *arguments: str) -> str:
    """What git prints; nothing if it fails, as in a repository without files."""
    words = ("git", "-C", str(folder), *arguments)
    done = subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL)
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""
