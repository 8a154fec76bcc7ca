"""Log lines, request ids, and secrets that stay out of logs."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from sample_app.main import create_app
from sample_app.settings import Settings

Logged = Callable[[], list[dict[str, Any]]]
KEY = "not-to-be-seen-by-anybody-at-all-0123456789"


def fail() -> None:
    password = KEY
    raise RuntimeError(f"failed with a password of {len(password)}")


def test_the_start_is_logged_with_settings_and_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    for environment in ("production", "development"):
        settings = Settings.model_validate(
            {
                "environment": environment,
                "secret_key": KEY,
                "database_url": "postgresql://app:hunter2@db.example/name",
            }
        )
        with TestClient(create_app(settings)):
            pass
        out, err = capsys.readouterr()
        assert "started" in out
        assert "app:***@db.example/name" in out
        assert "hunter2" not in out + err
        assert KEY not in out + err


def test_a_server_logs_json_and_a_developer_reads_lines(
    migrated: Settings, logged: Logged, capsys: pytest.CaptureFixture[str]
) -> None:
    with TestClient(create_app(migrated)):
        pass
    lines = logged()
    assert [line["message"] for line in lines if line["logger"] == "sample_app"] == ["started", "stopped"]
    assert all({"timestamp", "level", "logger"} <= line.keys() for line in lines)

    with TestClient(create_app(Settings())):
        pass
    assert re.search(r"\[info *\] started", capsys.readouterr().out)


def test_a_request_leaves_one_line_with_its_outcome(migrated: Settings, logged: Logged) -> None:
    with TestClient(create_app(migrated)) as client:
        answer = client.get("/api/notes/7?token=hunter2")
    lines = [line for line in logged() if line["message"] == "request"]
    assert len(lines) == 1
    line = lines[0]
    assert (line["method"], line["path"], line["status"]) == ("GET", "/api/notes/7", 404)
    assert line["request_id"] == answer.headers["x-request-id"]
    assert line["duration_ms"] >= 0
    assert "hunter2" not in str(line)


def test_health_checks_are_logged_only_when_debugging(migrated: Settings, logged: Logged) -> None:
    with TestClient(create_app(migrated)) as client:
        client.get("/health")
        client.get("/whoami")
    lines = [(line["path"], line["level"]) for line in logged() if line["message"] == "request"]
    assert lines == [("/health", "debug"), ("/whoami", "info")]


def test_a_sane_request_id_is_kept_and_another_is_replaced(client: TestClient) -> None:
    kept = client.get("/health", headers={"X-Request-ID": "abc-123.DEF_4"})
    assert kept.headers["x-request-id"] == "abc-123.DEF_4"
    for wrong in ("two words", "x" * 129, 'a"b', ""):
        made = client.get("/health", headers={"X-Request-ID": wrong}).headers["x-request-id"]
        assert re.fullmatch("[0-9a-f]{32}", made)


def test_each_request_has_an_id_of_its_own(client: TestClient) -> None:
    ids = {client.get("/health").headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5


def test_an_exception_is_logged_with_its_traceback_and_without_local_variables(
    migrated: Settings, logged: Logged
) -> None:
    app = create_app(migrated)
    app.add_api_route("/fail", fail)
    with TestClient(app) as client:
        logged()
        answer = client.get("/fail")
        lines = logged()
    assert answer.status_code == 500
    assert answer.json() == {"detail": "Internal Server Error"}
    assert KEY not in str(lines)
    errors = [line for line in lines if line["level"] == "error"]
    assert [line["message"] for line in errors] == ["unhandled exception"]
    assert errors[0]["request_id"] == answer.headers["x-request-id"]
    assert errors[0]["exception"][0]["exc_type"] == "RuntimeError"
    assert errors[0]["exception"][0]["frames"][-1]["name"] == "fail"


def test_a_developer_sees_a_traceback_without_local_variables(
    alembic: object, capsys: pytest.CaptureFixture[str]
) -> None:
    app = create_app(Settings())
    app.add_api_route("/fail", fail)
    with TestClient(app) as client:
        assert client.get("/fail").status_code == 500
    out = capsys.readouterr().out
    assert "RuntimeError: failed with a password" in out
    assert KEY not in out


def test_a_closed_websocket_leaves_one_line(migrated: Settings, logged: Logged) -> None:
    with TestClient(create_app(migrated)) as client, client.websocket_connect("/ws"):
        pass
    lines = [line for line in logged() if line["message"] == "request"]
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [("WEBSOCKET", "/ws", 101)]
