"""One id and one log line for each request."""

import re
import time
import uuid

import structlog
from fastapi.encoders import jsonable_encoder
from fastapi.exception_handlers import request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.stdlib.get_logger("sample_app.requests")

SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
QUIET = frozenset({"/health", "/ready"})


class RequestLog:
    """ASGI middleware: binds the request's id to all its log lines, returns it, and logs the outcome.

    An exception ends here: logged with its traceback, answered with 500.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return

        started = time.perf_counter()
        request_id = _request_id(Headers(scope=scope))
        status: int | None = None

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            elif message["type"] == "websocket.accept":
                status = 101
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, answer)
            except Exception:
                log.exception("unhandled exception", path=scope["path"])
                if status is not None or scope["type"] != "http":
                    raise
                response = JSONResponse({"detail": "Internal Server Error"}, status_code=500)
                await response(scope, receive, answer)
            finally:
                quiet = scope["path"] in QUIET and status == 200
                (log.debug if quiet else log.info)(
                    "request",
                    method=scope.get("method", "WEBSOCKET"),
                    path=scope["path"],
                    status=status,
                    duration_ms=round((time.perf_counter() - started) * 1000, 1),
                    client=scope["client"][0] if scope.get("client") else None,
                )


async def refuse(request: Request, error: Exception) -> JSONResponse:
    """FastAPI's answer to an invalid request, without the input if JSON cannot represent it, such as NaN."""
    assert isinstance(error, RequestValidationError)
    try:
        return await request_validation_exception_handler(request, error)
    except ValueError:
        detail = [{key: value for key, value in one.items() if key != "input"} for one in error.errors()]
        return JSONResponse({"detail": jsonable_encoder(detail)}, status_code=422)


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if SANE_ID.fullmatch(given) else uuid.uuid4().hex
