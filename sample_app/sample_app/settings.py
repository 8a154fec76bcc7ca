"""Settings from the environment, or from a .env file in the working directory."""

from typing import Any, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
DEVELOPMENT_KEY = "for-development-only"
SHORTEST_KEY = 32


class Settings(BaseSettings):
    """The app's settings; README.md describes them."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    app_name: str = "Sample app"
    environment: Literal["development", "staging", "production"] = "development"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    database_url: SecretStr = SecretStr("sqlite+aiosqlite:///./sample.db")
    secret_key: SecretStr = SecretStr(DEVELOPMENT_KEY)
    commit: str = Field(default="unknown", validation_alias="PROVISION_COMMIT")
    release: str = Field(default="unknown", validation_alias="PROVISION_RELEASE")

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _with_async_driver(cls, value: SecretStr) -> SecretStr:
        try:
            url = make_url(value.get_secret_value())
        except (ArgumentError, ValueError):
            raise ValueError("not a database URL; write sqlite:///PATH or postgresql://...") from None
        if url.drivername not in DRIVERS:
            raise ValueError(f"unknown database {url.drivername!r}; use sqlite or postgresql")
        url = url.set(drivername=DRIVERS[url.drivername])
        if "sslmode" in url.query and url.get_backend_name() == "postgresql":
            # libpq's name for what asyncpg calls ssl
            mode = url.query["sslmode"]
            url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
        return SecretStr(url.render_as_string(hide_password=False))

    @model_validator(mode="after")
    def _key_is_secret(self) -> Self:
        key = self.secret_key.get_secret_value()
        if self.environment != "development" and (key == DEVELOPMENT_KEY or len(key) < SHORTEST_KEY):
            raise ValueError(
                f"SECRET_KEY must be set in {self.environment}, to at least {SHORTEST_KEY} characters: "
                'python3 -c "import secrets; print(secrets.token_urlsafe(48))"'
            )
        return self

    @property
    def database(self) -> URL:
        return make_url(self.database_url.get_secret_value())

    def masked(self) -> dict[str, Any]:
        """All settings, safe to log: secrets and the database password are hidden."""
        hidden = {name: "hidden" for name in self.database.query if "password" in name}
        url = self.database.update_query_dict(hidden).render_as_string(hide_password=True)
        return {**self.model_dump(mode="json"), "database_url": url}
