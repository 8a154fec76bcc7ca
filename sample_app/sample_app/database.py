"""The connection to SQLite or PostgreSQL."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends
from sqlalchemy import event, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from starlette.requests import HTTPConnection

# Several processes share one SQLite file: readers never wait, and writers wait for one another.
SQLITE_PRAGMAS = (
    "PRAGMA busy_timeout = 5000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
)


def create_engine(url: URL) -> AsyncEngine:
    """An engine, which connects when it is first used."""
    if url.get_backend_name() != "sqlite":
        return create_async_engine(url, pool_pre_ping=True)
    engine = create_async_engine(url)
    event.listen(engine.sync_engine, "connect", _set_pragmas)
    return engine


def _set_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in SQLITE_PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


class Database:
    """The app's engine, and sessions on it."""

    def __init__(self, url: URL) -> None:
        self.engine = create_engine(url)

    def session(self) -> AsyncSession:
        """A session, closed at the end of the request."""
        return AsyncSession(self.engine, expire_on_commit=False)

    async def ping(self) -> None:
        """Raise an error unless the database answers."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


def _database(connection: HTTPConnection) -> Database:
    database = connection.app.state.database
    assert isinstance(database, Database)
    return database


DatabaseOfApp = Annotated[Database, Depends(_database)]


async def _session(database: DatabaseOfApp) -> AsyncIterator[AsyncSession]:
    async with database.session() as session:
        yield session


Session = Annotated[AsyncSession, Depends(_session)]
