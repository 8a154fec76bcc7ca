"""Consecutive deploys under load: requests, failures, and the p99 during and between deploys.

    python benchmarks/releases.py [--manager systemd|supervisor] [--deploys 20] [--host lab1]

The server is made bare first (invoke lab.up). Between deploys, the load continues for as long as a deploy takes.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--manager", choices=("systemd", "supervisor"), default="systemd")
    parser.add_argument("--deploys", type=int, default=20)
    parser.add_argument("--host", default="lab1")
    arguments = parser.parse_args()
    os.environ["PROVISION_TEST_SERVER"] = arguments.host
    from provision.controller import python_cache
    from provision.inventory import load as load_inventory
    from tests.lab import probe_site
    from tests.lab.conftest import ROOT
    from tests.lab.load import load

    pythons = ROOT / "inventories/lab.yml"
    if not python_cache.location(load_inventory(pythons)).is_dir():
        raise SystemExit("no packed Python: invoke deploy --host lab1 makes one")
    during: list[float] = []
    between: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for site in probe_site.make(arguments.manager, Path(folder), pythons):
            windows = []
            with load(probe_site.ADDRESS, probe_site.DOMAIN, 60 * arguments.deploys, heavy=True) as seen:
                for number in range(arguments.deploys):
                    begun = time.monotonic()
                    site.deploy("--revision", ("two", "one")[number % 2])
                    ended = time.monotonic()
                    windows.append((begun, ended))
                    time.sleep(ended - begun)
            for when, took in seen.latencies:
                (during if any(begun <= when <= ended for begun, ended in windows) else between).append(took)
            late = seen.order() != [site.commits[number % 2] for number in range(arguments.deploys + 1)]
    print(
        f"{arguments.manager}: {arguments.deploys} deploys, {statistics.median(e - b for b, e in windows):.1f} s each"
    )
    print(f"requests: {seen.requests}, failed: {seen.failed + len(seen.failures)}")
    print("answers in the order of the deploys: " + ("no" if late else "yes"))
    print("\n| | p50, ms | p99, ms | requests measured |\n| --- | ---: | ---: | ---: |")
    for name, measured in (("during a deploy", during), ("in between", between)):
        cuts = statistics.quantiles(measured, n=100)
        print(f"| {name} | {cuts[49] * 1000:.1f} | {cuts[98] * 1000:.1f} | {len(measured)} |")


if __name__ == "__main__":
    main()
