"""How much longer a run that changes nothing takes with all of `hardening`: two lab servers with the sample app, asked alternately.

    python -m benchmarks.hardened [--plain lab1] [--hardened lab2] [--runs 15]

Both servers are made bare first.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.nothing_to_change import seconds
from provision import lab

ROOT = Path(__file__).parents[1]
LIMIT = 1.1


def inventory(folder: Path, name: str, more: str) -> Path:
    """The lab's inventory with the distribution's Python, which takes no time to build, and with more."""
    path = folder / f"{name}.yml"
    text = (ROOT / "inventories/lab.yml").read_text().replace("../.lab/", f"{ROOT}/.lab/")
    path.write_text(text.replace('python: "3.13.5"', "python: system") + more)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--plain", default="lab1")
    parser.add_argument("--hardened", default="lab2")
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    lab.up(count=2)
    with tempfile.TemporaryDirectory() as folder:
        hosts = {
            arguments.plain: inventory(Path(folder), "plain", ""),
            arguments.hardened: inventory(Path(folder), "hardened", "hardening: {all: true}\n"),
        }
        commands = {
            host: [sys.executable, "-m", "invoke", "deploy", "--host", host, "--inventory", str(path)]
            for host, path in hosts.items()
        }
        for host in hosts:
            lab.reset(host)
        taken: dict[str, list[float]] = {host: [] for host in hosts}
        for number in range(arguments.runs + 2):
            for host, command in commands.items():
                one = seconds(command)
                if number > 1:
                    taken[host].append(one)
    plain, hardened = (statistics.median(each) for each in taken.values())
    print(
        f"plain {plain:.3f} s, hardened {hardened:.3f} s: {hardened / plain:.3f} times as long; medians of {arguments.runs}"
    )
    if hardened > LIMIT * plain:
        sys.exit(f"slower than it should be: at most {LIMIT} times as long")


if __name__ == "__main__":
    main()
