"""What is typed and what is said, on a server with two apps: one under systemd, one under Supervisor, both pushed."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from provision import lab
from provision.engine.shell import quote
from tests import calendars
from tests.lab.conftest import LAB, Answer, Controller, https, shell

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab2")
WEB = """
import os

from fastapi import FastAPI

app = FastAPI()
print("the web app begins", flush=True)


@app.get("/health")
async def health():
    return "ok"


@app.get("/commit")
async def commit():
    return os.environ["PROVISION_COMMIT"]


@app.get("/value/{name}")
async def value(name: str):
    return os.environ[name].encode().hex()
"""
SHOW = """
import json
import os
import sys
import time

name = sys.argv[1]
print(f"{name} begins", flush=True)
values = {key: value.encode().hex() for key, value in os.environ.items() if key.startswith("TEST_")}
if name == "run":
    print(json.dumps(values))
else:
    with open(f"/srv/{os.environ['TEST_APP']}/shared/{name}", "w") as file:
        json.dump(values, file)
if name == "worker":
    time.sleep(100000)
"""
ALEMBIC = "[alembic]\nscript_location = migrations\nsqlalchemy.url = sqlite:////srv/shop/shared/shop.db\n"
ENV = """
from alembic import context
from sqlalchemy import create_engine

with create_engine(context.config.get_main_option("sqlalchemy.url")).begin() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
REVISION = """
from alembic import op

revision = {revision!r}
down_revision = {before!r}


def upgrade():
    op.execute({sql!r})
"""
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nqMYwggSiAgEAAoIBAQC7VJTUt9Us8cKB==\n-----END PRIVATE KEY-----\n"
VALUES = {
    "TEST_PEM": PEM,
    "TEST_MARKS": "a'b\"c`d$e\\f%g;h#i!j&k|l<m>n*o?p~q^r{s}t(u)v[w]x y\tz",
    "TEST_NAMES": "${HOME} $HOME `id` $(id) %h %%",
    "TEST_BACKSLASHES": "\\n\\\\ \\$ \\",
    "TEST_LINES": "\n\n one \n  two\n\n",
    "TEST_BLANKS": "  both ends  ",
    "TEST_EMPTY": "",
    "TEST_LETTERS": "żółć 🐍",
}
APP = """
  {name}:
    source: {{push: {checkout}}}
    module: web:app
    python: system
    domains: ["{name}.{{host}}.test"]
    process_manager: {manager}
    workers: 1
    drain: 0
    health: {{path: /health, timeout: 10, watch: 1}}
    env_file: values.env
    environment: {environment}
    migrate: {migrate}
    processes: {{worker: python -m show worker}}
    schedules: {{tick: {{at: "03:00", run: python -m show tick}}}}
    hooks: {{before: python -m show before}}
"""


