"""A host gets a Python for each app whose Python the inventory leaves open, from what its server and its commit say."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING

from provision.controller.commit_files import Commit, CommitFiles
from provision.inventory import Source
from provision.inventory.python import DEFAULT
from provision.release.settings import settings
from provision.run.gather import with_pythons
from tests.unit.tables import COMMIT, HOST, SHOP, TWO, keep

if TYPE_CHECKING:
    from provision.inventory import Host
    from provision.release.facts import ServerRelease
    from tests.unit.tables import MakeFacts, MakeHost

PROJECT = '[project]\nname = "shop"\nrequires-python = "{}"\n'


def committed(wanted: str, commit: str = COMMIT) -> dict[str, Future[Commit]]:
    """The app shop's commit, whose files were read."""
    files = CommitFiles(frozenset({"pyproject.toml"}), {"pyproject.toml": PROJECT.format(wanted)})
    found: Future[Commit] = Future()
    source = Source(repository="https://git.example.com/shop.git")
    found.set_result(Commit(source, commit, lambda _: True, _read=[files]))
    return {"shop": found}


def served(host: Host, version: str) -> tuple[ServerRelease, ...]:
    """The release of COMMIT, which runs on this Python."""
    app = host.apps["shop"]
    ran = app.model_copy(update={"python": app.python.model_copy(update={"version": version})})
    (one,) = keep("active")
    return (replace(one, commit=COMMIT, settings=settings(ran)),)


def test_a_python_of_the_inventorys_stays_as_it_is(make_host: MakeHost, make_known: MakeFacts) -> None:
    for written in ('"3.12.1"', "system"):
        host = make_host(f"{HOST}apps:\n{SHOP[:-2]}, python: {written}}}\n")
        assert with_pythons(host, make_known().facts, committed(">=3.14")) == (host, ())


def test_a_new_app_gets_what_its_commit_allows_and_another_the_default(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    host, (note,) = with_pythons(make_host(TWO), make_known().facts, committed("<3.13"))
    assert (host.apps["shop"].python.version, host.apps["blog"].python.version) == ("3.12.13", DEFAULT)
    assert note == 'shop: Python 3.12.13: requires-python "<3.13" of pyproject.toml, the newest that pyenv knows'


def test_what_serves_stays_and_a_commit_that_has_run_is_not_read_again(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    host = make_host(f"{HOST}apps:\n{SHOP}")
    facts = make_known(releases=served(host, "3.12.1")).facts
    found, notes = with_pythons(host, facts, committed(">=3.11", "f" * 40))
    assert (found.apps["shop"].python.version, len(notes)) == ("3.12.1", 1)
    found, notes = with_pythons(host, facts, committed("what is not asked for"))
    assert (found.apps["shop"].python.version, notes) == ("3.12.1", ())
    found, notes = with_pythons(host, facts, {})
    assert (found.apps["shop"].python.version, notes) == ("3.12.1", ())


def test_a_commit_that_allows_what_serves_no_more_gets_another(make_host: MakeHost, make_known: MakeFacts) -> None:
    host = make_host(f"{HOST}apps:\n{SHOP}")
    facts = make_known(releases=served(host, "3.12.1")).facts
    found, _ = with_pythons(host, facts, committed(">=3.14", "f" * 40))
    assert found.apps["shop"].python.version == "3.14.4"


def test_options_of_the_build_stay(make_host: MakeHost, make_known: MakeFacts) -> None:
    host = make_host(f"{HOST}apps:\n{SHOP[:-2]}, python: {{optimized: true}}}}\n")
    found, _ = with_pythons(host, make_known().facts, committed("<3.13"))
    assert found.apps["shop"].python.name == "3.12.13-optimized"


def test_a_commit_that_cannot_be_read_from_here_leaves_it_to_the_server(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    host = make_host(f"{HOST}apps:\n{SHOP}")
    commits = committed("")
    commits["shop"].result()._read[:] = [None]
    found, notes = with_pythons(host, make_known().facts, commits)
    assert found.apps["shop"].python.version == DEFAULT
    assert notes == (f"shop: Python {DEFAULT}: the default, as the commit's files cannot be read from this machine",)
