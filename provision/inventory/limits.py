"""What one client may ask of an app."""

from __future__ import annotations

from pydantic import Field, model_validator

from provision.inventory.fields import Whole
from provision.inventory.model import Model


class Limits(Model):
    """What one client, by its address, may ask of the app; nginx answers more with 429 and Retry-After.

    Without it there is no limit, as all who come through one proxy that is not trusted would share it.
    """

    requests: Whole | None = Field(
        default=None,
        ge=1,
        le=100000,
        description="Requests a second, over time. Static files do not count. If omitted: no limit.",
        examples=[20],
    )
    burst: Whole = Field(
        default=100,
        ge=0,
        le=100000,
        description="Requests beyond that which pass at once (0 to 100000).",
        examples=[100],
    )
    connections: Whole | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Requests at the same time, with websockets. If omitted: no limit.",
        examples=[50],
    )

    @model_validator(mode="after")
    def _burst_of_something(self) -> Limits:
        if "burst" in self.model_fields_set and self.requests is None:
            raise ValueError("a burst goes beyond a number of requests: add requests, such as 20")
        return self
