"""PostgreSQL's settings: what suits a server, and what is planned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provision.engine.resource import State
from provision.errors import InventoryError
from provision.resources.postgresql_settings import PostgresSettings, same
from provision.roles.database import connections, suiting

if TYPE_CHECKING:
    from tests.unit.tables import MakeHost

GIB = 1024**3
WANTED = PostgresSettings((("jit", "off"),), (("shared_buffers", "512MB"), ("max_connections", "100")))
THERE = {"installed": "yes", "answers": "yes"}
RIGHT = (
    {"name": "jit", "set": "off"},
    {"name": "shared_buffers", "set": "500MB"},
    {"name": "max_connections", "set": "100"},
)


@pytest.mark.parametrize(
    ("memory", "shared", "cache", "work"),
    [
        (GIB // 2, "128MB", "384MB", "4MB"),
        (4 * GIB, "1024MB", "3072MB", "10MB"),
        (64 * GIB, "16384MB", "49152MB", "163MB"),
    ],
)
def test_memory_is_shared_out(memory: int, shared: str, cache: str, work: str) -> None:
    found = suiting(memory, 4, 100)
    assert (found["shared_buffers"], found["effective_cache_size"], found["work_mem"]) == (shared, cache, work)


@pytest.mark.parametrize(("kept", "allowed"), [(0, 100), (90, 100), (91, 150), (240, 250), (241, 300), (5000, 500)])
def test_there_are_connections_for_all_that_apps_keep(kept: int, allowed: int) -> None:
    assert connections(kept) == allowed


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("512MB", "500MB", True),
        ("512MB", "400MB", False),
        ("1GB", "1024MB", True),
        ("on", "off", False),
        ("a,b", "a, b", True),
    ],
)
def test_sizes_within_a_tenth_are_the_same(one: str, other: str, expected: bool) -> None:
    assert same(one, other) is expected


def test_a_server_that_is_right_is_left_alone() -> None:
    assert WANTED.plan(State.of(THERE, {"ours": "yes"}, *RIGHT), {}) is None


def test_without_postgresql_all_of_them_are_planned() -> None:
    change = WANTED.plan(State(), {})
    assert change
    assert change.summary == "PostgreSQL: set shared_buffers, max_connections, jit"
    assert change.script == "postgresql_set shared_buffers=512MB max_connections=100 jit=off"


def test_somebody_elses_postgresql_has_what_the_inventory_says_and_no_more() -> None:
    change = WANTED.plan(State.of(THERE), {})
    assert change
    assert change.script == "postgresql_set jit=off"


def test_what_somebody_set_in_a_file_stays() -> None:
    change = WANTED.plan(State.of(THERE, {"ours": "yes"}, {"hand": "shared_buffers"}), {})
    assert change
    assert change.script == "postgresql_set max_connections=100 jit=off"


def test_what_the_inventory_no_longer_has_is_reset_where_the_toolkit_set_it() -> None:
    state = State.of(
        THERE,
        {"ours": "yes"},
        *RIGHT,
        {"name": "work_mem", "set": "9MB"},
        {"name": "port", "set": "1"},
        {"noted": "work_mem"},
    )
    change = WANTED.plan(state, {})
    assert change
    assert (change.summary, change.script) == ("PostgreSQL: reset work_mem", "postgresql_set -work_mem")


def test_a_restart_is_made_before_there_is_data_and_waits_afterwards() -> None:
    pending = State.of(THERE, {"ours": "yes"}, *RIGHT, {"pending": "shared_buffers"})
    change = WANTED.plan(pending, {})
    assert change
    assert change.summary == "PostgreSQL: restart it for shared_buffers"
    with_data = State.of(THERE, {"ours": "yes"}, {"data": "yes"}, *RIGHT, {"pending": "shared_buffers"})
    assert WANTED.plan(with_data, {}) is None
    (finding,) = WANTED.findings(with_data, {})
    assert finding.what.startswith("PostgreSQL has not taken over shared_buffers yet")


def test_a_postgresql_that_does_not_answer_is_not_planned_for() -> None:
    assert WANTED.plan(State.of({"installed": "yes"}), {}) is None


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("parameters: {port: 5433}", "port is where PostgreSQL is found"),
        ("parameters: {Work: 1}", '"Work" is not a setting of PostgreSQL'),
        ("memory: lots", '"lots" is not an amount of memory for PostgreSQL'),
    ],
)
def test_what_cannot_be_set_is_refused(make_host: MakeHost, written: str, said: str) -> None:
    with pytest.raises(InventoryError, match=said):
        make_host(f"hosts: {{web: 192.0.2.1}}\npostgresql: {{{written}}}\n")


def test_numbers_and_truth_values_are_written_as_yaml_has_them(make_host: MakeHost) -> None:
    host = make_host("hosts: {web1: 192.0.2.1}\npostgresql: {parameters: {max_connections: 200, jit: false}}\n")
    assert host.postgresql.parameters == {"max_connections": "200", "jit": "off"}
