"""What migrations leave: what is said of those that stay, and why one failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.engine.shell import heredoc
from provision.inventory import App, Hooks
from provision.release import shell
from provision.release.facts import MIGRATIONS, DoneMigration
from provision.release.migration import only_migrating, staying
from provision.run.progress import Progress

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from provision.engine.facts import Fact

OLD, MIDDLE, NEW = "20261120T000000-aaaaaaa", "20261121T000000-bbbbbbb", "20261122T000000-ccccccc"
DONE = (
    DoneMigration("shop", OLD, "from nothing to 0001"),
    DoneMigration("shop", MIDDLE, "from 0001 to 0002"),
    DoneMigration("blog", NEW, "by ./migrate"),
    DoneMigration("shop", NEW, "from 0002 to 0003"),
)


def test_what_later_releases_migrated_stays() -> None:
    start = "shop: no migration is undone; the database stays migrated "
    assert staying("shop", OLD, DONE) == f"{start}from 0001 to 0002 ({MIDDLE}); from 0002 to 0003 ({NEW})"
    assert staying("shop", MIDDLE, DONE) == f"{start}from 0002 to 0003 ({NEW})"
    assert staying("shop", "20261121T120000-ddddddd", DONE) == f"{start}from 0002 to 0003 ({NEW})"
    assert staying("shop", NEW, DONE) == ""
    assert (
        staying("blog", OLD, DONE) == f"blog: no migration is undone; the database stays migrated by ./migrate ({NEW})"
    )
    assert staying("shop", OLD, ()) == ""


def test_the_error_of_a_host_says_what_stays() -> None:
    assert Progress(error="it failed", stays=["shop: migrated from 1 to 2"]).reason == (
        "it failed; this stays: shop: migrated from 1 to 2"
    )
    assert Progress(error="it failed").reason == "it failed"
    assert Progress(stays=["shop: migrated from 1 to 2"]).reason is None


def test_migrations_are_facts_of_a_server(root: Path, call: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    fact: Fact[tuple[DoneMigration, ...]] = MIGRATIONS
    assert fact in roles.FACTS
    folder = root / "var/lib/provision/apps/shop"
    folder.mkdir(parents=True)
    assert call([shell], "migration_facts").stdout == ""
    (folder / "migrations").write_text(f"{OLD}\tby make migrate\n")
    assert call([shell], "migration_facts").stdout == f"migration\tapp=shop\trelease={OLD}\twhat=by make migrate\n"


SQLALCHEMY = """\
INFO  [alembic.runtime.migration] Running upgrade 0001 -> 0002
Traceback (most recent call last):
  File "x.py", line 1, in <module>
psycopg.errors.UndefinedTable: relation "two" does not exist

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
sqlalchemy.exc.ProgrammingError: (psycopg.errors.UndefinedTable) relation "two" does not exist
LINE 1: ALTER TABLE two
DETAIL:  no such table
[SQL: ALTER TABLE two]
(Background on this error at: https://sqlalche.me/e/20/f405)
"""
REASONS = {
    SQLALCHEMY: 'sqlalchemy.exc.ProgrammingError: (psycopg.errors.UndefinedTable) relation "two" does not exist',
    "INFO one\nFAILED: Can't locate revision identified by '0009'\n": "FAILED: Can't locate revision identified by '0009'",
    "one\nno such table\n\n": "no such table",
    "Traceback:\nKeyboardInterrupt\nbye\n": "KeyboardInterrupt",
    "ValueError: a\nrest of it\n": "ValueError: a",
    "": "it printed nothing",
}


@pytest.mark.parametrize(("printed", "reason"), REASONS.items(), ids=REASONS.values())
def test_the_reason_of_a_failed_migration_is_its_last_exception_or_else_its_last_line(
    printed: str, reason: str, call: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    answer = call([shell], heredoc("migration_reason", printed.encode()))
    assert (answer.stdout, answer.returncode) == (f"{reason}\n", 0)


CODE = {
    "code that runs Alembic": ({"app/start.py": "from alembic import command, op\n"}, True),
    "code that has Alembic's settings": ({"app/start.py": "def f():\n    from alembic.config import Config\n"}, True),
    "a script": ({"scripts/prestart.sh": "#!/bin/sh\nalembic upgrade head\n"}, True),
    "migrations": (
        {
            "migrations/env.py": "from alembic.config import Config\n",
            "migrations/versions/one.py": "from alembic import command\n",
        },
        False,
    ),
    "another word": ({"app/alembics.py": "import alembics.config\n", "run.sh": "alembics\n"}, False),
}


@pytest.mark.parametrize(("files", "uses"), CODE.values(), ids=CODE)
@pytest.mark.parametrize("configured", [True, False])
def test_a_release_asks_alembic_as_it_starts_where_its_code_or_a_script_does(
    files: dict[str, str],
    uses: bool,
    configured: bool,
    root: Path,
    call: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    release = root / "srv/shop/releases" / OLD
    for name, text in (files | ({"alembic.ini": ""} if configured else {})).items():
        (release / name).parent.mkdir(parents=True, exist_ok=True)
        (release / name).write_text(text)
    answer = call([shell], heredoc("migration_uses_probe", f"1\tshop\t{OLD}\t.\tno\n".encode()))
    assert answer.stdout == ("1\tuses=yes\n" if uses and configured else "")


def test_a_script_that_only_the_migration_runs_is_no_start(
    root: Path, call: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    release = root / "srv/shop/releases" / OLD
    (release / "scripts").mkdir(parents=True)
    (release / "alembic.ini").touch()
    for name in ("prestart.sh", "other.sh"):
        (release / "scripts" / name).write_text("alembic upgrade head\n")

    def uses(scripts: str) -> bool:
        item = f"1\tshop\t{OLD}\t.\tno\t{scripts}\n"
        return "uses=yes" in call([shell], heredoc("migration_uses_probe", item.encode())).stdout

    assert [uses(""), uses("prestart.sh"), uses("prestart.sh other.sh")] == [True, True, False]


@pytest.mark.parametrize(
    ("migrate", "hooks", "processes", "found"),
    [
        ("bash scripts/prestart.sh", Hooks(), {}, ("prestart.sh",)),
        ("./a.sh && sh b.sh", Hooks(), {}, ("a.sh", "b.sh")),
        ("bash scripts/prestart.sh", Hooks(before="sh scripts/prestart.sh"), {}, ()),
        ("bash scripts/prestart.sh", Hooks(), {"worker": "sh scripts/prestart.sh worker"}, ()),
        (True, Hooks(), {}, ()),
    ],
)
def test_the_scripts_that_only_the_migration_runs(
    migrate: bool | str, hooks: Hooks, processes: dict[str, str], found: tuple[str, ...]
) -> None:
    app = App.model_construct(name="shop", migrate=migrate, hooks=hooks, processes=processes)
    assert only_migrating(app) == found
