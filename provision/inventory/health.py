"""An app's health check."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from provision.inventory.fields import Whole
from provision.inventory.model import Model


def _path(value: str) -> str:
    if not re.fullmatch(r"/[^\s'\"\\;{}$`]*", value):
        raise ValueError(f'"{value}" is not a path; begin it with / and leave out spaces and quotes')
    return value


class Health(Model):
    """How a release shows that it is ready for traffic. A plain string is the path."""

    shorthand: ClassVar[str] = "path"

    path: Annotated[str, AfterValidator(_path)] = Field(
        default="/health",
        description="URL path that answers 200 once the app can serve requests.",
        examples=["/health"],
    )
    timeout: Whole = Field(
        default=30,
        ge=1,
        le=600,
        description="Seconds for a new release to become healthy (1 to 600); after that, the deploy is undone.",
        examples=[30],
    )
    passes: Whole = Field(
        default=3,
        ge=1,
        le=100,
        description="Consecutive checks that a new release must pass before it gets traffic (1 to 100).",
        examples=[3],
    )
    watch: Whole = Field(
        default=2,
        ge=0,
        le=600,
        description="Seconds to watch a new release under traffic while the old one stands by (0 to 600). If the new one"
        " exits or becomes unhealthy, the deploy is undone.",
        examples=[2],
    )
