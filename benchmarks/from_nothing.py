"""From a bare lab server to HTTPS: how long, and where the time goes.

    python benchmarks/from_nothing.py [--build] [--host lab1]

The server is made bare first (invoke lab.up). With --build, pyenv builds Python; otherwise it comes from the
controller's cache, which a run with --build fills.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from provision import lab

PARTS = (
    ("apt: base, build dependencies, nginx, certbot", ("packages",)),
    ("pyenv", ("pyenv",)),
    ("Python", ("python",)),
    ("uv", ("uv",)),
    ("certificate", ("certificate",)),
    ("source: mirror, release", ("mirror", "release")),
    ("venv", ("venv",)),
    ("check and migration", ("check", "migration")),
    ("activation until healthy through nginx", ("activation",)),
    ("services: nginx, certbot's timer", ("service",)),
    (
        "files, folders, links, users, placeholder",
        ("file", "files", "directory", "link", "user", "group", "placeholder"),
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--host", default="lab1")
    parser.add_argument("--build", action="store_true")
    parser.add_argument("--suite", default="bookworm")
    arguments = parser.parse_args()
    lab.reset(arguments.host, arguments.suite)
    with tempfile.TemporaryDirectory() as cache:
        environ = {"XDG_CACHE_HOME": cache} if arguments.build else {}
        command = [sys.executable, "-m", "invoke", "deploy", "--host", arguments.host, "--json"]
        begun = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environ})
        seconds = time.perf_counter() - begun
        kept = list(Path(cache).rglob("*.tar.gz"))
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    host = json.loads(done.stdout)["hosts"][arguments.host]
    spent: dict[str, float] = {}
    for change in host["changes"]:
        kind = change["id"].partition(":")[0]
        spent[kind] = spent.get(kind, 0.0) + change["seconds"]
    print(
        f"From nothing to HTTPS on {arguments.suite}: {seconds:.1f} s, {'Python built' if kept else 'Python from the cache'}"
    )
    print("\n| Part | Seconds |\n| --- | ---: |")
    for name, kinds in PARTS:
        print(f"| {name} | {sum(spent.pop(kind, 0.0) for kind in kinds):.1f} |")
    rest = seconds - sum(change["seconds"] for change in host["changes"]) + sum(spent.values())
    print(f"| the rest: starting, logging in, facts, probes, sending and fetching Python | {rest:.1f} |")
    print(f"| **in all** | **{seconds:.1f}** |")


if __name__ == "__main__":
    main()
