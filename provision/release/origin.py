"""Runs on the server with a release's Python, in the app's folder: whether all of the commit's code is loaded from the commit.

Arguments: MODULE TREE COMMIT, and this program itself to look with the environment on standard input, as /proc has a process's.
"""

import importlib.metadata
import importlib.util
import json
import os
import sys
from pathlib import Path

module, tree, commit = sys.argv[1].partition(":")[0].partition(".")[0], Path(sys.argv[2]).resolve(), sys.argv[3]
if len(sys.argv) > 4:
    pairs = (entry.partition(b"=") for entry in sys.stdin.buffer.read().split(b"\0") if entry)
    sys.stdin.close()
    os.execve(
        sys.executable, [sys.executable, "-c", sys.argv[4], *sys.argv[1:4]], {name: value for name, _, value in pairs}
    )


def inside(path: "str | Path", folder: Path) -> bool:
    """Whether a path is below a folder, wherever links lead."""
    return folder in Path(path).resolve().parents


def wrong() -> str:
    """What is not of this commit; empty if all is."""
    venv = Path(sys.prefix).resolve()
    stamp = (venv / ".complete").read_text().split()
    # One that an earlier version built has no commit in its stamp.
    own = len(stamp) < 2 or commit in stamp
    for found in importlib.metadata.distributions():
        local = json.loads(found.read_text("direct_url.json") or "{}").get("url", "").startswith("file:")
        if local and not own and inside(str(found.locate_file("")), venv):
            return f"{found.metadata['Name']} in {venv} was installed from another commit"
    spec = importlib.util.find_spec(module) if module else None
    places = [] if spec is None else list(spec.submodule_search_locations or [spec.origin or ""])
    for place in places:
        if not inside(place, tree) and not inside(place, venv):
            return f"{module} is loaded from {place}"
        there = [folder for folder in (Path.cwd(), Path.cwd() / "src", tree) if (folder / module).exists()]
        if inside(place, venv) and there and not own:
            return f"{module} is loaded from {place}, and not from {there[0] / module}"
    return "" if inside(Path.cwd() / "file", tree) else f"it runs in {Path.cwd()}"


said = wrong()
if said:
    sys.exit(f"because {said}")
