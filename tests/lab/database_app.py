"""An app that counts visits in PostgreSQL, by the inventory alone."""

from collections.abc import Callable

import pytest

from provision import lab
from tests.lab.conftest import SUITE, Controller, https, shell
from tests.lab.refusals import APP, DOMAIN, SERVER, Declared
from tests.lab.repository import Repository

pytest_plugins = ("tests.lab.refusals",)

MAIN = """\
import os

import psycopg
from fastapi import FastAPI

app = FastAPI()
VERSION = "first"


def ask(sql):
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        return connection.execute(sql).fetchone()[0]


@app.get("/health")
def health():
    return ask("select 1")


@app.get("/commit")
def commit():
    ask("select count(*) from visits")
    return os.environ["PROVISION_COMMIT"]


@app.get("/version")
def version():
    return VERSION


@app.get("/parts")
def parts():
    return [os.environ[name] for name in ("SERVER", "WHO", "SAID")]


@app.get("/composed")
def composed():
    # As apps do that have no DATABASE_URL: a URL of parts, whose host cannot be a folder.
    from pydantic import PostgresDsn
    from sqlalchemy import create_engine, text

    url = PostgresDsn.build(
        scheme="postgresql+psycopg", username=os.environ["DB_USER"], password="none", host="localhost", port=5432, path=os.environ["DB_NAME"]
    )
    with create_engine(str(url)).connect() as connection:
        return connection.execute(text("select current_user")).scalar()


@app.post("/visits")
def visit():
    return ask("insert into visits default values returning id")


@app.get("/visits")
def visits():
    return ask("select count(*) from visits")
"""
MIGRATE = """\
import os

import psycopg

with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    connection.execute("create table if not exists visits (id serial primary key)")
    connection.execute("select similarity('word', 'words')")
"""
WANTED = {
    "python": "system",
    "database": {"engine": "postgresql", "extensions": ["pg_trgm"]},
    "environment": {
        "SERVER": "{database.host}",
        "WHO": "{database.user}@{database.name}",
        "SAID": "{other}",
        "DB_USER": "{database.user}",
        "DB_NAME": "{database.name}?host={database.host}",
    },
    "migrate": "python migrate.py",
    "health": {"watch": 0},
}
Make = Callable[..., Controller]
"""Makes an inventory: the keys of `postgresql`, and changes to the app."""


@pytest.fixture(scope="module")
def make(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Inventories for the app, on a server that was bare."""
    requirements = "fastapi==0.165.0\npsycopg[binary]\nsqlalchemy\n"
    repository.commit({"main.py": MAIN, "migrate.py": MIGRATE, "requirements.txt": requirements})
    lab.reset(SERVER, SUITE, used=True)
    declared = Declared(tmp_path_factory.mktemp("inventory"), repository)
    return lambda postgresql=None, **changes: declared(WANTED | changes, postgresql=postgresql or {})


def visit(*options: str) -> str:
    """What the site says of its visits."""
    return https(SERVER, "/visits", DOMAIN, *options).stdout


def ask(sql: str) -> list[str]:
    """What PostgreSQL answers its superuser."""
    return shell(SERVER, f'cd /; runuser -u postgres -- psql -XAtqc "{sql}"').splitlines()


def visits(count: int) -> list[str]:
    """So many visits, each a row with the next number."""
    return [visit("-X", "POST") for _ in range(count)]


def sql(query: str, database: str = APP) -> str:
    """What PostgreSQL answers its superuser."""
    return shell(SERVER, f'cd /; runuser -u postgres -- psql -XAtqc "{query}" {database}')
