"""Activation on several hosts."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from provision.inventory.model import Model


def _batch(value: object) -> object:
    text = str(value)
    if not (re.fullmatch(r"[1-9]\d{0,3}", text) or re.fullmatch(r"[1-9]\d?%|100%", text)):
        raise ValueError(f'"{text}" is not a batch; write a number of hosts such as 2, or a percentage such as 25%')
    return text if text.endswith("%") else int(text)


class Rollout(Model):
    """How a release is activated on several hosts."""

    batch: Annotated[int | str, BeforeValidator(_batch)] = Field(
        default=1,
        description="Hosts to activate at a time: a number, or a percentage such as 25%.",
        examples=[1],
    )
    on_failure: Literal["rollback", "stop"] = Field(
        default="rollback",
        description="What to do if a release fails on one host. rollback: the hosts that already run it go back to their"
        " previous release; stop: they keep it. Hosts that do not run it yet stay untouched. A host that cannot be reached before"
        " the first change stops all of them, unless --skip-unreachable is given.",
        examples=["rollback"],
    )

    def size(self, hosts: int) -> int:
        """The number of hosts in a batch, at least 1, if there are `hosts` in all."""
        if isinstance(self.batch, int):
            return self.batch
        return max(1, hosts * int(self.batch.removesuffix("%")) // 100)
