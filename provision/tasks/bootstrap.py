"""invoke bootstrap: first contact with servers as their provider hands them over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import task

from provision.tasks.options import Command, help_for

if TYPE_CHECKING:
    from invoke import Context


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

    from provision.tasks import first_contact

    for one in Command("bootstrap", host, inventory).target().hosts:
        first_contact.let_in(one, login, Path(keys).expanduser() if keys else None)
