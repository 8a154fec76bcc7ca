"""The base of all models, and what their validators may know of this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from provision.inventory.references import Secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pydantic.fields import FieldInfo

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Context:
    """This machine as validators see it: its environment variables, and its files, each read once.

    A `partial` one is for a single layer of an inventory: nothing is required there, and no file or variable is asked for.
    """

    environ: Mapping[str, str]
    partial: bool = False
    given: Secrets | None = None
    _contents: dict[Path, bytes] = field(default_factory=dict, repr=False)
    _parsed: dict[tuple[Path, Callable[..., Any]], Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, info: ValidationInfo) -> Context:
        """The context that validation was given; otherwise this process's environment."""
        return info.context if isinstance(info.context, Context) else cls(os.environ)

    @property
    def secrets(self) -> Secrets:
        """What the inventory's references lead to."""
        return self.given or Secrets((), self.environ)

    def read(self, path: Path) -> bytes:
        """A file's content, or what stands in its place. Raises ValueError if it cannot be read."""
        if path in self.secrets.contents:
            return self.secrets.contents[path]
        if path not in self._contents:
            try:
                self._contents[path] = path.read_bytes()
            except OSError as error:
                raise ValueError(f"cannot read {path}: {error.strerror}") from None
        return self._contents[path]

    def parse(self, path: Path, parser: Callable[[Path, bytes], T]) -> T:
        """What a parser makes of a file. Raises ValueError if the file cannot be read, or the parser rejects it."""
        if (path, parser) not in self._parsed:
            self._parsed[path, parser] = parser(path, self.read(path))
        parsed: T = self._parsed[path, parser]
        return parsed


def loaded(default: object) -> Any:
    """A field that an inventory has no key for: a validator fills it in from the files and variables that others name.

    It may hold secrets, so it is neither shown nor serialized.
    """
    return Field(default=default, validate_default=True, exclude=True, repr=False)


class Model(BaseModel):
    """A frozen part of an inventory that rejects unknown keys and never shows its input in errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    shorthand: ClassVar[str] = ""
    """The key that a plain value stands for; empty if only a mapping will do."""

    @classmethod
    def short(cls, value: object) -> str:
        """The key that this plain value stands for."""
        return cls.shorthand

    @classmethod
    def settings(cls) -> dict[str, FieldInfo]:
        """The fields that an inventory has keys for, by key."""
        return {name: item for name, item in cls.model_fields.items() if not item.exclude}

    @model_validator(mode="before")
    @classmethod
    def _expand_shorthand(cls, data: Any) -> Any:
        return {cls.short(data): data} if cls.short(data) and isinstance(data, str | int | float) else data
