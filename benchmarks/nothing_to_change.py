"""How long a run takes that changes nothing, against the floor: starting Python with the same imports, and one login.

The floor is what no Python tool over SSH can avoid: a Python that imports what the task imports, and one OpenSSH login
that runs that server's probe script. All are measured alternately in one run, so that noise affects them equally; medians
of ten. Then the same with 100 more files in the plan.

    python benchmarks/nothing_to_change.py [--host lab1] [--runs 10]

The host must have nothing to change: invoke deploy --host lab1.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from provision import roles
from provision.controller import commits
from provision.controller.commit_files import Commit
from provision.controller.ssh import Session
from provision.engine import facts, probe
from provision.engine.resource import Resource
from provision.inventory import Host, Inventory, find
from provision.release.commit import is_read
from provision.resources.file import File
from provision.run.gather import gather
from provision.run.request import Request

ADDED = 100
FOLDER = "/root/provision-benchmark"


def added(count: int = ADDED) -> tuple[Resource, ...]:
    """Files beside those of the roles."""
    return tuple(File(f"{FOLDER}/{number}", f"file {number}\n" * 50) for number in range(count))


def seconds(command: list[str], script: str | None = None) -> float:
    """How long a command takes, which must succeed."""
    begun = time.perf_counter()
    done = subprocess.run(command, input=script, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    taken = time.perf_counter() - begun
    if done.returncode:
        sys.exit(f"{command}: exit status {done.returncode}: {done.stderr}")
    return taken


def login(host: Host) -> list[str]:
    """OpenSSH's command line to the host, for a script on its standard input."""
    options = ["-p", str(host.port), "-o", "BatchMode=yes"]
    if host.key:
        options += ["-i", str(host.key), "-o", "IdentitiesOnly=yes"]
    if host.known_hosts:
        options += ["-o", f"UserKnownHostsFile={host.known_hosts}"]
    become = [] if host.user == "root" else ["sudo", "-n"]
    return ["ssh", *options, f"{host.user}@{host.address}", *become, "sh", "-s"]


def prepare(inventory: Inventory, hosts: tuple[Host, ...]) -> tuple[int, str]:
    """Write the added files to the host; the number of its resources, and the script that probes them."""
    host = hosts[0]
    session = Session(host)
    known = facts.parse(session.run(facts.script(roles.FACTS)).stdout, roles.FACTS)
    resolved: dict[str, Future[Commit]] = {}
    for name, app in host.apps.items():
        resolved[name] = Future()
        resolved[name].set_result(Commit(app.source, commits.resolve(name, app.source), is_read))
    request = Request("deploy", inventory, hosts, roles.everything)
    wanted = gather(request, host, known, resolved, lambda: Path(tempfile.mkdtemp()))
    resources = roles.everything(host, known, wanted)
    script = probe.script(resources)
    lines = f"mkdir -p {FOLDER}\n"
    for file in added():
        assert isinstance(file, File)
        lines += f"cat >{file.path} <<'END'\n{file.content}END\n"
    session.run(lines)
    session.close()
    return len(resources), script


def measure(inventory: Inventory, host: Host, script: str, runs: int, folder: Path) -> dict[str, list[float]]:
    """The seconds of each measure, in so many runs after a first one that does not count."""
    more = folder / "tasks.py"
    more.write_text(
        f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from nothing_to_change import added\n"
        "from provision import roles\n"
        "from provision.tasks import namespace\n"
        "everything = roles.everything\n"
        "roles.everything = lambda *known: (*everything(*known), *added())\n"
    )
    python = sys.executable
    named = ["--inventory", str(inventory.path.resolve())]
    task = [python, "-m", "invoke", "deploy", "--host", host.name, *named, "--json"]
    with_more = [python, "-m", "invoke", "--search-root", str(folder), "deploy", "--host", host.name, *named, "--json"]
    imports = [python, "-c", "import tasks, provision.run.fleet, invoke.program"]
    measured: dict[str, list[float]] = {"start": [], "login": [], "run": [], "more": []}
    measures: dict[str, Callable[[], float]] = {
        "start": lambda: seconds(imports),
        "login": lambda: seconds(login(host), script),
        "run": lambda: seconds(task),
        "more": lambda: seconds(with_more),
    }
    for number in range(runs + 1):
        for name, take in measures.items():
            taken = take()
            if number:
                measured[name].append(taken)
    return measured


def report(host: Host, resources: int, measured: dict[str, list[float]], runs: int) -> None:
    """Print the medians; exits with an error if they are too high."""
    median = {name: statistics.median(values) for name, values in measured.items()}
    floor = median["start"] + median["login"]
    print(f"{host.name}: {resources} resources, medians of {runs}, seconds")
    print(f"  Python with the same imports     {median['start']:.3f}")
    print(f"  OpenSSH login, the probe script  {median['login']:.3f}")
    print(f"  floor: both                      {floor:.3f}")
    print(f"  a run that changes nothing       {median['run']:.3f}   {median['run'] / floor:.2f} times the floor")
    print(
        f"  with {ADDED} more files              {median['more']:.3f}   {median['more'] / median['run']:.2f} times as long"
    )
    if median["run"] > 1.5 * floor or median["more"] > 1.25 * median["run"]:
        sys.exit("slower than it should be: at most 1.5 times the floor, and 1.25 times as long with more files")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--host", default="lab1")
    parser.add_argument("--inventory", type=Path)
    parser.add_argument("--runs", type=int, default=10)
    arguments = parser.parse_args()
    inventory, hosts = find(arguments.host, file=arguments.inventory)
    host = hosts[0]
    resources, script = prepare(inventory, hosts)
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(inventory, host, script, arguments.runs, Path(folder))
    cleaner = Session(host)
    cleaner.run(f"rm -rf {FOLDER}")
    cleaner.close()
    report(host, resources, measured, arguments.runs)


if __name__ == "__main__":
    main()
