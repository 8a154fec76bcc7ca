"""Structured logs on one stream: JSON on servers, coloured lines in development."""

import logging
import sys
from typing import TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.types import Processor

from sample_app.settings import Settings

SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(settings: Settings, stream: TextIO | None = None) -> None:
    """Send the log records of the app, the server and the libraries to `stream` (default: stdout), in one format."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(settings)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    for name in ("uvicorn", "uvicorn.error"):
        _hand_over(name, propagate=True)
    _hand_over("uvicorn.access", propagate=False)
    logging.getLogger("aiosqlite").setLevel(logging.INFO)


def _renderers(settings: Settings) -> list[Processor]:
    # Neither renderer shows local variables in tracebacks: they can hold secrets.
    if settings.environment == "development":
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), exception_formatter=plain)]
    traceback = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
    return [traceback, structlog.processors.EventRenamer("message"), structlog.processors.JSONRenderer()]


def _hand_over(name: str, *, propagate: bool) -> None:
    logger = logging.getLogger(name)
    logger.handlers = []
    logger.propagate = propagate
