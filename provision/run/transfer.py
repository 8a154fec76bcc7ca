"""Files too large for a script, to and from a server."""

from collections.abc import Callable, Sequence
from functools import partial

from provision.controller import python_cache
from provision.controller.ssh import Session
from provision.engine.plan import Plan
from provision.engine.resource import Change, Transfer


def upload(session: Session, plan: Plan, sent: Callable[[Change, int, int], object]) -> None:
    """Send the files that a plan's changes need. `sent` is called with a change, the bytes sent, and the bytes
    in all.
    """
    for change in plan.changes:
        if change.upload:
            session.put(change.upload.local, change.upload.remote, partial(sent, change))


def fetch(session: Session, packed: Sequence[Transfer]) -> None:
    """Fetch packed Pythons into the cache. Raises CacheError for one that did not arrive whole.

    The archive comes first: without its description it is not in the cache.
    """
    for transfer in packed:
        session.get(transfer.remote, transfer.local)
        session.get(f"{transfer.remote}.about", python_cache.about(transfer.local))
        python_cache.verify(transfer.local)
