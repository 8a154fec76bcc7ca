"""Layers of an inventory: the top, groups and hosts, includes, and what is written out in each."""

from __future__ import annotations

import time
from pathlib import Path

from provision.inventory import load, manual
from tests.inventories import APP, CAS, HOST, LAYERS, host, inventory, write


def test_one_server_and_one_app_need_at_most_twelve_lines() -> None:
    loaded = inventory(manual.SMALLEST)
    assert len(manual.SMALLEST.splitlines()) <= 12
    assert loaded.name == "prod"
    only = loaded.hosts["web1"]
    assert (only.address, only.port, only.user, only.become) == ("203.0.113.10", 22, "root", "auto")
    assert only.roles == ["base", "python", "app", "web", "tls"]
    shop = only.apps["shop"]
    assert shop.name == "shop"
    assert shop.source.repository == "https://git.example.com/shop.git"
    assert (shop.source.revision, shop.python.version, shop.health.path) == ("HEAD", "auto", "/health")
    assert only.tls.issuer == "letsencrypt"


def test_a_host_without_apps_is_enough() -> None:
    assert host(HOST).apps == {}


def test_a_host_that_has_only_an_address_may_be_written_in_one_word() -> None:
    assert host("hosts: {web1: web1.example.com}").address == "web1.example.com"
    assert host("hosts: {web1: '2001:db8::1'}").address == "2001:db8::1"


def test_a_host_wins_over_its_groups_and_those_over_the_top() -> None:
    web1 = host(LAYERS)
    assert (web1.port, web1.user, web1.packages) == (2, "second", ["second"])
    assert web1.apps["shop"].workers == 2
    assert web1.apps["shop"].module == "shop.main:app"


def test_groups_win_in_the_order_in_which_a_host_lists_them() -> None:
    swapped = LAYERS.replace("[first, second, loose]", "[second, first]")
    assert (host(LAYERS).user, host(swapped).user) == ("second", "first")


def test_groups_that_list_a_host_come_after_those_that_it_lists() -> None:
    web2 = host(LAYERS, "web2")
    assert (web2.groups, web2.user) == (["first", "second"], "second")


def test_mappings_are_merged_and_lists_are_replaced() -> None:
    assert host(LAYERS, "web2").apps["shop"].env == {"A": "top", "B": "first", "C": "top"}
    assert host(LAYERS, "web2").packages == ["second"]


def test_shorthands_and_mappings_are_merged() -> None:
    shop = host(LAYERS).apps["shop"]
    assert (shop.python.version, shop.python.optimized) == ("3.12.1", True)
    assert (shop.health.path, shop.health.timeout) == ("/first", 5)
    assert (shop.source.repository, shop.source.revision) == ("https://git.example.com/shop.git", "main")


def test_null_goes_back_to_the_default() -> None:
    web1 = host(LAYERS)
    assert web1.timezone is None
    assert web1.apps["shop"].env == {"B": "first", "C": "web1"}
    assert host(LAYERS, "web3").apps == {}


def test_groups_know_their_hosts_declared_or_not() -> None:
    groups = inventory(LAYERS).groups
    assert groups == {"first": ("web1", "web2"), "second": ("web1", "web2"), "loose": ("web1",)}


def test_yaml_anchors_and_merge_keys_work() -> None:
    text = "hosts:\n  web1: &base {address: 203.0.113.10, port: 2222}\n  web2: {<<: *base, address: 203.0.113.11}\n"
    assert (host(text, "web2").address, host(text, "web2").port) == ("203.0.113.11", 2222)


def test_numbers_where_text_belongs_are_taken_as_written() -> None:
    text = HOST + APP.replace("https://git.example.com/shop.git", "{repository: /srv/git/shop.git, revision: 0123456}")
    assert host(text).apps["shop"].source.revision == "0123456"
    assert host(HOST + APP + "    memory_max: 1073741824\n").apps["shop"].memory_max == "1073741824"


def test_values_of_an_included_file_lie_underneath() -> None:
    write("port: 1\nuser: deepest\nagent: false\n", "deepest.yml")
    write("include: deepest.yml\nport: 2\n" + HOST, "base.yml")
    loaded = inventory("include: [base.yml]\nport: 3\nhosts: {web1: {user: own}, web2: 203.0.113.11}\n")
    assert list(loaded.hosts) == ["web1", "web2"]
    web1 = loaded.hosts["web1"]
    assert (web1.address, web1.port, web1.user, web1.agent) == ("203.0.113.10", 3, "own", False)


def test_files_are_found_from_the_file_in_which_they_are_written() -> None:
    for name in ("home/.ssh/id", "inventories/deep/shop.env"):
        write("A=1\n", name)
    write(CAS, "inventories/deep/ca.pem")
    write(APP + "    env_file: shop.env\ntls: {root_ca: ca.pem}\n", "inventories/deep/base.yml")
    path = write("include: deep/base.yml\n" + HOST + "    key: ~/.ssh/id\n", "inventories/prod.yml")
    web1 = load(path, {}).hosts["web1"]
    assert web1.key == Path("home/.ssh/id").absolute()
    assert web1.tls.root_ca == Path("inventories/deep/ca.pem").absolute()
    assert web1.apps["shop"].env == {"A": "1"}


def test_a_file_or_secret_that_only_an_overridden_value_needs_is_not_asked_for() -> None:
    text = APP + "    secrets: [TOKEN]\nkey: no\n" + HOST + "    key:\n    apps: {shop: {secrets: []}}\n"
    assert host(text).key is None


def test_groups_that_differ_in_a_number_are_no_slip() -> None:
    assert host(HOST + "    groups: [eu-2]\ngroups: {eu-1: }\n").groups == ["eu-2"]


def test_a_hundred_hosts_load_at_once() -> None:
    text = (
        APP
        + "hosts:\n"
        + "".join(f"  web{number}: {{address: 198.51.100.{number}, groups: [web]}}\n" for number in range(100))
    )
    path = write(text)
    began = time.process_time()
    assert len(load(path, {}).hosts) == 100
    assert time.process_time() - began < 0.5
