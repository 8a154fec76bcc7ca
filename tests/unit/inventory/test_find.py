"""Which hosts a name means."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from provision.errors import InventoryError
from provision.inventory import Host, find
from tests.inventories import HOST, LAYERS, inventory, write


def names(hosts: tuple[Host, ...]) -> list[str]:
    return [each.name for each in hosts]


def test_a_name_is_an_inventory_a_group_or_a_host() -> None:
    loaded = inventory(LAYERS)
    assert names(loaded.select("prod")) == ["web1", "web2", "web3"]
    assert names(loaded.select("first")) == ["web1", "web2"]
    assert names(loaded.select("web3")) == ["web3"]


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(InventoryError) as caught:
        inventory(LAYERS).select("frist")
    assert caught.value.errors == (
        'prod.yml: "frist" is not a group or host here; did you mean "first"?;'
        " there are: inventory prod; groups first, second, loose; hosts web1, web2, web3",
    )


def test_a_name_with_two_meanings_is_ambiguous() -> None:
    with pytest.raises(InventoryError, match=r"the host prod or all hosts of prod\.yml; rename one"):
        inventory(HOST + "  prod: 203.0.113.11\n").select("prod")
    assert names(inventory("hosts: {prod: 203.0.113.11}").select("prod")) == ["prod"]


def test_a_group_without_hosts_is_an_error() -> None:
    with pytest.raises(InventoryError, match=r"the group web has no hosts; name it in a host's groups"):
        inventory(HOST + "groups: {web: }\n").select("web")


@pytest.fixture
def folder() -> Path:
    write(HOST + "    groups: [web]\n", "inventories/prod.yml")
    write("hosts: {stage1: 203.0.113.20, both: 203.0.113.22}\n", "inventories/staging.yml")
    write("hosts: {test1: 203.0.113.21, both: 203.0.113.23}\n", "inventories/test.yml")
    write("hosts: {web1: 203.0.113.24}\n", "inventories/prod.example.yml")
    return Path("inventories")


def test_find_takes_an_inventory_by_its_name(folder: Path) -> None:
    found, hosts = find("staging", folder)
    assert (found.path, names(hosts)) == (folder / "staging.yml", ["stage1", "both"])


def test_find_searches_all_inventories_but_examples_for_a_group_or_a_host(folder: Path) -> None:
    assert [find(name, folder)[0].name for name in ("web", "web1", "test1")] == ["prod", "prod", "test"]


def test_find_looks_only_at_the_file_that_is_named(folder: Path) -> None:
    assert find("both", folder, file=folder / "test.yml")[1][0].address == "203.0.113.23"
    with pytest.raises(InventoryError, match='"prod" is not a group or host here'):
        find("prod", folder, file=folder / "test.yml")


def test_find_refuses_a_name_that_is_in_several_inventories(folder: Path) -> None:
    with pytest.raises(InventoryError) as caught:
        find("both", folder)
    assert caught.value.errors == (
        '"both" is ambiguous: in inventories/staging.yml and inventories/test.yml; choose one with --inventory FILE',
    )


def test_find_does_not_count_an_inventory_that_another_includes(folder: Path) -> None:
    write("include: test.yml\nuser: deploy\n", "inventories/wider.yml")
    assert find("test1", folder)[0].name == "wider"


def test_find_lists_what_there_is_for_an_unknown_name(folder: Path) -> None:
    with pytest.raises(InventoryError) as caught:
        find("stagin", folder)
    assert caught.value.errors == (
        '"stagin" is not an inventory, group or host; did you mean "staging"?;'
        " there are: inventories prod, staging, test; groups web; hosts both, stage1, test1, web1",
    )


def test_find_without_any_inventory_says_how_to_begin() -> None:
    with pytest.raises(InventoryError, match=r"has no folder inventories: go to your project's folder, or name a file"):
        find("web1")
    Path("inventories").mkdir()
    with pytest.raises(InventoryError, match=r"^inventories has no inventory; copy one of its \*\.example"):
        find("prod")


def test_an_invalid_inventory_that_has_nothing_to_do_with_the_name_is_only_mentioned(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write("hosts: {other: 203.0.113.30}\nport: abc\n", "inventories/invalid.yml")
    write("hosts: [\n", "inventories/broken.yml")
    write("include: ../.lab/lab.yml\n", "inventories/lab.yml")
    with caplog.at_level(logging.WARNING):
        assert find("web1", folder)[0].name == "prod"
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("inventories/broken.yml:2: not YAML")
    with pytest.raises(InventoryError, match=r"^inventories/invalid\.yml:2: port: "):
        find("other", folder)
    with pytest.raises(InventoryError, match=r"^inventories/lab\.yml:1: include: .*`invoke lab\.up`$"):
        find("lab", folder)
    with pytest.raises(InventoryError, match=r"(?s)is not an inventory.*inventories/broken\.yml:2: not YAML"):
        find("nothing", folder)
