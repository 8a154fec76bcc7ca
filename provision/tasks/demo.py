"""invoke demo: from nothing to an HTTPS URL on this machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from invoke import Exit, task

if TYPE_CHECKING:
    from invoke import Context

    from provision.inventory import Host


@task
def demo(context: Context) -> None:
    """A throw-away server, the sample app deployed to it, and its answer over HTTPS."""
    from provision import lab

    begun = time.monotonic()
    _say("invoke lab.up: a real Debian server on this machine (its image is built once)")
    try:
        lab.up(1)
    except lab.LabError as problem:
        raise Exit(str(problem), code=1) from None
    _say("invoke deploy --host lab1 (the first time, pyenv builds a Python on it: some minutes)")
    host = _deploy()
    domain = host.apps["sample"].domains[0]
    curl = f"curl --cacert .lab/acme-root.pem --resolve {domain}:443:{host.address}"
    _say(f"{curl} https://{domain}/health")
    _check(curl, f"https://{domain}/health")
    print(f"\nThe sample app answers at https://{domain}/ after {time.monotonic() - begun:.0f} s.")
    print(f"Try it:              {curl} https://{domain}/")
    print(f"In a browser:        add '{host.address} {domain}' to /etc/hosts, and trust .lab/acme-root.pem")
    print("Nothing to change:   invoke deploy --host lab1")
    print("Check the server:    invoke verify --host lab1")
    print("Look around:         invoke lab.ssh")
    print("End:                 invoke lab.down")


def _say(text: str) -> None:
    print(f"\n== {text}", flush=True)


def _deploy() -> Host:
    from provision import roles
    from provision.inventory import find
    from provision.report.console import Console
    from provision.run import fleet
    from provision.run.request import Request

    inventory, hosts = find("lab1")
    with Console() as console:
        results = fleet.run(Request("deploy", inventory, hosts, roles.everything, resolves=True), console)
        console.recap(results)
    if any(result.error for result in results):
        raise Exit(code=1)
    return hosts[0]


def _check(curl: str, url: str) -> None:
    import subprocess

    answer = subprocess.run([*curl.split(), "-sS", "--fail", "-m", "20", url], capture_output=True, text=True)
    print(answer.stdout or answer.stderr)
    if answer.returncode:
        raise Exit("the site does not answer: invoke lab.ssh shows the server from the inside", code=1)
