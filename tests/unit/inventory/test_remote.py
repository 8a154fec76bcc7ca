"""Databases on other hosts of an inventory."""

from __future__ import annotations

import pytest

from provision.inventory.database import Access
from provision.inventory.remote import clients, connected, login
from tests.inventories import at, errors, inventory

INVENTORY = """\
hosts:
  web1: {address: 203.0.113.10, private_address: 10.0.0.10, groups: [web]}
  web2: {address: 203.0.113.11, groups: [web]}
  db1: {address: db1.example.com, roles: [base]}
groups:
  web:
    apps:
      shop:
        source: https://git.example.com/shop.git
        module: shop.main:app
        domains: [shop.example.com]
        database: {host: db1}
        environment: {POSTGRES_SERVER: "{database.host}", POSTGRES_PASSWORD: "{database.password}", PLAIN: "{other}"}
"""
ACCESS = Access("shop_web1", "/etc/shop/database.crt", "PEM", "secret-password")


def test_each_host_of_an_app_is_a_client_with_a_login_of_its_own() -> None:
    found = inventory(INVENTORY)
    assert [one[1:] for one in clients(found.hosts.values(), "db1")] == [
        ("web1", "10.0.0.10", "shop_web1"),
        ("web2", "203.0.113.11", "shop_web2"),
    ]
    assert [host.serves for host in found.hosts.values()] == [{}, {}, {"shop": ""}]
    assert clients(found.hosts.values(), "web1") == ()


@pytest.mark.parametrize(
    ("driver", "url"),
    [
        (
            "",
            "postgresql://shop_web1:secret-password@db1.example.com:5432/shop?sslmode=verify-full&sslrootcert=/etc/shop/database.crt",
        ),
        (
            ", driver: psycopg",
            "postgresql+psycopg://shop_web1:secret-password@db1.example.com:5432/shop?sslmode=verify-full&sslrootcert=/etc/shop/database.crt",
        ),
        (
            ", driver: asyncpg",
            "postgresql+asyncpg://shop_web1:secret-password@db1.example.com:5432/shop?ssl=verify-full",
        ),
    ],
)
def test_its_environment_leads_there_once_both_hosts_have_been_asked(driver: str, url: str) -> None:
    app = inventory(INVENTORY.replace("{host: db1}", f"{{host: db1{driver}}}")).hosts["web1"].apps["shop"]
    assert "DATABASE_URL" not in app.env
    env = connected(app, ACCESS).env
    assert env["DATABASE_URL"] == url
    assert env.get("PGSSLROOTCERT", "") == ("/etc/shop/database.crt" if "asyncpg" in driver else "")
    assert (env["POSTGRES_SERVER"], env["POSTGRES_PASSWORD"], env["PLAIN"]) == (
        "db1.example.com",
        "secret-password",
        "{other}",
    )
    assert "secret-password" not in repr(connected(app, ACCESS))


def test_a_variable_of_the_inventorys_own_stays() -> None:
    text = INVENTORY.replace('PLAIN: "{other}"', "DATABASE_URL: mine")
    app = inventory(text).hosts["web1"].apps["shop"]
    assert connected(app, ACCESS).env["DATABASE_URL"] == "mine"


def test_its_host_knows_what_a_drill_asks_it() -> None:
    checked = INVENTORY.replace("{host: db1}", "{host: db1, check: select 1}")
    assert inventory(checked).hosts["db1"].serves == {"shop": "select 1"}


def test_a_login_fits_into_a_name_of_postgresqls() -> None:
    one, other = (login("shop", f"{'web' * 20}{end}") for end in "ab")
    assert (len(one), len(other), one != other) == (63, 63, True)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        (
            "{host: db1}",
            "{host: db2}",
            12,
            'groups.web.apps.shop.database.host: there is no host "db2"; did you mean "db1"?',
        ),
        (
            "{host: db1}",
            "{host: web1}",
            12,
            "groups.web.apps.shop.database.host: web1 is the app's own host, too; give web1 roles: [base] if it has databases only, or write database:"
            " postgresql",
        ),
        (
            "{address: 203.0.113.11, ",
            "{address: web2.example.com, ",
            3,
            "hosts.web2.address: db1 lets in IP addresses only, and web2.example.com is none; set private_address",
        ),
        (
            "{host: db1}",
            "{host: db1}\n        renamed_from: store",
            13,
            "groups.web.apps.shop.renamed_from: an app whose database is on another host cannot take over; remove one of the two",
        ),
        (
            "db1.example.com, roles: [base]",
            "db1.example.com, apps: {shop: {source: https://git.example.com/shop.git, module: a:b, domains: [b.example.com], database: postgresql}}",
            12,
            "groups.web.apps.shop.database.host: db1 has an app shop with a database of its own; rename one of the two",
        ),
        (
            "address: db1.example.com",
            "connect: vagrant",
            12,
            "groups.web.apps.shop.database.host: other hosts do not reach db1 at an address of Vagrant's; set its private_address",
        ),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_written(old: str, new: str, line: int, said: str) -> None:
    assert at(line, said) in errors(INVENTORY.replace(old, new))


def test_two_hosts_do_not_have_each_others_databases() -> None:
    blog = "apps: {blog: {source: https://git.example.com/blog.git, module: a:b, domains: [b.example.com], database: {host: web2}}}"
    text = INVENTORY.replace("roles: [base]", blog)
    said = "groups.web.apps.shop.database.host: db1 has an app whose own database is on another host; of two hosts, one can have the other's databases"
    assert at(12, said) in errors(text)
