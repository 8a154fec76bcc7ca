"""/health and /ready."""

from pathlib import Path

from fastapi.testclient import TestClient

from sample_app import __version__
from sample_app.main import create_app
from sample_app.settings import Settings


def test_health_says_what_runs_and_for_how_long(client: TestClient) -> None:
    first = client.get("/health").json()
    assert first["status"] == "ok"
    assert (first["version"], first["commit"], first["release"]) == (__version__, "abc1234", "r1")
    assert 0 <= first["uptime"] < 30
    assert client.get("/health").json()["uptime"] >= first["uptime"]


def test_ready_asks_the_database(client: TestClient) -> None:
    answer = client.get("/ready")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "database": "ok"}


def test_without_a_database_the_app_is_healthy_and_not_ready(tmp_path: Path) -> None:
    settings = Settings.model_validate({"database_url": f"sqlite:///{tmp_path}/missing/app.db"})
    with TestClient(create_app(settings)) as client:
        assert client.get("/health").status_code == 200
        answer = client.get("/ready")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unavailable", "database": "unreachable"}


def test_monitors_may_ask_with_head(client: TestClient) -> None:
    for path in ("/", "/health", "/ready"):
        answer = client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")
