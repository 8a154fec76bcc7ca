"""invoke demo: from nothing to an HTTPS URL on this machine."""

import subprocess
import time

from invoke import Context, Exit, task

from provision import lab, roles
from provision.inventory import find
from provision.report.console import Console
from provision.run import fleet
from provision.run.request import Request


def say(text: str) -> None:
    print(f"\n== {text}", flush=True)


@task
def demo(context: Context) -> None:
    """A throw-away server, the sample app deployed to it, and its answer over HTTPS."""
    begun = time.monotonic()
    say("invoke lab.up: a real Debian server on this machine (its image is built once)")
    try:
        lab.up(1)
    except lab.LabError as problem:
        raise Exit(str(problem), code=1) from None
    say("invoke deploy --host lab1 (the first time, pyenv builds a Python on it: some minutes)")
    found, hosts = find("lab1")
    with Console() as console:
        request = Request("deploy", found, hosts, roles.everything, resolves=True)
        results = fleet.run(request, console)
        console.recap(results)
    if any(result.error for result in results):
        raise Exit(code=1)
    host = hosts[0]
    domain = host.apps["sample"].domains[0]
    command = f"curl --cacert .lab/acme-root.pem --resolve {domain}:443:{host.address} https://{domain}"
    say(f"{command}/health")
    answer = subprocess.run(
        [*command.split()[:-1], "-sS", "--fail", "-m", "20", f"https://{domain}/health"], capture_output=True, text=True
    )
    print(answer.stdout or answer.stderr)
    if answer.returncode:
        raise Exit("the site does not answer: invoke lab.ssh shows the server from the inside", code=1)
    print(f"\nThe sample app answers at https://{domain}/ after {time.monotonic() - begun:.0f} s.")
    print(f"Try it:              {command}/")
    print(
        f"In a browser:        add '{host.address} {domain}' to /etc/hosts, and .lab/acme-root.pem to its authorities"
    )
    print("Nothing to change:   invoke deploy --host lab1")
    print("Check the server:    invoke verify --host lab1")
    print("Look around:         invoke lab.ssh")
    print("End:                 invoke lab.down")
