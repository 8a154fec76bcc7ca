"""First contact with a server as its provider hands it over: its host key is pinned, and the inventory's user can log in and be root."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko
from paramiko.ssh_exception import SSHException

from provision.controller import connection
from provision.controller.ssh import Session
from provision.engine.shell import library, words
from provision.errors import AccessDenied, LoginRefused, ProvisionError, RunError, UsageError
from provision.inventory import Host, known_as
from provision.untrusted import line as shown

LIBRARY = library(__file__)
ANYWHERE = ("/etc/ssh/ssh_known_hosts",)


@dataclass(frozen=True, slots=True)
class Questions:
    """What a person is asked. `trusts` is told a host and its key's type and fingerprint; `password` is told the login."""

    trusts: Callable[[str, str], bool]
    password: Callable[[str], str]


def bootstrap(
    host: Host, login: str, keys: tuple[str, ...], questions: Questions, only_new: bool = False
) -> Iterator[str]:
    """Let the inventory's user in, by way of another `login` (such as root) that has a key or a password; yield what was done, a
    line each.

    Nothing is changed where the user is root already or, if `only_new`, on a server that this toolkit has been on. At the end the user has
    logged in over a new connection. Raises ProvisionError.
    """
    yield from pin(host, questions.trusts)
    if _is_root(host):
        yield f"{host.user} logs in and is root: nothing to do"
        return
    session = _enter(host, login, questions.password)
    try:
        output = session.run(
            f"{LIBRARY}set -eu\n{words('bootstrap_login', host.user, chr(10).join(keys), 'new' if only_new else 'any')}\n"
        )
    finally:
        session.close()
    yield from (shown(each) for each in output.stdout.splitlines())
    if output.status:
        said = (output.stderr.strip().splitlines() or ["nothing"])[-1]
        raise RunError(f"{host.user} was not let in: {shown(said, 300)}")
    if not _is_root(host):
        raise RunError(
            f"{host.user} was set up, but still cannot log in or use sudo: look at the server's sshd and sudo logs"
        )
    yield f"{host.user} logs in and is root"


def pin(host: Host, trusts: Callable[[str, str], bool]) -> Iterator[str]:
    """Pin the host key, unless one is pinned: what the inventory's `host_key` says, or what a person trusts. Raises
    ProvisionError, also where it is another one than the inventory's.
    """
    name = known_as(host.address, host.port)
    files = [host.known_hosts] if host.known_hosts else [Path.home() / ".ssh/known_hosts", *map(Path, ANYWHERE)]
    if any(_knows(file, name) for file in files):
        return
    key = connection.shown_key(host)
    shows = connection.fingerprint(key)
    if host.host_key and host.host_key != shows.partition(" ")[2]:
        raise LoginRefused(
            f"the host key of {name} is {shows}, and the inventory's host_key is {host.host_key}: do not connect"
        )
    if not host.host_key and not trusts(name, shows):
        raise LoginRefused(f"the host key of {name}, {shows}, is not trusted: nothing was changed")
    file = files[0]
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    before = file.read_bytes() if file.exists() else b""
    with file.open("a") as known:
        # The last line may have no end.
        known.write(("\n" if before and not before.endswith(b"\n") else "") + f"{name} {key}\n")
    yield f"pinned its host key, {shows}, in {file}"


def public_keys(host: Host, file: Path | None = None) -> tuple[str, ...]:
    """The public keys that are to let the user in: those of a file, or else that of the inventory's `key`, or those of the agent.

    Raises UsageError where there are none.
    """
    if file or host.key:
        path = file or Path(f"{host.key}.pub")
        try:
            found = [one.strip() for one in path.read_text().splitlines()]
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}: name a file of public keys with --keys") from None
    else:
        try:
            found = [f"{one.get_name()} {one.get_base64()}" for one in paramiko.Agent().get_keys()]
        except (SSHException, OSError):
            found = []
    keys = tuple(one for one in found if one and not one.startswith("#"))
    for one in keys:
        try:
            connection.fingerprint(one)
        except ValueError:
            raise UsageError(f"{file or host.key}: this is not a public key: {shown(one, 40)}") from None
    if not keys:
        raise UsageError("there is no public key to let in: ssh-add one, or name a file of them with --keys")
    return keys


def _knows(file: Path, name: str) -> bool:
    known = paramiko.HostKeys()
    if file.is_file():
        known.load(str(file))
    return known.lookup(name) is not None


def _is_root(host: Host) -> bool:
    """Whether the inventory's user logs in with a key and becomes root. Raises Unreachable for all but a refused login."""
    session = Session(host)
    try:
        return session.run("id -u").stdout.strip() == "0"
    except (LoginRefused, AccessDenied):
        return False
    finally:
        session.close()


def _enter(host: Host, login: str, password: Callable[[str], str]) -> Session:
    """A session of the other login, as root: by key if it can, by password if it must, also for sudo."""
    there = host.model_copy(update={"user": login, "become": "auto"})
    secret: str | None = None
    session = Session(there)
    try:
        session.open()
    except LoginRefused:
        secret = password(f"{login}@{host.address}")
        session = Session(there, secret, login=secret)
        try:
            session.open()
        except LoginRefused:
            raise LoginRefused(f"{login}@{host.address} refused the password, or logins by password at all") from None
    try:
        session.run("true")
    except AccessDenied:
        session.close()
        secret = secret if secret is not None else password(f"{login}@{host.address}, for sudo")
        session = Session(there.model_copy(update={"become": "sudo-password"}), secret, login=secret)
    except ProvisionError:
        session.close()
        raise
    return session
