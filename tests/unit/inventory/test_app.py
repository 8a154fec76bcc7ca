"""An app's own keys."""

from __future__ import annotations

import pytest

from tests.inventories import APP, HOST, LAYERS, errors, host


def test_the_distributions_python_is_asked_for_by_a_word() -> None:
    for written in ("system", "{version: system}", "{version: system, cache: false}"):
        python = host(f"{APP}    python: {written}\n{HOST}").apps["shop"].python
        assert (python.system, python.name) == (True, "system")
    assert not host(APP + HOST).apps["shop"].python.system


def test_host_in_a_domain_stands_for_the_hosts_name() -> None:
    assert host(LAYERS).apps["shop"].domains == ["web1.example.com", "shop.example.com"]
    assert host(LAYERS, "web2").apps["shop"].domains == ["web2.example.com", "shop.example.com"]


def test_domains_are_lower_cased_and_encoded() -> None:
    text = HOST + APP.replace("[shop.example.com]", "[Shop.Example.COM., bücher.example.com]")
    assert host(text).apps["shop"].domains == ["shop.example.com", "xn--bcher-kva.example.com"]


def test_migrate_is_true_false_or_a_command() -> None:
    for written, meant in (("yes", True), ("no", False), ("false", False), ("python -m shop.migrate", None)):
        expected = written if meant is None else meant
        assert host(HOST + APP + f"    migrate: {written}\n").apps["shop"].migrate == expected


def test_an_app_migrates_on_the_first_host_unless_it_is_said_otherwise() -> None:
    assert host(HOST + APP).apps["shop"].migrate_on == "first"
    assert host(HOST + APP + "    migrate_on: every\n").apps["shop"].migrate_on == "every"


@pytest.mark.parametrize("name", ["web", "blue", "green", "boot"])
@pytest.mark.parametrize("manager", ["systemd", "supervisor"])
def test_a_process_or_schedule_cannot_have_a_name_that_the_app_has_itself(name: str, manager: str) -> None:
    for key, value in (("processes", "run"), ("schedules", "{at: hourly, run: run}")):
        assert errors(APP + f"    process_manager: {manager}\n    {key}: {{{name}: {value}}}\n" + HOST) == [
            f'prod.yml:2: apps.shop: "{name}" is a name that the app uses itself; rename the process'
        ]


def test_an_app_is_run_by_systemd_and_drains_for_its_timeout_unless_it_is_said_otherwise() -> None:
    shop = host(HOST + APP).apps["shop"]
    assert (shop.process_manager, shop.drain, shop.drain_seconds) == ("systemd", None, 60)
    assert (shop.health.passes, shop.health.watch) == (3, 2)
    other = host(HOST + APP + "    process_manager: supervisor\n    timeout: 90\n    drain: 0\n").apps["shop"]
    assert (other.process_manager, other.drain, other.drain_seconds) == ("supervisor", 0, 0)
    assert host(HOST + APP + "    timeout: 90\n").apps["shop"].drain_seconds == 90
