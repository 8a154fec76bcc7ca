"""Whether the app is alive (/health) and able to serve (/ready)."""

import asyncio
import time
from typing import Literal

import structlog
from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel

from sample_app import __version__
from sample_app.database import DatabaseOfApp

log = structlog.stdlib.get_logger("sample_app.health")
router = APIRouter(tags=["health"])

PATIENCE = 3.0


class Health(BaseModel):
    """What runs, and for how long, in seconds."""

    status: Literal["ok"] = "ok"
    version: str
    commit: str
    release: str
    uptime: float


class Readiness(BaseModel):
    """Whether the app can serve."""

    status: Literal["ok", "unavailable"]
    database: Literal["ok", "unreachable"]


@router.head("/health", include_in_schema=False)
@router.get("/health")
async def health(request: Request) -> Health:
    """Say that the app is alive, without asking the database."""
    state = request.app.state
    return Health(
        version=__version__,
        commit=state.settings.commit,
        release=state.settings.release,
        uptime=round(time.monotonic() - state.started, 3),
    )


@router.head("/ready", include_in_schema=False)
@router.get("/ready", responses={503: {"model": Readiness}})
async def ready(database: DatabaseOfApp, response: Response) -> Readiness:
    """Ask the database; 503 if it does not answer in time."""
    try:
        async with asyncio.timeout(PATIENCE):
            await database.ping()
    except Exception as error:
        log.warning("database unreachable", error=type(error).__name__)
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        return Readiness(status="unavailable", database="unreachable")
    return Readiness(status="ok", database="ok")
