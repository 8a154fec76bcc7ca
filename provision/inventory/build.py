"""What a commit does not have and a release needs: built by commands."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from provision.inventory.dotenv import variable_value
from provision.inventory.fields import Command, RepositoryPath, Text, Variable, distinct
from provision.inventory.model import Model

OWN = (".release", ".venv", ".built", ".packages", ".upgraded")


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _output(value: str) -> str:
    if value == ".":
        raise ValueError(
            "the app's folder itself is no output; name the file or the folder in it that the commands make"
        )
    if not value.startswith("../") and PurePosixPath(value).parts[0] in OWN:
        raise ValueError(f'"{value}" is where the server puts its own; let the commands make another folder')
    return value


Output = Annotated[RepositoryPath, AfterValidator(_output)]


class Build(Model):
    """Commands that make files which a release has in addition to its commit. A plain string is one command.

    Commands without `outputs` run in the same place as the next that has them, before it.
    """

    shorthand: ClassVar[str] = "run"

    run: Annotated[list[Command], BeforeValidator(_listed)] = Field(
        min_length=1,
        description="The command, or a list of them. The app's Python environment and `node` are first in PATH.",
        examples=[["npm ci", "npm run build"]],
    )
    folder: RepositoryPath = Field(
        default=".",
        description="Where they run: a folder inside the source folder; ../ leads to folders beside it in the repository.",
        examples=["frontend"],
    )
    inputs: Annotated[list[RepositoryPath], AfterValidator(distinct)] = Field(
        default_factory=list,
        description="What they read of the commit, besides what was built before: files and folders, relative to the source folder. They see nothing"
        " else of it, and a commit in which these are the same is not built again. If omitted: the whole commit.",
        examples=[["frontend"]],
    )
    outputs: Annotated[list[Output], AfterValidator(distinct)] = Field(
        default_factory=list,
        description="What they make and the release gets: files and folders, relative to the source folder. All else is thrown away.",
        examples=[["frontend/dist"]],
    )
    environment: dict[Variable, Annotated[Text, AfterValidator(variable_value)]] = Field(
        default_factory=dict,
        description="Environment variables of these commands. They have none of the app's. What is written here may end up in files that"
        " everybody can fetch, so it should be no secret.",
        examples=[{"VITE_API": "/api"}],
    )


def builds(value: list[Build]) -> list[Build]:
    """Builds whose last commands have outputs. Raises ValueError for others, and for outputs one of which is in another."""
    if value and not value[-1].outputs:
        raise ValueError(
            f"nothing is kept of what `{value[-1].run[-1]}` makes; name it, such as outputs: [frontend/dist]"
        )
    for each in value:
        if each.inputs and not each.outputs:
            raise ValueError(f"`{each.run[-1]}` has inputs and no outputs; write both for the last of these commands")
    found = [PurePosixPath(name) for each in value for name in each.outputs]
    for one in found:
        if sum(one.is_relative_to(other) for other in found) > 1:
            raise ValueError(f"{one} is in two outputs; keep one")
    return value
