"""Types of fields that several models share."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from provision.inventory import addresses, dotenv, pem, repository
from provision.inventory.model import Context
from provision.inventory.wording import display

if TYPE_CHECKING:
    from collections.abc import Callable


def matching(pattern: str, message: str) -> AfterValidator:
    """A validator for text that matches a pattern as a whole; in the message, {} is the text."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(message.replace("{}", value))
        return value

    return AfterValidator(check)


def parsed_by(parser: Callable[[Path, bytes], object]) -> AfterValidator:
    """A validator for the path of a file that a parser accepts."""

    def check(path: Path, info: ValidationInfo) -> Path:
        context = Context.of(info)
        if not context.partial:
            context.parse(path, parser)
        return path

    return AfterValidator(check)


def parsed_from(setting: str, parser: Callable[[Path, bytes], object]) -> AfterValidator:
    """A validator that fills in what a parser makes of the file that another setting names."""

    def fill_in(value: object, info: ValidationInfo) -> object:
        path, context = info.data.get(setting), Context.of(info)
        return context.parse(path, parser) if isinstance(path, Path) and not context.partial else value

    return AfterValidator(fill_in)


def expanded(path: str | Path) -> Path:
    """A path with ~ replaced by the home folder, if that is known."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def whole_number(value: object) -> object:
    """An integer, or a text of digits only. Raises ValueError for anything else, true and false included."""
    if isinstance(value, bool) or not isinstance(value, int | str) or not re.fullmatch(r"-?\d{1,18}", str(value)):
        raise ValueError(f"{display(value)} is not a whole number; write digits only")
    return int(value)


def as_text(value: object) -> object:
    """A number as text; anything else as it is."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def existing_file(path: Path, info: ValidationInfo) -> Path:
    """The path of a file on this machine. Raises ValueError if there is none."""
    path, context = expanded(path), Context.of(info)
    if context.partial or path in context.secrets.contents:
        return path
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a file")
    if not path.is_file():
        raise ValueError(f"there is no file {path}; correct the path (relative ones start at the inventory's folder)")
    return path


def existing_folder(path: Path, info: ValidationInfo) -> Path:
    """The path of a folder on this machine. Raises ValueError if there is none."""
    path = expanded(path)
    if not Context.of(info).partial and not path.is_dir():
        raise ValueError(f"{path}: there is no such folder; correct the path")
    return path


def relative_folder(value: str) -> str:
    """A folder inside a repository. Raises ValueError for a path that leads out of it."""
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or not re.fullmatch(r"[\w./+@ -]+", value) or value[0] in "-~":
        raise ValueError(f'"{value}" is not a folder inside the repository; write a relative path without ".."')
    return str(path)


def repository_path(value: str) -> str:
    """A path relative to an app's folder, which may begin with ../ as far as it stays in the repository (`App` checks that)."""
    if value != (inner := re.sub(r"^(\.\./)+", "", f"{value}/" if value.endswith("..") else value)):
        relative_folder(inner or ".")
        return os.path.normpath(value)
    return relative_folder(value)


def command(value: str) -> str:
    """A shell command in one line. Raises ValueError for an empty one and for several lines."""
    if not value.strip() or re.search("[\0-\x08\n-\x1f\x7f\x85\u2028\u2029]", value):
        raise ValueError("a command is one line; longer ones go into a script of the app's repository")
    return value


def distinct(value: list[Any]) -> list[Any]:
    """A list. Raises ValueError if an item is in it twice."""
    for item in value:
        if value.count(item) > 1:
            raise ValueError(f"{item} is listed twice; keep one")
    return value


Text = Annotated[str, BeforeValidator(as_text)]
Whole = Annotated[int, BeforeValidator(whole_number)]
Command = Annotated[str, AfterValidator(command)]
File = Annotated[Path, AfterValidator(existing_file)]
Folder = Annotated[Path, AfterValidator(existing_folder)]
CaFile = Annotated[File, parsed_by(pem.certificates)]
EnvFile = Annotated[File, parsed_by(dotenv.variables)]
Variable = Annotated[str, AfterValidator(dotenv.variable_name)]
SiteName = Annotated[str, AfterValidator(addresses.site_name)]
Url = Annotated[str, AfterValidator(addresses.web_address)]
PublicUrl = Annotated[Url, AfterValidator(addresses.without_password)]
Repository = Annotated[str, AfterValidator(repository.repository)]
RelativeFolder = Annotated[str, AfterValidator(relative_folder)]
RepositoryPath = Annotated[str, AfterValidator(repository_path)]
Revision = Annotated[
    Text,
    matching(r"[A-Za-z0-9_][\w./@^~+-]*", '"{}" is not a git revision; write a branch, a tag or a commit'),
]
Name = Annotated[
    str,
    matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", '"{}" is not a name; use letters, digits, dot, _ and - only'),
]
