"""Whether a server shows a secret while something goes on, and whether it is anywhere afterwards."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.lab import again
from tests.lab.conftest import shell

ANYWHERE = "/etc /home /opt /root /run /srv /tmp /usr/local /var"


@contextmanager
def watched(server: str, *secrets: str, users: tuple[str, ...] = ("nobody",)) -> Iterator[list[str]]:
    """Where the server shows one of the secrets: meanwhile in process lists and in what one of the users can read, afterwards in
    any file.
    """
    seen: list[str] = []
    encoded = base64.b64encode("\n".join(secrets).encode()).decode()
    shell(server, f"rm -f /run/watched; umask 077; echo {encoded} | base64 -d >/run/needle")
    looks = "".join(
        f"setpriv --reuid={user} --regid=$(id -g {user}) --clear-groups "
        "grep -rlasF --exclude=needle -f - /run /tmp /var/tmp /srv/*/build /proc/[0-9]*/environ </run/needle; "
        for user in users
    )
    watch = (
        "cd /; rounds=0; while [ ! -e /run/watched ]; do rounds=$((rounds + 1)); "
        f"grep -lasF -f /run/needle /proc/[0-9]*/cmdline; {looks}sleep 0.1; done; "
        f"grep -rlasF --exclude=needle -f /run/needle {ANYWHERE}; "
        "journalctl --no-pager -q | grep -F -f /run/needle; echo $rounds"
    )
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(shell, server, watch)
        try:
            with again.busy("watching"):
                yield seen
        finally:
            shell(server, "touch /run/watched")
    *found, rounds = watching.result().splitlines()
    shell(server, "rm /run/watched /run/needle")
    assert int(rounds) > 10
    seen += found
