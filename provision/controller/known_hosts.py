"""Which host keys a repository's host may show: those that the inventory pins, or those that this machine trusts already."""

import os
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from provision.engine.shell import words
from provision.errors import PlanError
from provision.inventory import Source, host_key, known_as

DEFAULT = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
SECONDS = 20


def pinned(app: str, source: Source) -> tuple[str, ...]:
    """The lines of a known_hosts file for the repository's host; none where it is not read over SSH.

    Raises PlanError where nothing says which keys are the host's.
    """
    if source.ssh is None:
        return ()
    name = known_as(*source.ssh)
    lines = named(source.host_key, name) if source.host_key else trusted(*source.ssh)
    if all(line.startswith("@revoked") for line in lines):
        host, port = source.ssh
        scan = words("ssh-keyscan", *(("-p", str(port)) if port != 22 else ()), host)
        raise PlanError(
            f"{app}: the host key of {name} is known neither here nor in the inventory: compare what {scan} prints with the "
            "keys that the host publishes, then write it into the inventory as source.host_key, or into ~/.ssh/known_hosts"
        )
    return lines


def named(lines: Iterator[str] | list[str], name: str) -> tuple[str, ...]:
    """Lines of a known_hosts file, all under this one name. Malformed lines are dropped."""
    found = (key for key in map(host_key, lines) if key)
    return tuple(dict.fromkeys(" ".join(filter(None, (key.marker, name, key.type, key.key))) for key in found))


@cache
def trusted(host: str, port: int) -> tuple[str, ...]:
    """The keys that this machine trusts, where git's own ssh looks for them."""
    settings = _settings(host, port)
    files = [name for key in ("userknownhostsfile", "globalknownhostsfile") for name in settings.get(key, "").split()]
    aliases = (
        known_as(host, port),
        settings.get("hostkeyalias", ""),
        known_as(settings.get("hostname", host), int(settings.get("port", port))),
    )
    for name in dict.fromkeys(filter(None, aliases)):
        lines = [line for file in files or DEFAULT for line in _lines(Path(file).expanduser(), name)]
        if lines:
            return named(lines, known_as(host, port))
    return ()


def ssh() -> str:
    """The command with which git connects, for a shell."""
    return os.environ.get("GIT_SSH_COMMAND") or _say("git", "config", "--get", "core.sshCommand").strip() or "ssh"


def _settings(host: str, port: int) -> dict[str, str]:
    """What ssh_config says of the host."""
    options = ("-p", str(port)) if port != 22 else ()
    said = _say("sh", "-c", f'{ssh()} -G "$@"', "sh", *options, "--", host)
    return {key: value for key, _, value in (line.partition(" ") for line in said.splitlines())}


def _lines(file: Path, name: str) -> list[str]:
    return _say("ssh-keygen", "-F", name, "-f", str(file)).splitlines() if file.is_file() else []


def _say(*command: str) -> str:
    """What a command prints; nothing where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
