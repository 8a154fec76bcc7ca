"""An app whose PostgreSQL is on another host of the inventory: both by one deploy, over TLS, and for the app's servers alone."""

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision import lab
from tests.lab.conftest import SUITE, Answer, Controller, https, shell
from tests.lab.database_app import MAIN, MIGRATE
from tests.lab.refusals import lab_values
from tests.lab.repository import Repository

DB, WEB = os.environ.get("PROVISION_TEST_PAIR", "lab1,lab2").split(",")
APP, DOMAIN, LOGIN = "remote", f"remote.{WEB}.test", f"remote_{WEB}"
ADDRESS = f"10.213.0.{10 + int(DB.removeprefix('lab'))}"
WANTED: dict[str, Any] = {
    "python": "system",
    "module": "main:app",
    "domains": [DOMAIN],
    "workers": 1,
    "migrate": "python migrate.py",
    "health": {"watch": 0},
    "database": {"host": "db1", "extensions": ["pg_trgm"]},
    "environment": {"SERVER": "{database.host}", "WHO": "{database.user}@{database.name}", "SAID": "{other}"},
}
Make = Callable[..., Controller]
"""Makes an inventory: changes to the app, and to the host of its database."""
USERS = "cd /; runuser -u postgres -- psql -XAtqc"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    made = Repository.create("remote", tmp_path_factory.mktemp("remote") / "work")
    yield made
    made.remove()


@pytest.fixture(scope="module")
def make(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Inventories for the app and its database, on two servers that were bare."""
    repository.commit(
        {"main.py": MAIN, "migrate.py": MIGRATE, "requirements.txt": "fastapi==0.165.0\npsycopg[binary]\n"}
    )
    for server in (DB, WEB):
        lab.reset(server, SUITE, used=True)
    folder = tmp_path_factory.mktemp("inventory")

    def written(app: dict[str, Any] | None = None, **database: Any) -> Controller:
        content = lab_values()
        apps = {} if app == {} else {APP: WANTED | {"source": repository.url} | (app or {})}
        web, db = (content["hosts"][one] for one in (WEB, DB))
        content["hosts"] = {
            "web1": web | {"apps": apps, "groups": ["both"]},
            "db1": db | {"roles": ["base"], "groups": ["both"], "hardening": {"firewall": True}} | database,
        }
        path = folder / "remote.yml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return Controller(path)

    return written


def ask(sql: str) -> list[str]:
    """What the database's server answers its superuser."""
    return shell(DB, f'cd /; runuser -u postgres -- psql -XAtqc "{sql}"').splitlines()


def idle(answer: Answer) -> bool:
    """Whether a deploy found both servers right, with two execs each."""
    return all((answer.host(one)["changed"], answer.host(one)["execs"]) == (0, 2) for one in ("db1", "web1"))


def test_the_first_deploy_makes_both_and_the_next_changes_nothing(make: Make) -> None:
    answer = make().deploy("both")
    assert f"login:{LOGIN.replace(WEB, 'web1')}" in answer.changed("db1")
    assert [https(WEB, "/visits", DOMAIN, "-X", "POST").stdout for _ in range(2)] == ["1", "2"]
    assert https(WEB, "/parts", DOMAIN).stdout == f'["{ADDRESS}","{APP}_web1@{APP}","{{other}}"]'
    assert idle(make().deploy("both"))
    assert ask(f"select distinct pg_get_userbyid(relowner) from pg_class where relname = 'visits'") == []
    assert make()("verify", "both", "--json", "--only", "database").failing("web1") == set()
