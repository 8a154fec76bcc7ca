"""The app: `sample_app.main:app`."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

from sample_app import __version__, diagnostics, health, logs, notes, pages
from sample_app.database import Database
from sample_app.requests import RequestLog, refuse
from sample_app.settings import Settings

log = structlog.stdlib.get_logger("sample_app")

LARGEST_BODY = 64 * 1024


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Start logging and the database, and close the database at the end."""
    settings: Settings = app.state.settings
    logs.configure(settings)
    app.state.started = time.monotonic()
    app.state.database = Database(settings.database)
    log.info("started", version=__version__, settings=settings.masked())
    try:
        yield
    finally:
        await app.state.database.close()
        log.info("stopped")


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make the app with these settings; by default, with those of the environment."""
    settings = settings or Settings()
    # FastAPI's documentation pages load scripts from other sites: they are for development only.
    docs = settings.environment == "development"
    app = FastAPI(
        title=settings.app_name,
        version=__version__,
        lifespan=lifespan,
        docs_url="/docs" if docs else None,
        redoc_url=None,
    )
    app.state.settings = settings
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=LARGEST_BODY)
    app.add_middleware(RequestLog)
    app.add_exception_handler(RequestValidationError, refuse)
    for module in (health, notes, pages, diagnostics):
        app.include_router(module.router)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    return app


app = create_app()
