"""Commands that run at set times."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from provision.inventory import cron
from provision.inventory.calendar_event import calendar_event
from provision.inventory.fields import Command
from provision.inventory.model import Model

Time = Annotated[str, AfterValidator(calendar_event)]


def daily(at: str) -> str:
    """A time as systemd's OnCalendar writes it: 03:00 means daily."""
    return f"*-*-* {at}:00" if re.fullmatch(r"\d{1,2}:\d{2}", at) else at


class Schedule(Model):
    """A command that runs at set times, in the active release."""

    at: Time = Field(
        description="When to run: 03:00 means daily; otherwise a calendar expression as in systemd.time(7).",
        examples=["03:00"],
    )
    run: Command = Field(description="The command to run.", examples=["python -m shop.cleanup"])

    @property
    def calendar(self) -> str:
        """The times as systemd's OnCalendar writes them."""
        return daily(self.at)

    @property
    def cron(self) -> str:
        """The times as the five fields of crontab(5). Raises ValueError for what cron cannot do."""
        return cron.five_fields(self.at)
