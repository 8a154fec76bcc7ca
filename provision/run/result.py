"""What became of a host."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from provision.engine.resource import Change, Ref

Status = Literal["ok", "changed", "failed", "unreachable"]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a host; it has many fields because the JSON document shows them all.

    `ok`, `changed`, `failed` and `skipped` count resources; `execs` counts SSH exec requests; `seconds` is wall
    time. `took` has the seconds of each change that was made, `previews` the token of each app's previewed release,
    `notices` what changes had to tell the user, `warnings` what the plan found that changes nothing and may matter. A `stranger` answers,
    and does not let the inventory's user in, or is not known.
    """

    host: str
    status: Status
    ok: int = 0
    changed: int = 0
    failed: int = 0
    skipped: int = 0
    execs: int = 0
    seconds: float = 0.0
    releases: Mapping[str, str] = field(default_factory=dict)
    previews: Mapping[str, str] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    took: Mapping[Ref, float] = field(default_factory=dict)
    error: str | None = None
    output: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    stranger: bool = False
