"""The notes at /api/notes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response, status
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from sample_app.database import Session
from sample_app.models import TITLE_LENGTH, Note

router = APIRouter(prefix="/api/notes", tags=["notes"])

BODY_LENGTH = 4000
LARGEST_INTEGER = 2**31 - 1


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not hold a NUL character")
    return value


Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=TITLE_LENGTH),
    AfterValidator(_no_nul),
]
Prose = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=BODY_LENGTH),
    AfterValidator(_no_nul),
]


class NoteIn(BaseModel):
    """A note as a client sends it."""

    model_config = ConfigDict(extra="forbid")

    title: Line
    body: Prose = ""


class NoteOut(BaseModel):
    """A note as a client gets it."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    title: str
    body: str
    created_at: datetime


class NotesOut(BaseModel):
    """A page of notes, and the number of all notes."""

    model_config = ConfigDict(from_attributes=True)

    items: list[NoteOut]
    total: int
    limit: int
    offset: int


async def newest(session: AsyncSession, *, limit: int, offset: int = 0) -> tuple[Sequence[Note], int]:
    """A page of notes, newest first, and the number of all notes."""
    total = await session.scalar(select(func.count()).select_from(Note))
    notes = await session.scalars(select(Note).order_by(Note.id.desc()).limit(limit).offset(offset))
    return notes.all(), total or 0


@router.post("", status_code=status.HTTP_201_CREATED)
async def create(note: NoteIn, session: Session, request: Request, response: Response) -> NoteOut:
    """Keep a note."""
    row = Note(title=note.title, body=note.body)
    session.add(row)
    await session.commit()
    response.headers["Location"] = request.app.url_path_for("get_note", note_id=row.id)
    return NoteOut.model_validate(row)


@router.get("")
async def list_notes(
    session: Session,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    offset: Annotated[int, Query(ge=0, le=LARGEST_INTEGER)] = 0,
) -> NotesOut:
    """A page of notes, newest first."""
    notes, total = await newest(session, limit=limit, offset=offset)
    items = [NoteOut.model_validate(note) for note in notes]
    return NotesOut(items=items, total=total, limit=limit, offset=offset)


@router.get("/{note_id}")
async def get_note(note_id: Annotated[int, Path(ge=1, le=LARGEST_INTEGER)], session: Session) -> NoteOut:
    """One note; 404 if there is none with this id."""
    row = await session.get(Note, note_id)
    if row is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "no such note")
    return NoteOut.model_validate(row)