@dataclass(frozen=True)
class Two:
    """The two apps, both at the commit `first`, from one checkout."""

    controller: Controller
    checkout: Path
    first: str

    def __call__(self, task: str, *options: str) -> Answer:
        return self.controller(task, SERVER, *options)

    def commit(self, branch: str, files: dict[str, str]) -> str:
        """Commit files to a branch that begins at the first commit; the checkout stays."""
        self.git("checkout", "--quiet", "-B", branch, self.first)
        write(self.checkout, files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", branch)
        made = self.git("rev-parse", "HEAD")
        self.git("checkout", "--quiet", "main")
        return made

    def git(self, *arguments: str) -> str:
        """Run git in the checkout, and return what it prints."""
        words = (
            "git",
            "-C",
            str(self.checkout),
            "-c",
            "user.name=tests",
            "-c",
            "user.email=tests@lab.test",
            *arguments,
        )
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def serving(self, app: str) -> str:
        """The commit that answers."""
        return https(SERVER, "/commit", f"{app}.{SERVER}.test").stdout.strip('"')


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files below a folder."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def dotenv(values: dict[str, str]) -> str:
    """The values as an env file has them, in single quotes."""
    quoted = {name: value.replace("\\", "\\\\").replace("'", "\\'") for name, value in values.items()}
    return "".join(f"{name}='{value}'\n" for name, value in quoted.items())


@pytest.fixture(scope="module")
def two(running_lab: None, tmp_path_factory: pytest.TempPathFactory) -> Two:
    folder = tmp_path_factory.mktemp("two")
    checkout, path = folder / "checkout", folder / "two.yml"
    write(
        checkout,
        {
            ".gitignore": "*.local\n.venv\n__pycache__\n",
            "web.py": WEB,
            "show.py": SHOW,
            "requirements.txt": "fastapi==0.165.0\nalembic\n",
            "alembic.ini": ALEMBIC,
            "migrations/env.py": ENV,
            "migrations/versions/one.py": REVISION.format(
                revision="0001", before=None, sql="CREATE TABLE one (id INT)"
            ),
        },
    )
    subprocess.run(("git", "init", "--quiet", "--initial-branch=main", checkout), check=True)
    (folder / "values.env").write_text(dotenv(VALUES))
    text = f"include: {LAB}/lab.yml\napps:\n"
    for name, manager, migrate in (("shop", "systemd", "true"), ("blog", "supervisor", "false")):
        environment = json.dumps({"TEST_APP": name, "TEST_OWN": PEM})
        text += APP.format(name=name, manager=manager, migrate=migrate, checkout=checkout, environment=environment)
    path.write_text(text)
    site = Two(Controller(path), checkout, "")
    site.git("add", "--all")
    site.git("commit", "--quiet", "--message", "first")
    lab.reset(SERVER, used=True)
    site.controller.deploy(SERVER)
    return Two(site.controller, checkout, site.git("rev-parse", "HEAD"))


@pytest.fixture
def dirty(two: Two) -> Iterator[Two]:
    """The checkout with files that are not in its commit."""
    (two.checkout / "web.py").write_text(WEB + "# changed\n")
    write(two.checkout, {"new one.py": "", "settings.local": "", ".venv/x": "", "__pycache__/x": ""})
    write(two.checkout, {f"many/{number}.local": "" for number in range(5)})
    yield two
    two.git("checkout", "--quiet", "--", ".")
    two.git("clean", "-fdxq")


def test_a_plan_of_a_push_names_what_is_not_in_the_commit(dirty: Two) -> None:
    said = f"not in the commit {dirty.first[:7]}, so not deployed: changed web.py; not added new one.py; ignored "
    document = dirty("plan", "--json", "--app", "shop").host(SERVER)
    (note,) = document["notes"]
    assert note.startswith(f"shop: {said}")
    assert "settings.local" in note
    assert not {".venv", "__pycache__"} & set(note.split())
    lines = dirty("plan").stdout.splitlines()
    assert [line.partition(" not in")[0] for line in lines[:2]] == [f"{SERVER} ➜ {app}:" for app in ("shop", "blog")]
    assert "nothing to change" in lines[2]


@pytest.mark.parametrize("app", ["shop", "blog"])
def test_values_are_the_same_byte_for_byte_in_all_that_an_app_runs(two: Two, app: str) -> None:
    expected = {name: value.encode().hex() for name, value in {**VALUES, "TEST_APP": app, "TEST_OWN": PEM}.items()}
    shell(SERVER, {"shop": "systemctl start shop-tick", "blog": "supervisorctl start blog-tick && sleep 1"}[app])
    found = {name: json.loads(shell(SERVER, f"cat /srv/{app}/shared/{name}")) for name in ("worker", "tick", "before")}
    command = [*two.controller.command("run", SERVER, "--app", app), "--", "python", "-m", "show", "run"]
    ran = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    found["run"] = json.loads(ran.stdout.splitlines()[-1])
    found["web"] = {
        name: https(SERVER, f"/value/{name}", f"{app}.{SERVER}.test").stdout.strip('"') for name in expected
    }
    assert found == dict.fromkeys(("worker", "tick", "before", "run", "web"), expected)


def test_the_lines_of_a_value_are_in_no_plan(two: Two) -> None:
    text = two.controller.inventory.read_text()
    two.controller.inventory.write_text(text.replace("BEGIN PRIVATE", "BEGIN OTHER"))
    try:
        answer = two("plan", "--json")
    finally:
        two.controller.inventory.write_text(text)
    assert "file:/etc/shop/env" in answer.changed(SERVER)
    assert not [line for line in PEM.splitlines() if line in answer.stdout]


def test_a_server_takes_the_times_that_the_inventory_takes(two: Two) -> None:
    times = [*calendars.ACCEPTED, *calendars.REFUSED]
    each = " ".join(map(quote, times))
    said = shell(SERVER, f'for at in {each}; do systemd-analyze calendar "$at" >/dev/null 2>&1; echo $?; done').split()
    taken = [at for at, status in zip(times, said, strict=True) if status == "0"]
    assert taken == calendars.ACCEPTED


@pytest.mark.long
def test_a_task_with_app_is_for_that_app_alone(two: Two) -> None:
    second = two.commit("second", {"note": "second"})
    answer = two("deploy", "--app", "blog", "--revision", "second")
    assert answer.status == 0, answer.stdout
    assert f"https://blog.{SERVER}.test/" in answer.stdout
    assert f"https://shop.{SERVER}.test/" not in answer.stdout
    assert (two.serving("shop"), two.serving("blog")) == (two.first, second)
    restarted = two("restart", "--app", "blog", "--json")
    assert [one for one in restarted.changed(SERVER) if one.startswith("activation")] == ["activation:blog"]
    back = two("rollback", "--app", "blog", "--json")
    assert back.status == 0, back.stdout
    assert not [one for one in back.changed(SERVER) if "shop" in one]
    assert (two.serving("shop"), two.serving("blog")) == (two.first, two.first)
    rows = two("releases", "--app", "blog", "--json").host(SERVER)["releases"]
    assert {row["app"] for row in rows} == {"blog"}
    rows = two("status", "--app", "shop", "--json").host(SERVER)["status"]
    assert {row["app"] for row in rows} == {"shop"}


def test_a_release_is_held_and_dropped_for_one_app(two: Two) -> None:
    two.commit("third", {"note": "third"})
    held = two("deploy", "--hold", "--app", "shop", "--revision", "third")
    assert held.status == 0, held.stdout + held.stderr
    assert f"invoke promote --host {SERVER} --app shop" in held.stdout
    assert "blog: nothing is held" not in held.stdout
    assert "no release is held here" in two("promote", "--app", "blog", "--json").host(SERVER)["error"]
    assert two("rollback", "--app", "shop").status == 0
    assert (two.serving("shop"), two.serving("blog")) == (two.first, two.first)


@pytest.mark.parametrize(("app", "pid"), [("shop", r"\[\d+\]"), ("blog", "")])
def test_a_line_of_the_log_has_its_time_and_the_name_of_its_process(two: Two, app: str, pid: str) -> None:
    lines = two("logs", "--app", app, "--lines", "500").stdout.splitlines()
    for name, text in ((r"(blue|green)(_0)?", "the web app begins"), ("worker", "worker begins")):
        pattern = rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ {app}[@-]{name}{pid}: {text}"
        assert [line for line in lines if re.fullmatch(pattern, line)], lines
    assert not [line for line in lines if {"shop": "blog", "blog": "shop"}[app] in line]
    (last,) = two("logs", "--app", app, "--process", "worker", "--lines", "1").stdout.splitlines()
    assert f" {app}-worker" in last


def version(revision: str, before: str | None, sql: str) -> dict[str, str]:
    """A revision of the database, as a file to commit."""
    return {f"migrations/versions/{revision}.py": REVISION.format(revision=revision, before=before, sql=sql)}


def test_a_migration_that_fails_says_why_in_its_line(two: Two) -> None:
    two.commit("clash", version("0002", "0001", "CREATE TABLE one (id INT)"))
    host = two("deploy", "--app", "shop", "--revision", "clash", "--json").host(SERVER)
    assert "shop: the migration failed: alembic upgrade head: sqlalchemy.exc.OperationalError: " in host["error"]
    assert "table one already exists" in host["error"]
    assert two.serving("shop") == two.first


@pytest.mark.long
def test_a_migration_that_stays_is_named_where_its_release_fails_and_where_one_goes_back(two: Two) -> None:
    broken = "raise SystemExit(3)\n" + WEB
    two.commit("broken", {**version("0002", "0001", "CREATE TABLE two (id INT)"), "guard.py": broken})
    text = two.controller.inventory.read_text()
    failing = text.replace("before: python -m show before", "before: python -m guard", 1)
    two.controller.inventory.write_text(failing)
    try:
        host = two("deploy", "--app", "shop", "--revision", "broken", "--json").host(SERVER)
    finally:
        two.controller.inventory.write_text(text)
    assert host["error"].endswith("; this stays: shop: migrated from 0001 to 0002"), host["error"]
    assert "shop: migrated from 0001 to 0002" in host["notes"]
    assert two.serving("shop") == two.first
    third = two.commit("migrated", version("0002", "0001", "CREATE TABLE two (id INT)") | {"note": "migrated"})
    notes = two("deploy", "--app", "shop", "--revision", "migrated", "--json").host(SERVER)["notes"]
    assert (two.serving("shop"), [note for note in notes if "migrated from" in note]) == (third, [])
    line = f"{SERVER} ➜ shop: no migration is undone; the database stays migrated from 0001 to 0002 ("
    assert two("rollback", "--plan", "--app", "shop").stdout.startswith(line)


@pytest.mark.long
def test_a_rollback_to_what_would_ask_alembic_for_a_revision_that_it_does_not_know_is_refused(two: Two) -> None:
    text = two.controller.inventory.read_text()
    asking = text.replace("before: python -m show before", "before: alembic current", 1)
    two.controller.inventory.write_text(asking)
    try:
        for branch, files in (
            ("asks", {"note": "asks"}),
            ("later", version("0002", "0001", "CREATE TABLE three (id INT)") | {"note": "later"}),
        ):
            made = two.commit(branch, files)
            assert two("deploy", "--app", "shop", "--revision", branch, "--json").status == 0
        host = two("rollback", "--app", "shop", "--json").host(SERVER)
        assert "shop: the database is at revision 0002, which " in host["error"]
        assert host["error"].endswith("go back with alembic downgrade (invoke run) first, or add --force")
        assert two.serving("shop") == made
        forced = two("rollback", "--app", "shop", "--force", "--json").host(SERVER)
        assert "revision:shop" not in [each["id"] for each in forced["changes"]]
    finally:
        two.controller.inventory.write_text(text)


# Ends the script that asks: the shell that has started the shell that runs this.
ENDS = r"#!/bin/sh\nkill -9 \$(awk '/^PPid/{print \$2}' /proc/\$PPID/status)"


def test_an_answer_that_is_cut_off_is_an_error(two: Two) -> None:
    shell(SERVER, f'printf "{ENDS}" >/usr/local/bin/apt-get; chmod 755 /usr/local/bin/apt-get')
    try:
        cut = two.controller("status", SERVER, "--json")
    finally:
        shell(SERVER, "rm /usr/local/bin/apt-get")
    assert cut.status == 1
    assert "the answer has no end" in cut.stdout
    assert two.controller("status", SERVER, "--json").status == 0
