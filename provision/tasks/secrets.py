"""invoke secrets.edit, show, set, rekey: the encrypted file of secrets beside an inventory."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from invoke import Exit, task

from provision.errors import InventoryError, UsageError
from provision.tasks.options import help_for
from provision.untrusted import visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from invoke import Context

BEGINNING = "# NAME: value, one a line; docs/secrets.md says how to use them.\n"
OPTIONS = {**help_for("host", "inventory")}


@task(help=OPTIONS)
def edit(context: Context, host: str = "", inventory: str | None = None) -> None:
    """Open the secrets in $VISUAL or $EDITOR, and encrypt them again if they were changed."""
    from provision.inventory import secrets_file
    from provision.tasks.editing import edited

    with _reported():
        file = _file(host, inventory)
        text = _text(file)
        new = edited(text or BEGINNING, file, lambda each: secrets_file.parse(each, file))
        if new == (text or BEGINNING):
            print(f"{file} was not changed")
            return
        secrets_file.write(file, new)
    print(f"{file} is written")


@task(help={**OPTIONS, "key": "only this secret", "reveal": "print the values, too"})
def show(context: Context, host: str = "", key: str = "", reveal: bool = False, inventory: str | None = None) -> None:
    """The names of the secrets; their values only with --reveal."""
    from provision.inventory import secrets_file
    from provision.inventory.wording import suggestion

    with _reported():
        file = _file(host, inventory)
        found = secrets_file.read(file)
        if key and key not in found:
            raise UsageError(f"{file} has no {key}{suggestion(key, found)}")
    if key and reveal:
        print(found[key])
        return
    for name in [key] if key else found:
        print(f"{name}: {found[name]!r}" if reveal else name)


@task(name="set", help={**OPTIONS, "key": "the secret's name"})
def set_(context: Context, key: str = "", host: str = "", inventory: str | None = None) -> None:
    """Set one secret; its value is asked for, or read from standard input: pwgen 32 1 | invoke secrets.set --key KEY --host NAME."""
    from getpass import getpass

    from provision.inventory import dotenv, secrets_file

    with _reported():
        if not key:
            raise UsageError("which secret? add --key NAME; its value is asked for, or read from standard input")
        file = _file(host, inventory)
        try:
            dotenv.variable_name(key)
        except ValueError as error:
            raise UsageError(f"{key}: {error}") from None
        text = _text(file)
        value = getpass(f"value of {key}: ") if sys.stdin.isatty() else sys.stdin.read().removesuffix("\n")
        if why := secrets_file.unfit(key, value):
            raise UsageError(why)
        secrets_file.write(file, secrets_file.changed(text or BEGINNING, file, key, value))
    print(f"{key} is set in {file}")


@task(help=OPTIONS)
def rekey(context: Context, host: str = "", inventory: str | None = None) -> None:
    """Encrypt the secrets again, for the public keys that are in NAME.recipients now."""
    from provision.inventory import age, secrets_file

    with _reported():
        file = _file(host, inventory)
        secrets_file.write(file, age.decrypt(file))
    print(
        f"{file} is encrypted for the keys in {age.recipients_of(file)}; who was removed knows the secrets: change them"
    )


def _file(host: str, inventory: str | None) -> Path:
    """The secrets of the inventory that is meant. The inventory itself is not loaded: it may refer to what is not there yet."""
    from pathlib import Path

    from provision.inventory import secrets_file
    from provision.inventory.find import file_of

    if not host and not inventory:
        raise UsageError("whose secrets? add --host NAME: an inventory, or a group or host in one")
    found = Path(inventory) if inventory else file_of(host)
    if not found.is_file():
        raise UsageError(f"{found}: there is no such file; correct the path")
    return secrets_file.beside(found)


def _text(file: Path) -> str:
    """The decrypted text; empty if there is no file yet."""
    from provision.inventory import age

    if file.is_file():
        return age.decrypt(file)
    age.encrypt("", age.recipients_of(file))  # that it will be possible is known before anybody types a secret
    return ""


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except (InventoryError, UsageError) as error:
        raise Exit(visible(str(error)), code=1) from None
    except EOFError:
        raise Exit("nothing was entered; nothing was changed", code=1) from None
    except UnicodeDecodeError:
        raise Exit("the value is not UTF-8 text; encode it, for example as base64", code=1) from None
