"""Changes to how a server is reached (sshd, keys, sudo, the firewall): kept only if a new login succeeds, or else undone by the server itself."""

from collections.abc import Sequence

from provision.engine.layout import PRELUDE
from provision.engine.shell import library, words

SECONDS = 40
"""How long the server waits for a new login before it goes back."""
LIBRARY = f"{PRELUDE}{library(__file__)}"


def confirmed(script: str, paths: Sequence[str], afterwards: str, seconds: int = SECONDS) -> str:
    """The script of a change that must be confirmed.

    Before `script`, the server keeps what is at `paths`. If the script fails, no new login succeeds within so many seconds, the run is
    killed, or the server reboots, it puts that back by itself and runs the command `afterwards`, which makes the services
    use it. At a boot, that runs before sshd starts.
    """
    return "\n".join(
        (
            words("access_begin", str(seconds), afterwards, *paths),
            script,
            "access_await",
        )
    )


def confirm(token: str) -> str:
    """The script of a new login: what was changed stays. It fails if that has been undone."""
    return f"{LIBRARY}{words('access_confirm', token)}\n"
