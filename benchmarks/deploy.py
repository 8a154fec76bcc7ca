"""A deploy that changes one line, from the command to the first answer of the new commit, and where the time goes.

    python benchmarks/deploy.py [--manager systemd|supervisor] [--host lab1] [--times 5]

The server is made bare first (invoke lab.up). The app's own start is measured separately, from the start of its idle
slot to its first good health check.
"""

import argparse
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lab.probe_site import Site

OWN_START = """
for try in 1 2 3; do
    slot=$(readlink /run/probe/current.sock); if [ $slot = blue.sock ]; then idle=green; else idle=blue; fi
    begun=$(date +%s%N)
    {start}
    until [ "$(curl -s -o /dev/null -w '%{{http_code}}' --unix-socket /run/probe/$idle.sock http://localhost/health)" = 200 ]; do sleep 0.01; done
    echo $((($(date +%s%N) - begun) / 1000000))
    {stop}
done
"""
STARTS = {
    "systemd": (
        "systemctl start --no-block probe@$idle.service",
        "systemctl stop probe@$idle.service probe@$idle.socket",
    ),
    "supervisor": (
        "supervisorctl start probe-$idle:* >/dev/null &",
        "wait; supervisorctl stop probe-$idle:* >/dev/null",
    ),
}


def deploys(manager: str, server: str, times: int) -> tuple[list[dict[str, float]], list[float]]:
    """The seconds of each part of so many deploys, and of so many starts of the app by itself."""
    from provision.controller import python_cache
    from provision.inventory import load
    from tests.lab import probe_app, probe_site
    from tests.lab.conftest import ROOT, shell

    pythons = ROOT / "inventories/lab.yml"
    if not python_cache.location(load(pythons)).is_dir():
        raise SystemExit("no packed Python: invoke deploy --host lab1 makes one")
    rows: list[dict[str, float]] = []
    own: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for site in probe_site.make("supervisor" if manager == "supervisor" else "systemd", Path(folder), pythons):
            site.deploy("--revision", "two")
            start, stop = STARTS[manager]
            own = [int(line) / 1000 for line in shell(server, OWN_START.format(start=start, stop=stop)).split()]
            for number in range(times):
                commit = site.repository.commit(probe_app.files(note=f"line {number}"), f"line{number}")
                rows.append(deploy(site, server, f"line{number}", commit))
    return rows, own


def deploy(site: "Site", server: str, revision: str, commit: str) -> dict[str, float]:
    """The seconds of each part of a deploy, of all of it, and until the first answer of its commit."""
    from tests.lab.load import watch
    from tests.lab.probe_site import ADDRESS, DOMAIN

    first: list[float] = []
    looking = threading.Thread(target=lambda: first.append(watch(ADDRESS, DOMAIN, commit, 60)))
    looking.start()
    begun = time.monotonic()
    answer = site.deploy("--revision", revision)
    ended = time.monotonic()
    looking.join()
    took = {change["id"].partition(":")[0]: change["seconds"] for change in answer.host(server)["changes"]}
    return {**took, "first": first[0] - begun, "all": ended - begun}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--manager", choices=("systemd", "supervisor"), default="systemd")
    parser.add_argument("--host", default="lab1")
    parser.add_argument("--times", type=int, default=5)
    arguments = parser.parse_args()
    os.environ["PROVISION_TEST_SERVER"] = arguments.host
    rows, own = deploys(arguments.manager, arguments.host, arguments.times)
    start_time = statistics.median(own)

    def middle(*names: str) -> float:
        return statistics.median(sum(row.get(name, 0.0) for name in names) for row in rows)

    before = middle("mirror", "release", "venv", "file", "check", "migration")
    rest = middle("first") - before - start_time
    print(f"One changed line under {arguments.manager}, medians of {arguments.times}:\n")
    print("| Part | Seconds |\n| --- | ---: |")
    print(f"| fetching the commit, exporting the release | {middle('mirror', 'release'):.2f} |")
    print(f"| venv, found and shared | {middle('venv'):.2f} |")
    print(f"| files | {middle('file'):.2f} |")
    print(f"| check that the module can be imported | {middle('check'):.2f} |")
    print(f"| the app's own start, until its health check is good | {start_time:.2f} |")
    print(f"| the rest: starting the command, logging in, facts, probes, more health checks, the switch | {rest:.2f} |")
    print(f"| **from the command to the first answer of the new commit** | **{middle('first'):.2f}** |")
    print(f"| the app's own start and 2 s | {start_time + 2:.2f} |")
    print(f"| until the command's end: the watch, the old slot's end | {middle('all'):.2f} |")


if __name__ == "__main__":
    main()
