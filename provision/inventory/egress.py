"""Where an app may connect to."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from provision.inventory.addresses import network
from provision.inventory.fields import Whole, distinct
from provision.inventory.model import Model

Port = Annotated[Whole, Field(ge=1, le=65535)]
Network = Annotated[str, AfterValidator(network)]


class Egress(Model):
    """Where the app may connect to, on servers with `hardening.egress`. Its builds may reach other machines, too, wherever they are."""

    local: Annotated[list[Port], AfterValidator(distinct)] = Field(
        default_factory=list,
        description="TCP ports on the server itself, such as a database's. Names (port 53) and the server's sites (80 and 443) are always open.",
        examples=[[5432]],
    )
    to: Annotated[list[Network], AfterValidator(distinct)] | None = Field(
        default=None,
        description="Networks or addresses of other machines; [] means none. If omitted: all but the cloud's metadata address.",
        examples=[["10.0.0.0/8"]],
    )
