"""The notes over HTTP, and SQLite under several workers."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from sample_app.main import create_app
from sample_app.settings import Settings


def test_a_created_note_is_found_where_its_location_says(client: TestClient) -> None:
    created = client.post("/api/notes", json={"title": " Milk ", "body": "two litres"})
    assert created.status_code == 201
    note = created.json()
    assert (note["title"], note["body"]) == ("Milk", "two litres")
    assert client.get(created.headers["location"]).json() == note


def test_a_note_keeps_its_time_in_utc(client: TestClient) -> None:
    note_id = client.post("/api/notes", json={"title": "Milk"}).json()["id"]
    created_at = datetime.fromisoformat(client.get(f"/api/notes/{note_id}").json()["created_at"])
    assert created_at.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - created_at) < timedelta(minutes=1)


def test_the_list_is_newest_first_and_comes_in_pages(client: TestClient) -> None:
    for number in range(5):
        client.post("/api/notes", json={"title": f"note {number}"})
    page = client.get("/api/notes", params={"limit": 2, "offset": 1}).json()
    assert [note["title"] for note in page["items"]] == ["note 3", "note 2"]
    assert (page["total"], page["limit"], page["offset"]) == (5, 2, 1)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "offset=-1", f"offset={2**63}"])
def test_a_page_outside_the_limits_is_refused(client: TestClient, query: str) -> None:
    assert client.get(f"/api/notes?{query}").status_code == 422


def test_an_unknown_note_is_not_found(client: TestClient) -> None:
    answer = client.get("/api/notes/12345")
    assert answer.status_code == 404
    assert answer.json() == {"detail": "no such note"}


@pytest.mark.parametrize("note_id", ["0", "-1", "x", str(2**31), str(2**64)])
def test_what_cannot_be_an_id_is_refused(client: TestClient, note_id: str) -> None:
    assert client.get(f"/api/notes/{note_id}").status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        "[]",
        "not json",
        '{"title": "  "}',
        '{"title": null}',
        '{"title": NaN}',
        '{"title": "nul \\u0000"}',
        '{"title": "half a pair \\ud800"}',
        '{"title": "x", "colour": "red"}',
        '{"title": "' + "x" * 121 + '"}',
        '{"title": "x", "body": "' + "x" * 4001 + '"}',
    ],
)
def test_a_wrong_note_is_refused_and_not_kept(client: TestClient, body: str) -> None:
    answer = client.post("/api/notes", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert client.get("/api/notes").json()["total"] == 0


def test_a_body_too_large_is_refused(client: TestClient) -> None:
    answer = client.post("/api/notes", json={"title": "x", "body": "x" * 70_000})
    assert answer.status_code == 413


def test_workers_share_one_sqlite_file(migrated: Settings) -> None:
    with TestClient(create_app(migrated)) as one, TestClient(create_app(migrated)) as other:

        def write(worker: TestClient) -> list[int]:
            return [worker.post("/api/notes", json={"title": "x"}).status_code for _ in range(30)]

        with ThreadPoolExecutor() as pool:
            statuses = [status for result in pool.map(write, (one, other, one, other)) for status in result]
        assert statuses == [201] * 120
        assert one.get("/api/notes").json()["total"] == other.get("/api/notes").json()["total"] == 120


def test_sqlite_is_in_wal_mode_and_waits_for_its_lock(migrated: Settings) -> None:
    app = create_app(migrated)

    async def pragma(name: str) -> object:
        async with app.state.database.engine.connect() as connection:
            return (await connection.execute(text(f"PRAGMA {name}"))).scalar()

    with TestClient(app) as client:
        assert client.portal is not None
        assert client.portal.call(pragma, "journal_mode") == "wal"
        assert client.portal.call(pragma, "busy_timeout") == 5000
        assert client.portal.call(pragma, "foreign_keys") == 1
