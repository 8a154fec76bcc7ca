"""The server's PostgreSQL."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from provision.inventory.fields import Text, Whole, matching
from provision.inventory.model import Model

MIB = 1024**2
SIZES = {"M": MIB, "G": 1024 * MIB}
FIXED = frozenset(
    ("config_file", "data_directory", "external_pid_file", "hba_file", "ident_file", "port", "unix_socket_directories")
)
Size = Annotated[
    str, matching(r"[1-9]\d{0,5}[MG]", '"{}" is not an amount of memory for PostgreSQL; write for example 512M or 2G')
]
Setting = Annotated[
    str, matching(r"[a-z][a-z0-9_.]{1,62}", '"{}" is not a setting of PostgreSQL; write for example max_connections')
]
Value = Annotated[Text, matching(r"[ -~]{0,1000}", "a setting of PostgreSQL is one line of plain text")]


class PostgreSQL(Model):
    """PostgreSQL on a server whose apps have a `database`. Where the toolkit installed it, it is set up by the server's memory and processors."""

    memory: Size | None = Field(
        default=None,
        description="How much of the server's memory PostgreSQL plans with, its cache of files included. If omitted: half of it, or all"
        " of it where the host has no apps.",
        examples=["2G"],
    )
    parameters: dict[Setting, Value] = Field(
        default_factory=dict,
        description="More settings, or other values for those that the toolkit sets, as PostgreSQL writes them. One that needs a restart waits"
        " for the next one where apps have data already: the plan says so.",
        examples=[{"max_connections": "200", "log_min_duration_statement": "500ms"}],
    )

    @field_validator("parameters", mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        """YAML's numbers and truth values as text."""
        if not isinstance(value, dict):
            return value
        words = {True: "on", False: "off"}
        return {
            key: words[each] if isinstance(each, bool) else str(each) if isinstance(each, int | float) else each
            for key, each in value.items()
        }

    @field_validator("parameters")
    @classmethod
    def _movable(cls, value: dict[str, str]) -> dict[str, str]:
        fixed = sorted(value.keys() & FIXED)
        if fixed:
            raise ValueError(
                f"{fixed[0]} is where PostgreSQL is found, and stays as the distribution has it; remove it"
            )
        return value

    def bytes(self, memory: Whole) -> int:
        """How much memory it plans with, on a server that has `memory`; both in bytes."""
        return int(self.memory[:-1]) * SIZES[self.memory[-1]] if self.memory else memory // 2
