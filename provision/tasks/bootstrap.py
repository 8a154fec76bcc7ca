"""invoke bootstrap: first contact with servers as their provider hands them over."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from invoke import Exit, task

from provision.tasks.options import Command, help_for
from provision.untrusted import visible

if TYPE_CHECKING:
    from invoke import Context

PASSWORD = "PROVISION_LOGIN_PASSWORD"


@task(
    help={
        **help_for("host", "inventory"),
        "login": "who can log in as it is now, with a key or a password: root, or what the provider calls its user",
        "keys": "a file of public keys to let in; if omitted, that of the inventory's key, or those of the agent",
    }
)
def bootstrap(
    context: Context, host: str = "", login: str = "root", keys: str = "", inventory: str | None = None
) -> None:
    """Pin a new server's host key, and let the inventory's user in, with keys and sudo. Nothing else is changed."""
    from pathlib import Path

    from provision.errors import ProvisionError
    from provision.run import bootstrap as first

    command = Command("bootstrap", host, inventory)
    target = command.target()
    questions = first.Questions(_trusts, _password)
    for one in target.hosts:
        try:
            for refused, why in (
                (one.connect == "vagrant", "Vagrant makes the login of its machines"),
                (one.proxy_jump, "bootstrap does not go through a jump host: run it from there"),
                (one.become == "sudo-password", "the user gets sudo without a password: leave become out"),
            ):
                if refused:
                    raise Exit(f"{one.name}: {why}", 1)
            for said in first.bootstrap(
                one, login, first.public_keys(one, Path(keys).expanduser() if keys else None), questions
            ):
                print(visible(f"{one.name}: {said}"), flush=True)
        except ProvisionError as error:
            raise Exit(visible(f"{one.name}: {error}"), 1) from None


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
