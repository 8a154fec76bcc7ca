"""An app's database."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from provision.inventory.fields import Command, Whole, distinct, matching
from provision.inventory.model import Model

SOCKET = "/run/postgresql"

Driver = Annotated[
    str, matching(r"[a-z][a-z0-9]{1,20}", '"{}" is not a driver of SQLAlchemy; write for example asyncpg')
]
Extension = Annotated[
    str, matching(r"[a-z][a-z0-9_-]{0,60}", '"{}" is not an extension of PostgreSQL; write for example pg_trgm')
]


class Database(Model):
    """A PostgreSQL database of the app's own, on its server. A plain string is the engine.

    The app's user logs in over the Unix socket, as itself: there is no password, and no other user of the server gets in.
    """

    shorthand: ClassVar[str] = "engine"

    engine: Literal["postgresql"] = Field(
        description="The distribution's PostgreSQL. `DATABASE_URL` in the app's environment leads to the database.",
        examples=["postgresql"],
    )
    driver: Driver | None = Field(
        default=None,
        description="The driver in `DATABASE_URL`, as SQLAlchemy has it: with asyncpg, it begins with postgresql+asyncpg://. If omitted: none.",
        examples=["asyncpg"],
    )
    extensions: Annotated[list[Extension], AfterValidator(distinct)] = Field(
        default_factory=list,
        description="Extensions that the database has. Debian's PostgreSQL brings those of PostgreSQL itself; `packages` of the host those"
        " of others.",
        examples=[["pg_trgm"]],
    )

    pool: Annotated[Whole, Field(ge=1, le=1000)] = Field(
        default=5,
        description="How many connections each process of the app keeps, as its pool is set up (SQLAlchemy's pool_size). A plan warns where"
        " all of them are more than PostgreSQL allows: during a deploy two releases run.",
        examples=[5],
    )

    check: Annotated[Command, matching("[^;]+", "write one query without a semicolon; it is asked as it is")] | None = (
        Field(
            default=None,
            description="A query that a drill of `backups` asks the restored database, as the app. Its answer must not be empty, f or 0.",
            examples=["select count(*) from orders"],
        )
    )

    def parts(self, app: str) -> dict[str, str]:
        """How the app of this name reaches its database: host (the socket's folder), port, user, name, and url."""
        scheme = f"{self.engine}+{self.driver}" if self.driver else self.engine
        url = f"{scheme}://{app}@/{app}?host={SOCKET}"
        return {"host": SOCKET, "port": "5432", "user": app, "name": app, "url": url}
