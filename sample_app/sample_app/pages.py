"""The page at /."""

import socket
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

from sample_app import __version__
from sample_app.database import Session
from sample_app.models import TITLE_LENGTH
from sample_app.notes import BODY_LENGTH, newest

router = APIRouter(include_in_schema=False)
templates = Jinja2Templates(Path(__file__).parent / "templates")

NOTES_SHOWN = 20
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}


@router.head("/")
@router.get("/")
async def index(request: Request, session: Session) -> HTMLResponse:
    """The page with the newest notes."""
    settings = request.app.state.settings
    notes, total = await newest(session, limit=NOTES_SHOWN)
    context = {
        "settings": settings,
        "version": __version__,
        "host": socket.gethostname(),
        "notes": notes,
        "total": total,
        "title_length": TITLE_LENGTH,
        "body_length": BODY_LENGTH,
    }
    return templates.TemplateResponse(request, "index.html", context, headers=HEADERS)
