"""Settings from the environment and from .env files."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from sample_app.settings import Settings

KEY = "k" * 40


def test_a_developer_needs_no_settings() -> None:
    settings = Settings()
    assert settings.environment == "development"
    assert str(settings.database) == "sqlite+aiosqlite:///./sample.db"
    assert (settings.commit, settings.release) == ("unknown", "unknown")


def test_settings_come_from_the_environment_and_then_from_the_env_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("APP_NAME=From the file\nPROVISION_COMMIT=file\nLOG_LEVEL=debug\nOTHER=1\n")
    monkeypatch.setenv("PROVISION_COMMIT", "environment")
    settings = Settings()
    assert settings.app_name == "From the file"
    assert settings.commit == "environment"
    assert settings.log_level == "DEBUG"


def test_the_example_env_file_is_valid_and_names_every_setting_of_a_developer(tmp_path: Path) -> None:
    example = (Path(__file__).parents[1] / ".env.example").read_text()
    (tmp_path / ".env").write_text(example)
    Settings()
    named = {line.split("=")[0].lower() for line in example.splitlines() if "=" in line and line[0] != "#"}
    assert named == set(Settings.model_fields) - {"commit", "release"}


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgresql://u:p@db/name", "postgresql+asyncpg://u:p@db/name"),
        ("postgres://u:p@db/name", "postgresql+asyncpg://u:p@db/name"),
        ("postgresql+asyncpg://u:p@db:5433/name", "postgresql+asyncpg://u:p@db:5433/name"),
        ("postgresql://u:p%40%2F@db/name", "postgresql+asyncpg://u:p%40%2F@db/name"),
        ("postgresql://u@db/name?sslmode=require", "postgresql+asyncpg://u@db/name?ssl=require"),
        ("sqlite:////srv/data/app.db", "sqlite+aiosqlite:////srv/data/app.db"),
    ],
)
def test_a_plain_database_url_gets_an_async_driver(given: str, used: str) -> None:
    settings = Settings.model_validate({"database_url": given})
    assert settings.database.render_as_string(hide_password=False) == used


@pytest.mark.parametrize("url", ["mysql://u:hunter2@db/name", "hunter2", "postgresql://u:hunter2@db:port/name"])
def test_a_wrong_database_url_says_what_to_write_and_not_the_password(url: str) -> None:
    with pytest.raises(ValidationError, match="postgresql") as failure:
        Settings.model_validate({"database_url": url})
    assert "hunter2" not in str(failure.value)


@pytest.mark.parametrize("environment", ["staging", "production"])
@pytest.mark.parametrize("key", ["for-development-only", "hunter2"])
def test_outside_development_a_weak_secret_key_is_refused_and_not_shown(environment: str, key: str) -> None:
    with pytest.raises(ValidationError, match=f"SECRET_KEY must be set in {environment}") as failure:
        Settings.model_validate({"environment": environment, "secret_key": key})
    assert "hunter2" not in str(failure.value)
    assert Settings.model_validate({"environment": environment, "secret_key": KEY}).environment == environment


def test_masked_settings_keep_what_is_useful_and_hide_what_is_secret() -> None:
    masked = Settings.model_validate(
        {"database_url": "postgresql://app:hunter2@db/name?password=hunter2", "secret_key": KEY}
    ).masked()
    assert masked["database_url"] == "postgresql+asyncpg://app:***@db/name?password=hidden"
    assert "hunter2" not in str(masked)
    assert KEY not in str(masked)
    assert masked["environment"] == "development"
