"""A new login, with which a server is told that a change to how it is reached may stay."""

import re
import time

from paramiko.ssh_exception import SSHException

from provision.controller.ssh import Session
from provision.engine import access
from provision.errors import ProvisionError
from provision.inventory import Host
from provision.untrusted import line as shown

# Of the time that the server waits, so much is used for tries.
SHARE = 0.6


def log_in(host: Host, password: str | None, asked: str) -> tuple[str, ...]:
    """Log in over a new connection, become root, and give the change's token, again and again; a line that says what failed, or none.
    `asked` is what the server said: the token, and for how many seconds it waits.

    Where no login succeeds, the server takes the change back by itself.
    """
    found = re.fullmatch(r"([0-9a-f]{32}) (\d{1,3})", asked)
    if not found:
        return (f"a new login: the server asks for it with {shown(asked, 60)}",)
    token, deadline = found[1], time.monotonic() + min(int(found[2]), access.SECONDS) * SHARE
    while True:
        session = Session(host, password)
        try:
            late = session.run(access.confirm(token)).status != 0
        except (ProvisionError, OSError, EOFError, SSHException) as error:
            failed = f"a new login: {shown(str(error), 300)}"
        else:
            return ("a new login: it came too late",) if late else ()
        finally:
            session.close()
        if time.monotonic() > deadline:
            return (failed,)
        time.sleep(2)
