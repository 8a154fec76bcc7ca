"""age: whose keys may read the secrets, and the keys of whoever reads them. pyrage is imported where it is needed only."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision.errors import InventoryError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KEY = "PROVISION_AGE_KEY"
"""The variable that may hold an age identity, for machines that have no file of it."""
KEY_FILE = "PROVISION_AGE_KEY_FILE"
DEFAULT_FILE = "~/.config/provision/age.txt"
SSH_KEYS = ("~/.ssh/id_ed25519", "~/.ssh/id_rsa")


def encrypt(text: str, recipients: Path) -> bytes:
    """The text, armored, for the public keys in a file. Raises InventoryError."""
    import pyrage

    encrypted: bytes = pyrage.encrypt(text.encode(), _recipients(recipients), armored=True)
    return encrypted


def decrypt(file: Path, environ: Mapping[str, str] = os.environ) -> str:
    """What is in an encrypted file, read with the first key of this user's that opens it. Raises InventoryError."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InventoryError([f"{file}: cannot be read: {error.strerror}"]) from None
    return opened(content, file, environ)


def opened(content: bytes, file: Path, environ: Mapping[str, str] = os.environ) -> str:
    """The text in encrypted content, which is that of a file. Raises InventoryError."""
    import pyrage

    tried: list[str] = []
    for name, identity in _identities(environ, tried):
        tried.append(name)
        try:
            return str(pyrage.decrypt(content, [identity]).decode())
        except pyrage.DecryptError as error:
            if "No matching keys" not in str(error):
                damaged = "damaged, or not encrypted with age; get it from Git again"
                raise InventoryError([f"{file}: {damaged}"]) from None
        except UnicodeDecodeError:
            raise InventoryError(
                [f"{file}: what is in it is not UTF-8 text; write it with `invoke secrets.edit`"]
            ) from None
    raise InventoryError([f"{file}: {_no_key(tried, recipients_of(file))}"])


def recipients_of(file: Path) -> Path:
    """The file with the public keys of those who may read an encrypted one."""
    return file.with_name(f"{file.name.removesuffix('.secrets.yml.age')}.recipients")


def _no_key(tried: list[str], recipients: Path) -> str:
    had = f"tried: {', '.join(tried)}" if tried else f"there are none: no {KEY_FILE}, {DEFAULT_FILE} or {SSH_KEYS[0]}"
    return (
        f"none of your keys opens it ({had}); let someone who can read it add your public key to {recipients.name} and"
        " run `invoke secrets.rekey`"
    )


def _recipients(file: Path) -> list[Any]:
    """The public keys in a file, one a line. Raises InventoryError."""
    from pyrage import RecipientError, ssh, x25519

    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InventoryError(
            [
                f"{file}: there is no such file of public keys; begin with your own: cp ~/.ssh/id_ed25519.pub {file}"
                if not file.exists()
                else f"{file}: cannot be read as text; write one public key a line"
            ]
        ) from None
    found = []
    for number, line in enumerate(lines, 1):
        written = line.strip()
        if not written or written.startswith("#"):
            continue
        kind: Any = x25519 if written.startswith("age1") else ssh
        try:
            found.append(kind.Recipient.from_str(written))
        except RecipientError:
            what = "not a public key that age knows; write one that begins with age1, ssh-ed25519 or ssh-rsa"
            raise InventoryError([f"{file}:{number}: {what}"]) from None
    if not found:
        raise InventoryError([f"{file}: no public key in it; write one a line (age1..., ssh-ed25519 ...)"])
    return found


def _identities(environ: Mapping[str, str], tried: list[str]) -> Iterator[tuple[str, Any]]:
    """This user's private keys, each with where it is from, as far as they are asked for. Raises InventoryError."""
    if environ.get(KEY):
        yield from ((KEY, each) for each in _age_keys(environ[KEY], KEY))
    named = environ.get(KEY_FILE)
    for name in (named, DEFAULT_FILE) if named else (DEFAULT_FILE,):
        path = _expanded(name)
        if path.is_file():
            yield from ((name, each) for each in _age_keys(_content(path).decode(errors="replace"), name))
        elif name == named:
            raise InventoryError([f"{KEY_FILE}: there is no file {name}; correct the path"])
    for name in SSH_KEYS:
        path = _expanded(name)
        if path.is_file():
            identity = _ssh_key(path, name, tried)
            if identity is not None:
                yield name, identity


def _expanded(name: str) -> Path:
    """A path with ~ replaced by the home folder, if that is known."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        return Path(name)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InventoryError([f"{path}: cannot be read: {error.strerror}"]) from None


def _age_keys(text: str, name: str) -> list[Any]:
    from pyrage import IdentityError, x25519

    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        found = [x25519.Identity.from_str(line) for line in lines]
    except IdentityError:
        found = []
    if not found:
        raise InventoryError(
            [f"{name}: not an age identity; write the AGE-SECRET-KEY-1... line that `age-keygen` prints"]
        )
    return found


def _ssh_key(path: Path, name: str, tried: list[str]) -> Any:
    """An SSH key; for one with a passphrase, which age cannot use, the passphrase is asked for. None for one that is of no use."""
    from pyrage import IdentityError, ssh

    content = _content(path)
    try:
        return ssh.Identity.from_buffer(content)
    except IdentityError as error:
        if "decrypted first" not in str(error):
            return None
    plain = _unlocked(content, name) if sys.stdin.isatty() else None
    if plain is None:
        tried.append(f"{name}, whose passphrase can be asked for on a terminal only")
    return plain and ssh.Identity.from_buffer(plain)


@cache
def _unlocked(content: bytes, name: str) -> bytes | None:
    from getpass import getpass

    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_ssh_private_key(content, getpass(f"passphrase of {name}: ").encode())
    except ValueError:
        raise InventoryError([f"{name}: the passphrase is not the right one; try again"]) from None
    form = serialization.PrivateFormat.OpenSSH
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
