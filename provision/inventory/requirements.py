"""What an app needs to be installed."""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from provision.inventory.fields import distinct, matching, relative_folder
from provision.inventory.model import Model

FILES = r"pyproject\.toml|pylock(\.[A-Za-z0-9_-]+)?\.toml|(uv|poetry|pdm)\.lock|requirements[\w.-]*\.txt"


def _file(value: str) -> str:
    if value != "auto" and not re.fullmatch(FILES, PurePosixPath(value).name):
        raise ValueError(
            f'"{value}" is not a requirements file; write auto, a requirements*.txt, pyproject.toml, pylock.toml, uv.lock, poetry.lock'
            " or pdm.lock"
        )
    relative_folder(re.sub(r"^(\.\./)+", "", value))
    return value if value == "auto" else os.path.normpath(value)


Name = Annotated[
    str,
    matching(
        r"[A-Za-z0-9]([A-Za-z0-9._-]{0,60}[A-Za-z0-9])?",
        '"{}" is not a name in pyproject.toml; write for example postgres',
    ),
]


class Requirements(Model):
    """What to install for an app. A plain string is the file."""

    shorthand: ClassVar[str] = "file"

    file: Annotated[str, AfterValidator(_file)] = Field(
        default="auto",
        description="A requirements*.txt, pyproject.toml, pylock.toml, pylock.NAME.toml, uv.lock, poetry.lock or pdm.lock, relative to the source"
        " folder; ../ leads to folders above it in the repository. auto: the first that exists of uv.lock (the app's or its workspace's, as uv finds"
        " it), requirements.txt, pylock.toml, poetry.lock, pdm.lock and pyproject.toml.",
        examples=["auto"],
    )
    extras: Annotated[list[Name], AfterValidator(distinct)] = Field(
        default_factory=list,
        description="Extras of the project to install, too, where the file is a lock or pyproject.toml.",
        examples=[["postgres"]],
    )
    groups: Annotated[list[Name], AfterValidator(distinct)] = Field(
        default_factory=list,
        description="Dependency groups to install, too, where the file is a lock or pyproject.toml. No other is"
        " installed, except those that uv installs by default, without dev.",
        examples=[["server"]],
    )

    @field_validator("extras", "groups")
    @classmethod
    def _only_of_a_project(cls, value: list[str], info: ValidationInfo) -> list[str]:
        file = str(info.data.get("file", ""))
        if value and file.endswith(".txt"):
            raise ValueError(
                f"{file} has no {info.field_name}; remove them, or name a lock or pyproject.toml as the file"
            )
        return value
