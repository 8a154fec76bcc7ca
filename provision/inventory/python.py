"""The Python that an app runs on."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from provision.inventory.fields import as_text
from provision.inventory.model import Model
from provision.inventory.wording import display

SYSTEM = "system"
AUTO = "auto"
# What an app gets that asks for no other: a release that all tests run on.
DEFAULT = "3.13.5"


def _version(value: object) -> object:
    text = as_text(value)
    if not isinstance(text, str):
        return text
    if re.fullmatch(r"\d+(\.\d+)?", text):
        raise ValueError(f"{text} is not a full Python version; write all three parts and quote it: '3.13.5'")
    if re.fullmatch(r"3\.\d+\.\d+-?(a|b|c|rc|dev)\.?\d*", text):
        raise ValueError(f"{text} is not a final release; write for example '3.13.5'")
    if text in (SYSTEM, AUTO):
        return text
    match = re.fullmatch(r"3\.(\d{1,3})\.(\d{1,3})", text)
    if not match:
        raise ValueError(f"{display(text)} is not a version of CPython 3; write for example '3.13.5', or system")
    if int(match[1]) < 9:
        raise ValueError(f"Python {text} is too old for FastAPI; use 3.9.0 or newer, for example '3.13.5'")
    return text


class Python(Model):
    """The app's Python: its own, built by pyenv, or the distribution's. A plain string is the version.

    Where it is left open (auto), it is chosen by what the app's commit says, once that is known (release/python.py).
    """

    shorthand: ClassVar[str] = "version"

    version: Annotated[str, BeforeValidator(_version)] = Field(
        default=AUTO,
        description="Exact CPython version, in quotes: a final release, 3.9 or later. Or system: the distribution's Python,"
        " which needs no build but changes when the distribution is upgraded. Or auto: what the commit's .python-version and requires-python"
        " ask for, otherwise 3.13.5; docs/packaging.md says how it is chosen, and the plan says which it is.",
        examples=["3.13.5"],
    )
    optimized: bool = Field(
        default=False,
        description="Build with profile-guided and link-time optimization: runs faster, takes long to build.",
        examples=[False],
    )
    cache: bool = Field(
        default=True,
        description="Keep the built Python and reuse it on other servers with the same system. false: each server builds its own, and need not"
        " trust another (docs/security.md).",
        examples=[True],
    )

    @field_validator("optimized")
    @classmethod
    def _only_if_built(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("version") == SYSTEM:
            raise ValueError(
                "the distribution's Python is not built here; remove optimized, or write a version: '3.13.5'"
            )
        return value

    @property
    def system(self) -> bool:
        """Whether it is the distribution's."""
        return self.version == SYSTEM

    @property
    def exact(self) -> str:
        """The version, or system; the default where it is open, and nothing has been chosen yet."""
        return DEFAULT if self.version == AUTO else self.version

    @property
    def name(self) -> str:
        """Version and build in one word: 3.13.5, 3.13.5-optimized, or system."""
        return f"{self.exact}-optimized" if self.optimized else self.exact
