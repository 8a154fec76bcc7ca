"""First contact with servers as their provider hands them over: what a person is asked, and a deploy that begins with it."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

from invoke import Exit

from provision.errors import ProvisionError
from provision.untrusted import visible

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provision.inventory import Host
    from provision.run.result import Result
    from provision.tasks.options import Command

PASSWORD = "PROVISION_LOGIN_PASSWORD"
ROOT = "root"


def let_in(host: Host, login: str, keys: Path | None = None, only_new: bool = False) -> None:
    """Pin a host's key and let the inventory's user in by way of another login; print what was done. Raises Exit."""
    from provision.run import bootstrap

    try:
        if refused := impossible(host):
            raise Exit(f"{host.name}: {refused}", 1)
        questions = bootstrap.Questions(_trusts, _password)
        for said in bootstrap.bootstrap(host, login, bootstrap.public_keys(host, keys), questions, only_new):
            print(visible(f"{host.name}: {said}"), flush=True)
    except ProvisionError as error:
        raise Exit(visible(f"{host.name}: {error}"), 1) from None


def impossible(host: Host) -> str:
    """Why a host's user cannot be let in; empty if it can."""
    if host.connect == "vagrant":
        return "Vagrant makes the login of its machines"
    return "the user gets sudo without a password: leave become out" if host.become == "sudo-password" else ""


def before(command: Command, run: Callable[[], tuple[Result, ...]]) -> tuple[Result, ...]:
    """Run a task, and where it finds a new server that does not know the inventory's user, let that in and run it again.

    On a terminal it asks by way of whom. Elsewhere, it is by way of root, with a key or the password in PROVISION_LOGIN_PASSWORD, and only
    where the inventory has the server's `host_key`.
    """
    results = run()
    if command.json:
        return results
    strangers = {result.host for result in results if result.stranger}
    hosts = [host for host in command.target().hosts if host.name in strangers and not impossible(host)]
    asks = sys.stdin.isatty()
    logins = {host.name: _way_in(host) if asks else ROOT for host in hosts if asks or host.host_key}
    if not any(logins.values()):
        return results
    for host in hosts:
        if login := logins.get(host.name):
            let_in(host, login, only_new=True)
    return run()


def _way_in(host: Host) -> str:
    """By way of whom a user is to be let in; empty if it is not."""
    print(
        f"\n{host.name} does not let {host.user} in. If it is a new server, who can log in now? Type root or the name of the provider's own "
        "user, or press Enter to leave it as it is: ",
        end="",
        file=sys.stderr,
        flush=True,
    )
    said = sys.stdin.readline().strip()
    if said and not re.fullmatch(r"[a-z_][a-z0-9_.-]{0,31}", said):
        raise Exit(visible(f"{said} is not the name of a user"), 1)
    return said


def _trusts(name: str, fingerprint: str) -> bool:
    if not sys.stdin.isatty():
        raise Exit(
            visible(
                f"the host key of {name}, {fingerprint}, is not known, and there is no terminal to ask on: compare it with the server's "
                f"own, then write host_key: {fingerprint.partition(' ')[2]} into the inventory"
            ),
            1,
        )
    print(
        f"The host key of {name} is {fingerprint}. Is it the server's own, as its provider's console shows it? [y/N] ",
        end="",
        file=sys.stderr,
        flush=True,
    )
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _password(login: str) -> str:
    from getpass import getpass

    known = os.environ.get(PASSWORD)
    if known is not None:
        return known
    if not sys.stdin.isatty():
        raise Exit(f"{login} wants a password, and there is no terminal to ask on: set {PASSWORD}", 1)
    return getpass(f"password of {login}: ")
