"""Databases of apps: what is planned, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.engine.resource import State
from provision.errors import PlanError
from provision.resources.postgresql import PostgresConnections, PostgresDatabase
from tests.unit.tables import HOST, SHOP, ids

if TYPE_CHECKING:
    from tests.unit.tables import MakeFacts, MakeHost

DATABASE = PostgresDatabase("shop", ("pg_trgm",))
OURS = {"role": "ours"}
WHOLE = State.of(OURS, {"owner": "shop"}, {"extension": "plpgsql"}, {"extension": "pg_trgm"})


def test_a_database_that_is_right_is_left_alone() -> None:
    assert DATABASE.plan(WHOLE, {}) is None


@pytest.mark.parametrize(
    ("state", "steps", "arguments"),
    [
        (State(), "create it, add pg_trgm", "shop pg_trgm"),
        (State.of(OURS), "create it, add pg_trgm", "shop pg_trgm"),
        (State.of(OURS, {"owner": "shop"}), "add pg_trgm", "shop pg_trgm"),
        (State((*WHOLE, ("open=yes",))), "let no other role in", "shop"),
        (State((*WHOLE, ("closed=yes",))), "let the app in again", "shop"),
    ],
    ids=["nothing", "a run that was killed", "no extension", "open to all", "closed by a restore that was killed"],
)
def test_what_is_missing_is_made(state: State, steps: str, arguments: str) -> None:
    change = DATABASE.plan(state, {})
    assert change
    assert (change.summary, change.script) == (
        f"PostgreSQL's database shop: {steps}",
        f"postgresql_make {arguments}",
    )


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"role": "theirs"}, "a role of this name that is somebody else's"),
        ({"role": "ours", "owner": "ann"}, "a database of this name that belongs to ann"),
        ({"owner": "ann\x1b"}, r"a database of this name that belongs to ann\\x1b"),
    ],
)
def test_what_is_somebody_elses_is_refused(state: dict[str, str], said: str) -> None:
    with pytest.raises(PlanError, match=f"shop: PostgreSQL has {said}"):
        DATABASE.plan(State.of(state), {})


@pytest.mark.parametrize(("free", "level"), [("97", "ok"), ("69", "warn"), ("70", "ok")])
def test_connections_are_added_up_and_more_than_there_are_is_a_warning(free: str, level: str) -> None:
    wanted = PostgresConnections((("shop", 50), ("blog", 20)))
    (finding,) = wanted.findings(State.of({"free": free}), {})
    assert (finding.level, "shop 50, blog 20" in finding.what) == (level, True)
    assert wanted.findings(State(), {}) == ()
    assert wanted.plan(State.of({"free": free}), {}) is None


def test_both_releases_of_an_app_and_its_processes_have_connections(make_host: MakeHost, make_known: MakeFacts) -> None:
    text = f"{HOST}apps:\n{SHOP[:-2]}, workers: 3, processes: {{mail: python -m mail}}, database: {{engine: postgresql, pool: 7}}}}\n"
    (found,) = (one for one in roles.everything(make_host(text), *make_known()) if isinstance(one, PostgresConnections))
    assert found.wanted == (("shop", 7 * (2 * 3 + 1)),)


def test_an_app_has_one_if_the_inventory_says_so(make_host: MakeHost, make_known: MakeFacts) -> None:
    text = f"{HOST}apps:\n{SHOP[:-2]}, database: {{engine: postgresql, extensions: [pg_trgm]}}}}\n"
    found = ids(roles.server(make_host(text), *make_known()))
    assert found.count("database:shop") == 1
    assert found.index("packages:postgresql") < found.index("service:postgresql") < found.index("database:shop")
    plain = ids(roles.server(make_host(f"{HOST}apps:\n{SHOP}"), *make_known()))
    assert not [each for each in plain if "postgresql" in each or each.startswith("database")]
