"""The server's lock, held as a run holds it, where no fleet holds the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from provision.engine import lease
from provision.engine.layout import PRELUDE, TOOLKIT

if TYPE_CHECKING:
    from collections.abc import Iterator

# Prints the id of a process that holds the lock, or fails and prints who holds it. It ends by itself if nobody ends it.
HOLD = f"""{PRELUDE}{lease.LIBRARY}
umask 077
mkdir -p {TOOLKIT.runtime}
exec 9>>{TOOLKIT.lock}
if ! flock -n 9; then cat {TOOLKIT.holder}; exit 1; fi
if ! held=$(lease_allows ''); then printf '%s\n' "$held" | cut -f 3-; exit 1; fi
printf 'verify --disruptive\\t%s\\t-\\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" >{TOOLKIT.holder}
setsid sleep 900 </dev/null >/dev/null 2>&1 &
echo $!
"""


@pytest.fixture
def lock(host: Any) -> Iterator[None]:
    """Nobody changes the server meanwhile; fails where somebody does."""
    held = host.run("sh -c %s", HOLD)
    who = held.stdout.partition("\t")[0].strip()
    assert held.succeeded, f"{who} is changing this server: nothing was killed"
    yield
    host.run("kill %s", held.stdout.strip())
