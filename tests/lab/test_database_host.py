"""An app whose PostgreSQL is on another host of the inventory: both by one deploy, over TLS, and for the app's servers alone."""

import os
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from provision import lab
from tests.lab.conftest import SUITE, Answer, Controller, https, shell
from tests.lab.database_app import MAIN, MIGRATE
from tests.lab.refusals import lab_values
from tests.lab.repository import Repository

DB, WEB = os.environ.get("PROVISION_TEST_PAIR", "lab1,lab2").split(",")[:2]
APP, DOMAIN, LOGIN = "remote", f"remote.{WEB}.test", "remote_web1"
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


def ask(sql: str, database: str = "postgres") -> list[str]:
    """What the database's server answers its superuser."""
    return shell(DB, f'cd /; runuser -u postgres -- psql -XAtqd {database} -c "{sql}"').splitlines()


def idle(answer: Answer) -> bool:
    """Whether a deploy found both servers right, with two execs each."""
    return all((answer.host(one)["changed"], answer.host(one)["execs"]) == (0, 2) for one in ("db1", "web1"))


def visit() -> str:
    """What the site says to another visit."""
    return https(WEB, "/visits", DOMAIN, "-X", "POST").stdout


def refused(database: str, user: str) -> str:
    """Why PostgreSQL does not let this machine in, which is none of the app's servers."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    words = b"".join(f"{word}\0".encode() for word in ("user", user, "database", database, ""))
    with socket.create_connection((ADDRESS, 5432), timeout=5) as plain:
        plain.sendall(struct.pack(">II", 8, 80877103))
        assert plain.recv(1) == b"S", "it speaks TLS"
        with context.wrap_socket(plain) as secure:
            secure.sendall(struct.pack(">II", len(words) + 8, 196608) + words)
            said: bytes = secure.recv(4096)
    return said.decode(errors="replace")


@pytest.mark.long
def test_the_apps_host_alone_says_that_the_other_one_is_needed(make: Make) -> None:
    answer = make()("deploy", "web1", "--json")
    said = f"{APP}: its database is on db1, which has no login for this host yet: deploy db1 together with it"
    assert (answer.status, answer.host("web1")["error"]) == (1, said)


def test_the_first_deploy_makes_both_and_the_next_changes_nothing(make: Make) -> None:
    answer = make().deploy("both")
    assert f"login:{LOGIN}" in answer.changed("db1")
    assert [visit(), visit()] == ["1", "2"]
    assert https(WEB, "/parts", DOMAIN).stdout == f'["{ADDRESS}","{LOGIN}@{APP}","{{other}}"]'
    assert idle(make().deploy("both"))
    assert ask("select pg_get_userbyid(relowner) from pg_class where relname = 'visits'", APP) == [APP]
    checked = make()("verify", "both", "--json", "--only", "database")
    assert [checked.failing(one) for one in ("db1", "web1")] == [set(), set()]


@pytest.mark.long
def test_each_host_alone_is_right_now(make: Make) -> None:
    for one in ("db1", "web1"):
        answer = make().deploy(one).host(one)
        assert (answer["changed"], answer["execs"], answer["warnings"]) == (0, 2, [])


@pytest.mark.long
def test_no_secret_is_shown_or_kept_where_others_read(make: Make) -> None:
    password = shell(WEB, f"cat /etc/{APP}/database.login")
    shell(WEB, f"rm /etc/{APP}/database.login")
    answers = [make()(task, "both", "--json") for task in ("plan", "deploy")]
    new = shell(WEB, f"cat /etc/{APP}/database.login")
    assert new not in (password, "")
    assert visit().isdigit()
    said = "".join(f"{each.stdout}{each.stderr}" for each in answers)
    assert not [one for one in (password, new, "SCRAM-SHA-256$", "BEGIN PRIVATE KEY") if one in said]
    for server in (DB, WEB):
        found = shell(server, f"grep -rlF -e {new} -e SCRAM-SHA-256 /run/provision /var/lib/provision /var/log || true")
        assert found == "", "in none of the toolkit's own files, and in no log"
    assert shell(DB, f"grep -rlF {new} /etc /var/lib/postgresql || true") == ""
    assert shell(WEB, f"stat -c '%U %a' /etc/{APP}/database.login") == "root 600"


@pytest.mark.long
def test_nobody_else_gets_in(make: Make) -> None:
    with pytest.raises(TimeoutError):
        socket.create_connection((ADDRESS, 5432), timeout=3)
    make(hardening={}).deploy("db1")
    assert "no pg_hba.conf entry for host" in refused(APP, LOGIN)
    assert "no pg_hba.conf entry for host" in refused("postgres", "postgres")
    wrong = f"cd /; ! PGPASSWORD=wrong PGSSLMODE=require runuser -u {APP} -- psql -h {ADDRESS} -U {LOGIN} -d {APP} 2>&1"
    assert "password authentication failed" in shell(WEB, wrong)
    make().deploy("db1")
    assert visit().isdigit()


@pytest.mark.long
def test_another_server_in_its_place_is_not_believed(make: Make) -> None:
    """Its certificate comes from another root."""
    right = shell(WEB, f"cat /etc/{APP}/database.crt")
    shell(
        WEB,
        f"openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=x -out /etc/{APP}/database.crt 2>/dev/null",
    )
    assert https(WEB, "/visits", DOMAIN, "-X", "POST").stdout == "Internal Server Error"
    assert "the_app_reaches_its_database_on_another_host" in make()("verify", "web1", "--json").failing("web1")
    assert f"file:/etc/{APP}/database.crt" in make().deploy("both").changed("web1")
    assert (shell(WEB, f"cat /etc/{APP}/database.crt"), visit().isdigit()) == (right, True)


@pytest.mark.long
def test_what_a_hand_changed_on_its_server_is_put_right(make: Make) -> None:
    ask(f"alter role {LOGIN} nologin")
    ask("alter system set listen_addresses = 'localhost'")
    shell(DB, "chmod 600 /etc/provision/postgresql/server.key; sed -i 1,3d /etc/postgresql/*/main/pg_hba.conf")
    shell(DB, "systemctl restart postgresql")
    alone = make({"workers": 2})("deploy", "web1", "--json")
    assert (alone.status, "deploy db1 together with it" in alone.host("web1")["error"]) == (1, True), alone.stdout
    make().deploy("both")
    assert (idle(make().deploy("both")), visit().isdigit()) == (True, True)


@pytest.mark.long
def test_a_password_that_the_app_prints_is_hidden(make: Make) -> None:
    answer = make({"migrate": "sh -c 'echo at $DATABASE_URL; exit 1'"})("deploy", "both", "--json")
    password = shell(WEB, f"cat /etc/{APP}/database.login")
    assert (answer.status, password in answer.stdout, "at ********" in answer.stdout) == (1, False, True)


@pytest.mark.long
def test_who_leaves_the_inventory_is_let_in_no_more_and_the_data_stays(make: Make) -> None:
    make({}).deploy("db1")
    assert ask("select rolname from pg_roles where rolname not like 'pg_%' order by 1") == ["postgres", APP]
    assert shell(DB, "grep -c ^hostssl.*remote /etc/postgresql/*/main/pg_hba.conf || true") == "0"
    assert shell(DB, "nft list table inet provision | grep -c 5432 || true") == "0"
    assert make({}).deploy("db1").host("db1")["changed"] == 0
    assert make({})("plan", "db1").status == 0
    before = ask("select count(*) from visits", APP)
    make().deploy("both")
    assert (int(visit()) > int(before[0]), idle(make().deploy("both"))) == (True, True)


def test_its_server_becomes_one_of_the_web_too(make: Make, repository: Repository) -> None:
    domain = f"second.{DB}.test"
    own = {"engine": "postgresql", "extensions": ["pg_trgm"]}
    second = WANTED | {"source": repository.url, "domains": [domain], "database": own}
    roles = ["base", "python", "app", "web", "tls"]
    answer = make(roles=roles, apps={"second": second})("deploy", "db1", "--json")
    assert answer.status == 0, answer.host("db1")["error"]
    assert https(DB, "/visits", domain, "-X", "POST").stdout == "1"
    assert visit().isdigit(), "its app's database answers the other server"
    assert make(roles=roles, apps={"second": second}).deploy("db1").host("db1")["changed"] == 0


@pytest.mark.long
def test_an_app_is_removed_with_its_data_from_both(make: Make) -> None:
    assert make()("remove", "both", "--app", APP, "--yes", "--json").status == 0
    assert APP in ask("select datname from pg_database")
    answer = make()("remove", "both", "--app", APP, "--with-data", APP, "--yes", "--json")
    assert (answer.status, APP in ask("select datname from pg_database union select rolname from pg_roles")) == (
        0,
        False,
    )
    assert make({})("remove", "db1", "--yes", "--json").status == 0
    assert shell(DB, "ls /etc/provision/postgresql 2>&1 || true").endswith("No such file or directory")
