"""Files too large for a script, to a server."""

from collections.abc import Callable
from functools import partial

from provision.controller import files
from provision.controller.ssh import Session
from provision.engine.plan import Plan
from provision.engine.resource import Change


def upload(session: Session, plan: Plan, sent: Callable[[Change, int, int], object]) -> None:
    """Send the files that a plan's changes need. `sent` is called with a change, the bytes sent, and the bytes
    in all.
    """
    for change in plan.changes:
        if change.upload:
            files.put(session, change.upload.local, change.upload.remote, partial(sent, change))
