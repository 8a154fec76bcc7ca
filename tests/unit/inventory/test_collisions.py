"""Names and addresses that two hosts or two apps cannot share."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.errors import InventoryError
from provision.inventory import load
from tests.inventories import APP, HOST, errors, host, inventory


def test_hosts_behind_different_ports_or_jump_hosts_may_share_an_address() -> None:
    text = HOST + "  web2: {address: 203.0.113.10, port: 23}\n  web3: {address: 203.0.113.10, proxy_jump: edge}\n"
    assert len(inventory(text).hosts) == 3


def test_two_hosts_may_serve_the_same_domain() -> None:
    assert len(inventory(APP + HOST + "  web2: 203.0.113.11\n").hosts) == 2


def apps(first: str, second: str, managers: str = "supervisor, supervisor") -> str:
    """The apps shop and shop-api with more keys, each with its manager."""
    one, two = managers.split(", ")
    return (
        "apps:\n"
        f"  shop: {{source: /a, module: a:b, domains: [a.example.com], process_manager: {one}{first}}}\n"
        f"  shop-api: {{source: /b, module: a:b, domains: [b.example.com], process_manager: {two}{second}}}\n"
    )


@pytest.mark.parametrize(
    ("first", "second", "program"),
    [
        (", processes: {api: run}", "", "shop-api"),
        (", schedules: {api: {at: hourly, run: run}}", "", "shop-api"),
        (", processes: {api-blue: run}", "", "shop-api-blue"),
        (", schedules: {api-green: {at: hourly, run: run}}", "", "shop-api-green"),
    ],
)
def test_two_apps_that_would_share_a_program_of_supervisors_are_refused(first: str, second: str, program: str) -> None:
    assert errors(apps(first, second) + HOST) == [
        f"prod.yml:5: hosts.web1: the apps shop and shop-api would both have a program {program}; rename one"
    ]


@pytest.mark.parametrize("managers", ["systemd, systemd", "systemd, supervisor", "supervisor, systemd"])
def test_apps_under_other_managers_share_no_program(managers: str) -> None:
    assert len(host(apps(", processes: {api: run}", "", managers) + HOST).apps) == 2


def test_apps_on_different_hosts_share_no_program() -> None:
    shop, api = (line + "\n" for line in apps(", processes: {api: run}", "").splitlines()[1:])
    text = f"hosts:\n  web1:\n    address: 203.0.113.10\n    apps:\n    {shop}  web2:\n    address: 203.0.113.11\n    apps:\n    {api}"
    assert len(inventory(text).hosts) == 2


def test_two_apps_whose_processes_would_share_a_unit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.yml"
    path.write_text(
        "hosts: {web1: 203.0.113.10}\n"
        "apps:\n"
        "  shop: {source: https://git.example.com/a.git, module: a.main:app, domains: [a.example.com], processes: {a-b: run}}\n"
        "  shop-a: {source: https://git.example.com/b.git, module: b.main:app, domains: [b.example.com], processes: {b: run}}\n"
    )
    with pytest.raises(InventoryError, match=r"one\.yml:4: .*the apps shop and shop-a would both have a unit shop-a-b"):
        load(path)


def test_all_collisions_are_reported_at_once_each_where_it_is_written() -> None:
    text = apps(", processes: {api: run}", "").replace("b.example.com", "a.example.com")
    assert errors(text + HOST + "  web2: 203.0.113.10\n") == [
        "prod.yml:3: apps.shop-api.domains[0]: the apps shop and shop-api of host web1 have the same domain a.example.com",
        "prod.yml:3: apps.shop-api.domains[0]: the apps shop and shop-api of host web2 have the same domain a.example.com",
        "prod.yml:5: hosts.web1: the apps shop and shop-api would both have a program shop-api; rename one",
        "prod.yml:7: hosts.web2.address: hosts web1 and web2 have the same address; correct one, or remove it",
        "prod.yml:7: hosts.web2: the apps shop and shop-api would both have a program shop-api; rename one",
    ]


def test_a_name_that_both_managers_would_object_to_is_reported_once() -> None:
    text = apps(", processes: {api-x: run}", ", processes: {x: run}")
    assert errors(text + HOST) == [
        "prod.yml:5: hosts.web1: the apps shop and shop-api would both have a program shop-api-x; rename one"
    ]


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("shop", 2, "shop is the app's own name; write the one that it had before, or remove renamed_from"),
        (
            "shop-api",
            2,
            "the app shop-api is still in the inventory, so shop cannot take over from it; remove one of the two",
        ),
        ("store", 3, "the apps shop and shop-api cannot both take over from store; remove one renamed_from"),
    ],
)
def test_an_app_takes_over_from_one_that_is_no_more(name: str, line: int, message: str) -> None:
    more = f", renamed_from: {name}"
    text = apps(more, more if name == "store" else "", "systemd, systemd") + HOST
    app = ("shop", "shop-api")[line - 2]
    assert errors(text) == [f"prod.yml:{line}: apps.{app}.renamed_from: {message}"]
