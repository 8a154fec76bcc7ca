"""Endpoints for deployment tests: forwarded headers, slow answers, streams, websockets.

Leave this module out of an app of your own.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

router = APIRouter(tags=["diagnostics"])


class Client(BaseModel):
    """What the app knows of a request's client, and of itself."""

    client: str | None
    scheme: str
    host: str
    server: str
    pid: int


class Slept(BaseModel):
    """How long an answer was delayed, in seconds."""

    seconds: float
    pid: int


@router.get("/whoami")
async def whoami(request: Request) -> Client:
    """Who is asking, as the app sees it behind its proxies, and who answers."""
    return Client(
        client=request.client.host if request.client else None,
        scheme=request.url.scheme,
        host=request.headers.get("host", ""),
        server=socket.gethostname(),
        pid=os.getpid(),
    )


@router.get("/slow")
async def slow(seconds: Annotated[float, Query(ge=0, le=30)] = 1.0) -> Slept:
    """Answer after so many seconds."""
    await asyncio.sleep(seconds)
    return Slept(seconds=seconds, pid=os.getpid())


@router.get("/stream")
async def stream(
    lines: Annotated[int, Query(ge=1, le=100)] = 5,
    interval: Annotated[float, Query(ge=0, le=1)] = 0.2,
) -> StreamingResponse:
    """Answer in lines, with an interval in seconds between them."""

    async def numbered() -> AsyncIterator[str]:
        for number in range(1, lines + 1):
            yield f"line {number} of {lines}\n"
            if number < lines:
                await asyncio.sleep(interval)

    headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
    return StreamingResponse(numbered(), media_type="text/plain; charset=utf-8", headers=headers)


@router.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    """Send each text message of a websocket back."""
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        return
