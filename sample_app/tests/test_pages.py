"""The page, its static files, and the documentation pages."""

import re
from pathlib import Path

from fastapi.testclient import TestClient

import sample_app
from sample_app.main import create_app
from sample_app.settings import Settings


def test_the_page_shows_what_runs_and_the_notes(client: TestClient) -> None:
    client.post("/api/notes", json={"title": "Milk", "body": "two litres"})
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for text in (sample_app.__version__, "abc1234", "r1", "production", "Milk", "two litres"):
        assert text in page.text


def test_the_page_escapes_what_people_write(client: TestClient) -> None:
    client.post("/api/notes", json={"title": "<script>alert(1)</script>"})
    page = client.get("/").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_page_says_when_it_shows_only_the_newest(client: TestClient) -> None:
    for number in range(21):
        client.post("/api/notes", json={"title": f"note {number}."})
    page = client.get("/").text
    assert "The newest 20 of 21" in page
    assert "note 20." in page
    assert "note 0." not in page


def test_all_that_the_page_loads_is_its_own_and_there(client: TestClient) -> None:
    page = client.get("/")
    loaded = re.findall(r'(?:src|<link[^>]* href)="([^"]+)"', page.text)
    assert len(loaded) == 4
    for address in loaded:
        assert address.startswith("/static/")
        assert "abc1234" in address
        assert client.get(address).status_code == 200
    assert page.headers["content-security-policy"].startswith("default-src 'self';")
    package = Path(sample_app.__file__).parent
    for path in [*package.glob("static/*"), *package.glob("templates/*")]:
        assert "//" not in path.read_text().replace("http://www.w3.org/2000/svg", "")


def test_a_static_file_is_checked_for_change(client: TestClient) -> None:
    first = client.get("/static/style.css")
    assert first.headers["content-type"].startswith("text/css")
    again = client.get("/static/style.css", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304


def test_a_static_path_cannot_leave_its_folder(client: TestClient) -> None:
    assert client.get("/static/..%2fmain.py").status_code == 404


def test_the_api_pages_are_for_development(client: TestClient) -> None:
    assert client.get("/docs").status_code == 404
    assert client.get("/openapi.json").json()["info"]["title"] == "Sample app"
    with TestClient(create_app(Settings())) as developer:
        assert developer.get("/docs").status_code == 200
