"""What is done so that a server is safe."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from provision.inventory.model import Model

Part = Literal["ssh", "firewall", "fail2ban", "updates", "system"]


class Hardening(Model):
    """What is done so that the server is safe. Each part can be chosen by itself; nothing is changed that is not asked for."""

    all: bool = Field(
        default=False,
        description="All parts, but those that are false.",
        examples=[True],
    )
    ssh: bool | None = Field(
        default=None,
        description="sshd lets nobody in by password, or as root once another user works, and offers modern algorithms only.",
        examples=[True],
    )
    firewall: bool | None = Field(
        default=None,
        description="The kernel's firewall (nftables) is closed to all but SSH, and HTTP and HTTPS where the server has sites.",
        examples=[True],
    )
    fail2ban: bool | None = Field(
        default=None,
        description="Whoever fails to log in again and again is kept out for a while (fail2ban).",
        examples=[True],
    )
    updates: bool | None = Field(
        default=None,
        description="Security updates are installed every day (unattended-upgrades).",
        examples=[True],
    )
    system: bool | None = Field(
        default=None,
        description="Safe settings of the kernel, the journal, the clock and the processes.",
        examples=[True],
    )

    reboot: str | None = Field(
        default=None,
        description='When the server may reboot after an update that needs that, in its own time zone: "HH:MM". Needs'
        " `updates`. If omitted: it does not reboot by itself, and `invoke status` says when it should.",
        examples=["04:00"],
    )

    logins: list[str] = Field(
        default_factory=list,
        description="Users who log in to the server besides the host's `user`, and may use sudo: `invoke audit` does not name them.",
        examples=[["ops"]],
    )

    @field_validator("reboot", mode="before")
    @classmethod
    def _time(cls, value: Any) -> Any:
        if value is not None and not (isinstance(value, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value)):
            raise ValueError(f'{value} is not a time of day; write for example "04:00"')
        return value

    @model_validator(mode="after")
    def _reboots_after_updates(self) -> Hardening:
        if self.reboot is not None and not self.wants("updates"):
            raise ValueError("reboot is for updates, and there are none: write updates: true, or remove reboot")
        return self

    def wants(self, part: Part) -> bool:
        """Whether a part is asked for."""
        chosen: bool | None = getattr(self, part)
        return self.all if chosen is None else chosen
