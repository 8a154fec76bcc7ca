"""Runs the migrations on the database that the app's settings name."""

import asyncio
import sys

from alembic import context
from sqlalchemy.engine import Connection

from sample_app import logs
from sample_app.database import create_engine
from sample_app.models import Model
from sample_app.settings import Settings

settings = Settings()
logs.configure(settings, stream=sys.stderr)


def run(connection: Connection | None) -> None:
    url = None if connection else settings.database
    context.configure(
        connection=connection,
        url=url,
        literal_binds=connection is None,
        target_metadata=Model.metadata,
        compare_type=True,
        render_as_batch=settings.database.get_backend_name() == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


async def run_online() -> None:
    engine = create_engine(settings.database)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run)
            await connection.commit()
    finally:
        await engine.dispose()


if context.is_offline_mode():
    run(None)
else:
    asyncio.run(run_online())
