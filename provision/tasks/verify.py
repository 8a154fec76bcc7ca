"""invoke verify: checks of running servers, by pytest and testinfra."""

import json as documents
import time

from invoke import Context, Exit, task

from provision.errors import UsageError
from provision.report import document
from provision.tasks.deploy import HELP, hosts_of, password_for


@task(
    help={
        **{name: HELP[name] for name in ("host", "inventory", "json")},
        "only": 'the checks with these words in their names, as pytest\'s -k: "certificate and not expire"',
    }
)
def verify(context: Context, host: str, inventory: str | None = None, only: str = "", json: bool = False) -> None:
    """Check running servers against the inventory. The last check kills each app's main process, to see it come back."""
    # pytest and testinfra are slow to import, and no other task needs them.
    from provision.run import verification

    begun = time.monotonic()
    try:
        _, hosts = hosts_of(host, inventory)
        password = password_for(hosts)
    except UsageError as error:
        if json:
            print(document.failure("verify", error.errors, time.monotonic() - begun))
        raise Exit(str(error), code=1) from None
    outcome = verification.verify(hosts, password, only, quiet=json)
    if json:
        print(documents.dumps(outcome.document(time.monotonic() - begun), indent=2))
    if not outcome.ok:
        raise Exit(code=1)
