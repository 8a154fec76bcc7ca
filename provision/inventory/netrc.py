"""netrc files: logins for servers, see curl's documentation of --netrc and netrc(5)."""

import netrc
import tempfile
from pathlib import Path


def logins(path: Path, content: bytes) -> str:
    """The text of a file of logins, a line for each server. Raises ValueError if it has none, or cannot be read."""
    with tempfile.NamedTemporaryFile(prefix="provision-") as file:
        file.write(content)
        file.flush()
        try:
            found = netrc.netrc(file.name).hosts
        except (netrc.NetrcParseError, UnicodeDecodeError):
            raise ValueError(
                f"{path} is not a netrc file; write lines: machine HOST login USER password PASSWORD"
            ) from None
    # Readers differ on quotes, so none are written.
    for name, (user, _, password) in found.items():
        if any(word.split() != [word] for word in (user, password)):
            raise ValueError(
                f"{path} has a login for {name} that is empty or has a space in it; neither can be passed on"
            )
    lines = [
        f"machine {name} login {user} password {password}"
        if name != "default"
        else f"default login {user} password {password}"
        for name, (user, _, password) in found.items()
    ]
    if not lines:
        raise ValueError(f"{path} has no logins; write lines: machine HOST login USER password PASSWORD")
    return "\n".join(lines) + "\n"


def passwords(text: str) -> set[str]:
    """The passwords in what `logins` returns."""
    return {line.rpartition(" password ")[2] for line in text.splitlines()}
