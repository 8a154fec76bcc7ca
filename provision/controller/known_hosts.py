"""The host keys that a repository's host may show: those that the inventory pins, else those that this machine trusts."""

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
    """The known_hosts lines for the repository's host; none where the repository is not read over SSH. Where the commit is pushed,
    those for the hosts of requirements.

    Raises PlanError where neither the inventory nor this machine knows a key of the host.
    """
    if source.push:
        return tuple(" ".join(filter(None, key)) for key in map(host_key, source.host_key) if key)
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
    """The known_hosts lines, each once and under this one name. Malformed lines are dropped."""
    found = (key for key in map(host_key, lines) if key)
    return tuple(dict.fromkeys(" ".join(filter(None, (key.marker, name, key.type, key.key))) for key in found))


@cache
def trusted(host: str, port: int) -> tuple[str, ...]:
    """The known_hosts lines of a host that this machine trusts, from the files that git's ssh reads (ssh_config(5))."""
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
    """The command by which git connects, as a shell reads it: GIT_SSH_COMMAND, core.sshCommand, or ssh."""
    return os.environ.get("GIT_SSH_COMMAND") or _output("git", "config", "--get", "core.sshCommand").strip() or "ssh"


def _settings(host: str, port: int) -> dict[str, str]:
    """The options that ssh would use for the host, by `ssh -G`."""
    options = ("-p", str(port)) if port != 22 else ()
    said = _output("sh", "-c", f'{ssh()} -G "$@"', "sh", *options, "--", host)
    return {key: value for key, _, value in (line.partition(" ") for line in said.splitlines())}


def _lines(file: Path, name: str) -> list[str]:
    return _output("ssh-keygen", "-F", name, "-f", str(file)).splitlines() if file.is_file() else []


def _output(*command: str) -> str:
    """The output of a command; empty where it fails or takes more than 20 seconds."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
