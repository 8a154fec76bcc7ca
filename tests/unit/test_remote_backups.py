"""Backups of databases whose apps are on other hosts: where they are made, and which host restores them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.engine.resource import State
from provision.errors import PlanError, UsageError
from provision.inventory import Inventory, load
from provision.inventory.remote import clients
from provision.release import backups
from provision.release.backups import backed_up_databases, program
from provision.release.database_login import Databases
from provision.release.recovery import Moment, RestoredDatabase
from provision.tasks.options import having
from tests.unit.tables import ids

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from provision.roles.backups import Only
    from tests.unit.tables import MakeFacts

INVENTORY = """\
backups: {repository: /srv/backups, passphrase: correct-horse-battery}
hosts:
  web1: {address: 10.0.0.10, groups: [web]}
  web2: {address: 10.0.0.11, groups: [web]}
  db1: {address: 10.0.0.20, roles: [base]}
  other: {address: 10.0.0.30, roles: [base]}
groups:
  web:
    apps:
      shop:
        source: https://git.example.com/shop.git
        module: shop.main:app
        domains: [shop.example.com]
        database: {host: db1, check: select 1}
"""
SERVED = RestoredDatabase("shop", Moment(), "db1", "db1", "shop_before_1", served=True, restart=("web1", "web2"))


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    path = tmp_path / "prod.yml"
    path.write_text(INVENTORY)
    return load(path, {})


def wanted(inventory: Inventory, host: str, *others: str, app: str = "shop") -> dict[str, Any]:
    return {
        "app": app,
        "clients": clients(inventory.hosts.values(), host),
        "others": frozenset((host, *others)),
    }


def test_the_host_of_the_databases_backs_them_up_and_no_other(inventory: Inventory, make_known: MakeFacts) -> None:
    assert [backed_up_databases(host) for host in inventory.hosts.values()] == [[], [], ["shop"], []]
    facts, wants = make_known(wanted=wanted(inventory, "db1"))
    found = ids(roles.server(inventory.hosts["db1"], facts, wants))
    assert found.index("database:shop") < found.index("packages:backups") < found.index("archive:postgresql")
    assert "backups:none" in ids(roles.server(inventory.hosts["web1"], *make_known()))
    assert not [each for each in ids(roles.server(inventory.hosts["other"], *make_known())) if "backup" in each]


def test_who_has_databases_of_others_no_more_backs_up_nothing(inventory: Inventory, make_known: MakeFacts) -> None:
    known = make_known(databases=Databases(serves=True))
    assert "backups:none" in ids(roles.server(inventory.hosts["other"], *known))


def test_the_drill_knows_which_apps_have_no_user_there(inventory: Inventory) -> None:
    text = program(inventory.hosts["db1"])
    assert "backups_apps=shop\nbackups_served=shop\n" in text
    assert "shop) printf '%s' 'select 1' ;;" in text


def test_a_restore_says_who_is_to_begin_anew() -> None:
    change = SERVED.plan(State.of({"role": "ours"}), {})
    assert change
    *_, last = lines = change.script.splitlines()
    assert lines[:2] == ["backups_stanza=db1", "backups_served=shop"]
    assert "invoke restart --host NAME --app shop, for web1 and web2, begins with new ones" in last


@pytest.mark.parametrize(
    ("served", "state", "said"),
    [
        (SERVED, {"user": "yes"}, "shop: this server has a user of this name, who is somebody else"),
        (
            RestoredDatabase("shop", Moment(before="20260501T020000-abc1234"), "db1", "db1", "kept", served=True),
            {},
            "no point before a migration is noted: name a time with --at",
        ),
    ],
)
def test_what_cannot_be_restored_there_is_refused(served: RestoredDatabase, state: dict[str, str], said: str) -> None:
    with pytest.raises(PlanError, match=re.escape(said)):
        served.plan(State.of({"role": "ours"}, state), {})


@pytest.mark.parametrize(
    ("host", "others", "only", "found"),
    [
        ("db1", (), "", ["restored-database:shop", "backups:settled"]),
        ("db1", ("web1",), "", ["restored-database:shop", "backups:settled"]),
        ("db1", ("web1",), "shared", []),
        ("web1", ("db1",), "database", []),
    ],
)
def test_each_host_restores_what_it_has(
    inventory: Inventory, make_known: MakeFacts, host: str, others: tuple[str, ...], only: Only, found: list[str]
) -> None:
    facts, wants = make_known(wanted=wanted(inventory, host, *others))
    made = roles.restored(Moment(), only=only)(inventory.hosts[host], facts, wants)
    assert [each for each in ids(made) if not each.startswith("memory")] == found
    told = [one.restart for one in made if isinstance(one, RestoredDatabase)]
    assert told == ([tuple(each for each in ("web1", "web2") if each not in others)] if told else [])


@pytest.mark.parametrize(
    ("host", "only", "said"),
    [
        (
            "web1",
            "",
            "web1: the database of shop is on db1: name db1 with --host, or a group of both, or add --only shared",
        ),
        ("db1", "shared", "db1: no app that is meant has anything that is backed up"),
    ],
)
def test_a_host_alone_says_what_it_has_not(
    inventory: Inventory, make_known: MakeFacts, host: str, only: Only, said: str
) -> None:
    facts, wants = make_known(wanted=wanted(inventory, host))
    with pytest.raises(PlanError, match=re.escape(said)):
        roles.restored(Moment(), only=only)(inventory.hosts[host], facts, wants)


def test_a_restore_of_an_app_takes_the_host_of_its_database_along(inventory: Inventory) -> None:
    hosts = tuple(inventory.hosts.values())
    assert [host.name for host in having("shop", "prod", hosts)] == ["web1", "web2"]
    assert [host.name for host in having("shop", "prod", hosts, serving=True)] == ["web1", "web2", "db1"]
    with pytest.raises(UsageError, match='other has no app "shop"'):
        having("shop", "other", hosts[3:], serving=True)


def test_an_app_that_has_no_user_gets_one_for_a_moment_and_no_other_is_taken(
    call: Callable[..., Any], stand_in: Callable[[str, str], Path], owners: object, root: Path
) -> None:
    stand_in("systemd-run", f'echo "$*" >>{root}/arguments; cat')
    stand_in(
        "id",
        'if [ -e "$(dirname "$0")/person" ]; then echo 1000; elif [ -e "$(dirname "$0")/moment" ]; then echo 65000; else exit 1; fi',
    )
    asked = f"PATH={root}/bin:$PATH; backups_served='blog shop'; echo rows | recovery_as shop pg_restore -l"
    for each in ("", "moment"):
        if each:
            (root / "bin" / each).touch()
        ran = call([backups], asked)
        assert (ran.returncode, ran.stdout) == (0, "rows\n"), ran.stdout + ran.stderr
    words = (root / "arguments").read_text()
    assert all(f"-p {one} " in words for one in ("DynamicUser=yes", "User=shop", "PrivateNetwork=yes"))
    (root / "bin" / "person").touch()
    (root / "arguments").unlink()
    ran = call([backups], asked)
    assert (ran.returncode, (root / "arguments").exists()) == (1, False)
    assert "this server has a user of this name, who is somebody else" in ran.stdout + ran.stderr
