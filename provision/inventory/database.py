"""An app's database."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from provision.inventory.fields import Command, Name, Whole, distinct, matching
from provision.inventory.model import Model, loaded

SOCKET, PORT = "/run/postgresql", 5432

Driver = Annotated[
    str, matching(r"[a-z][a-z0-9]{1,20}", '"{}" is not a driver of SQLAlchemy; write for example asyncpg')
]
Extension = Annotated[
    str, matching(r"[a-z][a-z0-9_-]{0,60}", '"{}" is not an extension of PostgreSQL; write for example pg_trgm')
]


@dataclass(frozen=True, slots=True)
class Access:
    """How an app on one server logs in to its database on another. `root` is the path of the certificate that the other's must come from, and
    `certificate` what is in it (PEM).
    """

    user: str
    root: str
    certificate: str = field(repr=False)
    password: str = field(repr=False)


class Database(Model):
    """A PostgreSQL database of the app's own, on its server or on another `host` of the inventory. A plain string is the engine.

    On its own server, the app's user logs in over the Unix socket, as itself: there is no password, and no other user of the server gets in.
    """

    shorthand: ClassVar[str] = "engine"

    engine: Literal["postgresql"] = Field(
        default="postgresql",
        description="The distribution's PostgreSQL. `DATABASE_URL` in the app's environment leads to the database.",
        examples=["postgresql"],
    )
    host: Name | None = Field(
        default=None,
        description="The host of this inventory whose PostgreSQL has the database, and which gets PostgreSQL by being named here. The app's"
        " servers, and no others, reach it over TLS, each with a password of its own. If omitted: the app's own server.",
        examples=["db1"],
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

    address: str = loaded("")
    """Where that host is reached."""
    access: Access | None = loaded(None)
    """How the app's server logs in there, once both have been asked."""

    def parts(self, app: str) -> dict[str, str]:
        """How the app of this name reaches its database: host (the socket's folder, or the other host's address), port, user, name, url, and
        on another host password. Nothing if that is not known yet.
        """
        scheme = f"{self.engine}+{self.driver}" if self.driver else self.engine
        if self.host:
            return self._remote(app, scheme, self.access) if self.access else {}
        url = f"{scheme}://{app}@/{app}?host={SOCKET}"
        return {"host": SOCKET, "port": str(PORT), "user": app, "name": app, "url": url}

    def variables(self, app: str) -> dict[str, str]:
        """The variables that the app has without asking for them."""
        url = self.parts(app).get("url")
        # asyncpg takes the path of a certificate from here only: SQLAlchemy hands no other words of a URL on to it.
        root = {"PGSSLROOTCERT": self.access.root} if self.access and self.driver == "asyncpg" else {}
        return {"DATABASE_URL": url, **root} if url else {}

    def _remote(self, app: str, scheme: str, access: Access) -> dict[str, str]:
        at = f"[{self.address}]" if ":" in self.address else self.address
        checks = "ssl=verify-full" if self.driver == "asyncpg" else f"sslmode=verify-full&sslrootcert={access.root}"
        return {
            "host": self.address,
            "port": str(PORT),
            "user": access.user,
            "name": app,
            "password": access.password,
            "url": f"{scheme}://{access.user}:{access.password}@{at}:{PORT}/{app}?{checks}",
        }
