"""Fixtures: an app of its own for each test, with a database that is migrated."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from fastapi.testclient import TestClient
from pydantic import SecretStr

from sample_app.main import create_app
from sample_app.settings import Settings

ROOT = Path(__file__).parents[1]
VARIABLES = (
    "APP_NAME",
    "ENVIRONMENT",
    "LOG_LEVEL",
    "DATABASE_URL",
    "SECRET_KEY",
    "PROVISION_COMMIT",
    "PROVISION_RELEASE",
)
KEY = SecretStr("k" * 40)


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the variables, .env files and log handlers of one test from the next."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level


@pytest.fixture
def alembic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/test.db")
    return Config(ROOT / "alembic.ini")


@pytest.fixture
def migrated(alembic: Config) -> Settings:
    """Settings for an app whose database is migrated."""
    command.upgrade(alembic, "head")
    return Settings(environment="production", secret_key=KEY, log_level="DEBUG", commit="abc1234", release="r1")


@pytest.fixture
def client(migrated: Settings) -> Iterator[TestClient]:
    """A client of the app, which is started and ended with it."""
    with TestClient(create_app(migrated)) as client:
        yield client


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    """Returns the JSON log lines written to stdout since the last call."""

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return lines
