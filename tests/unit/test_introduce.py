"""Apps and the hosts that have their databases get to know each other, by what both have said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.controller import database_access
from provision.controller.redact import Mask
from provision.errors import PlanError
from provision.inventory import Inventory, load
from provision.inventory.remote import clients
from provision.release.database_login import DATABASES, Databases, Login
from provision.resources.egress import Egress
from provision.resources.file import File
from provision.resources.postgresql_clients import PostgresDoor, PostgresLogin
from provision.resources.postgresql_settings import PostgresSettings
from provision.roles.rehearsal import rehearsed
from provision.run.introduce import Introduction, introduce, needed
from tests.unit.tables import ids

if TYPE_CHECKING:
    from pathlib import Path

    from provision.engine.facts import Facts
    from tests.unit.tables import MakeFacts

INVENTORY = """\
hosts:
  web1: {address: 10.0.0.10, groups: [web]}
  web2: {address: 10.0.0.11, groups: [web]}
  db1: {address: 10.0.0.20, roles: [base], hardening: {firewall: true}}
  other: {address: 10.0.0.30}
groups:
  web:
    apps:
      shop:
        source: https://git.example.com/shop.git
        module: shop.main:app
        domains: [shop.example.com]
        database: {host: db1}
"""
FIRST, SECOND = "a" * 43, "b" * 43


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    path = tmp_path / "prod.yml"
    path.write_text(INVENTORY)
    return load(path, {})


def met(inventory: Inventory, said: dict[str, Facts]) -> dict[str, Introduction]:
    return introduce({name: inventory.hosts[name] for name in said}, said, inventory)


def password(one: Introduction) -> str:
    database = one.host.apps["shop"].database
    return database.access.password if database and database.access else ""


def test_only_hosts_that_have_to_do_with_each_other_meet(inventory: Inventory) -> None:
    assert [needed(host, inventory) for host in inventory.hosts.values()] == [True, True, True, False]


def test_at_first_each_server_gets_a_password_and_the_database_only_its_verifier(
    inventory: Inventory, make_known: MakeFacts
) -> None:
    facts, wanted = make_known(wanted={"clients": clients(inventory.hosts.values(), "db1")})
    found = met(inventory, dict.fromkeys(("web1", "web2", "db1"), facts))
    one, two = password(found["web1"]), password(found["web2"])
    assert len({one, two, ""}) == 3
    expected = {"shop_web1": database_access.verifier(one), "shop_web2": database_access.verifier(two)}
    assert found["db1"].verifiers == expected
    assert one not in repr(found)
    resources = roles.server(found["db1"].host, facts, found["db1"].with_(wanted))
    assert all(one not in (each.content if isinstance(each, File) else repr(each)) for each in resources)
    assert Mask(found["web1"].host)(f"at {one}") == "at ********"


def test_what_both_have_is_kept(inventory: Inventory, make_known: MakeFacts) -> None:
    certificate = database_access.certificate("10.0.0.20")
    web = make_known(databases=Databases({"shop": Login(FIRST, certificate.root)})).facts
    db = make_known(databases=Databases(serves=True, certificate=certificate)).facts
    found = met(inventory, {"web1": web, "db1": db})
    assert password(found["web1"]) == FIRST
    assert found["db1"].certificate == certificate
    assert found["db1"].verifiers == {"shop_web1": database_access.verifier(FIRST)}


def test_an_app_alone_knows_what_its_server_knows(inventory: Inventory, make_known: MakeFacts) -> None:
    known = make_known(databases=Databases({"shop": Login(SECOND, "root")}))
    found = met(inventory, {"web1": known.facts})["web1"]
    assert (password(found), set(found.others)) == (SECOND, {"web1"})
    stranger = met(inventory, {"web1": make_known().facts})["web1"]
    with pytest.raises(
        PlanError, match="shop: its database is on db1, which has no login for this host yet: deploy db1"
    ):
        roles.everything(stranger.host, *make_known())


def test_a_new_certificate_needs_all_who_trust_the_old_one(inventory: Inventory, make_known: MakeFacts) -> None:
    facts, wanted = make_known(databases=Databases(serves=True))
    alone = met(inventory, {"db1": facts, "web1": make_known().facts})["db1"]
    with pytest.raises(PlanError, match=r"a new certificate, .*: deploy web2 together with it"):
        alone.with_(wanted)
    everybody = met(inventory, {"db1": facts, "web1": facts, "web2": facts})["db1"]
    assert everybody.with_(wanted).certificate == everybody.certificate


def test_a_host_has_postgresql_by_being_named(inventory: Inventory, make_known: MakeFacts) -> None:
    facts, wanted = make_known(wanted={"clients": clients(inventory.hosts.values(), "db1")})
    found = met(inventory, {"db1": facts, "web1": make_known().facts})["db1"]
    resources = roles.server(found.host, facts, found.with_(wanted))
    assert [
        each for each in ids(resources) if each.startswith(("database", "login", "clients", "packages:postgresql"))
    ] == [
        "packages:postgresql",
        "database:shop",
        "login:shop_web1",
        "login:shop_web2",
        "clients:postgresql",
        "logins:postgresql",
    ]
    (door,) = (each for each in resources if isinstance(each, PostgresDoor))
    assert door.lines == (
        'hostssl "shop" "shop_web1" 10.0.0.10/32 scram-sha-256\nhostssl "shop" "shop_web2" 10.0.0.11/32 scram-sha-256\n'
    )
    known = [bool(each.login.verifier) for each in resources if isinstance(each, PostgresLogin)]
    assert known == [True, False], "web2 has not been asked"


def test_who_is_let_in_no_more_leaves_nothing(inventory: Inventory, make_known: MakeFacts) -> None:
    other = inventory.hosts["other"]
    assert not [each for each in ids(roles.server(other, *make_known())) if each.startswith("clients")]
    known = make_known(databases=Databases(serves=True))
    (door,) = (each for each in roles.server(other, *known) if isinstance(each, PostgresDoor))
    assert (door.logins, known.facts[DATABASES].serves) == ((), True)


def test_an_app_with_limits_to_where_it_connects_reaches_its_database(tmp_path: Path, make_known: MakeFacts) -> None:
    path = tmp_path / "prod.yml"
    text = INVENTORY.replace("{host: db1}", "{host: db1}\n        egress: {to: [NETWORK]}").replace(
        "groups: [web]}", "groups: [web], hardening: {egress: true}}"
    )
    for network, reached in (("192.0.2.0/24", ("192.0.2.0/24", "10.0.0.20")), ("10.0.0.0/8", ("10.0.0.0/8",))):
        path.write_text(text.replace("NETWORK", network))
        resources = roles.server(load(path, {}).hosts["web1"], *make_known())
        assert [each.to for each in resources if isinstance(each, Egress)] == [reached]


def test_a_check_without_a_connection_renders_what_needs_the_other_host(inventory: Inventory) -> None:
    found = {name: rehearsed(host, clients(inventory.hosts.values(), name)) for name, host in inventory.hosts.items()}
    assert "file:/etc/shop/env" in ids(found["web1"])
    assert "clients:postgresql" in ids(found["db1"])


@pytest.mark.parametrize(("roles_", "cache"), [("[base]", "512MB"), ("[base, app]", "256MB")])
def test_a_host_without_apps_leaves_postgresql_all_its_memory(
    tmp_path: Path, make_known: MakeFacts, roles_: str, cache: str
) -> None:
    blog = "apps: {blog: {source: https://git.example.com/blog.git, module: a:b, domains: [b.example.com]}}"
    path = tmp_path / "prod.yml"
    path.write_text(INVENTORY.replace("roles: [base]", f"roles: {roles_}, {blog}"))
    hosts = load(path, {}).hosts
    known = make_known(wanted={"clients": clients(hosts.values(), "db1")})
    (settings,) = (each for each in roles.server(hosts["db1"], *known) if isinstance(each, PostgresSettings))
    assert dict(settings.suit)["shared_buffers"] == cache
