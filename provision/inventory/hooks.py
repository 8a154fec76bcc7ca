"""Commands that run around an activation."""

from __future__ import annotations

from pydantic import Field

from provision.inventory.fields import Command
from provision.inventory.model import Model


class Hooks(Model):
    """Commands that run on the server, in the new release, with its environment and as the app's user."""

    before: Command | None = Field(
        default=None,
        description="Runs before the release starts. If it fails, the deploy stops before anything is switched.",
        examples=["python -m shop.warm_up"],
    )
    after: Command | None = Field(
        default=None,
        description="Runs once the release has the traffic. If it fails, the release stays, and the deploy reports it.",
        examples=["python -m shop.announce"],
    )
