"""What a release keeps of the inventory for a rollback."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from provision.errors import PlanError
from provision.release.settings import KEPT, settings, was_built_as, were_checked, with_settings
from tests.unit.tables import HOST

if TYPE_CHECKING:
    from provision.inventory import App
    from tests.unit.tables import MakeHost

THEN = """
    module: shop.old:app
    health: {path: /old, watch: 7}
    python: "3.12.3"
    requirements: requirements-old.txt
    static: {/files: files}
    processes: {worker: python -m shop.worker}
    schedules: {tidy: {at: "03:00", run: python -m shop.tidy}}
    hooks: {before: python -m shop.before}
    shared: [data]
    workers: 7
"""
NOW = """
    module: shop.new:app
    workers: 2
"""


def shop(make_host: MakeHost, text: str) -> App:
    lines = "".join(f"{line}\n" if line else "" for line in text.strip("\n").split("\n"))
    common = "    source: https://git.example.com/shop.git\n    domains: [shop.example.com]\n"
    return make_host(f"{HOST}apps:\n  shop:\n{common}{lines}").apps["shop"]


def test_a_release_goes_back_with_what_it_ran_with_and_the_rest_is_of_today(make_host: MakeHost) -> None:
    then, now = (shop(make_host, text) for text in (THEN, NOW))
    found = with_settings(now, settings(then))
    assert {name: getattr(found, name) for name in KEPT} == {name: getattr(then, name) for name in KEPT}
    assert found.module == "shop.old:app"
    assert found.health.watch == 7
    assert found.schedules["tidy"].run == "python -m shop.tidy"
    assert (found.workers, found.env) == (2, now.env)


def test_what_is_kept_is_one_line_without_a_tab_and_without_the_environment(make_host: MakeHost) -> None:
    kept = settings(shop(make_host, THEN + "    environment: {SECRET: hunter2}"))
    assert not {"\n", "\t"} & set(kept)
    assert "hunter2" not in kept


def test_a_release_of_an_older_toolkit_runs_as_the_inventory_says(make_host: MakeHost) -> None:
    app = shop(make_host, NOW)
    assert with_settings(app, "") == app


@pytest.mark.parametrize("kept", ["{", json.dumps({"health": {"path": 1}}), "[]"])
def test_what_cannot_be_read_is_one_line(make_host: MakeHost, kept: str) -> None:
    with pytest.raises(PlanError, match="shop: what a release on the server ran with cannot be read"):
        with_settings(shop(make_host, NOW), kept)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ("    workers: 3", True),
        ("    health: /other", True),
        ("    module: shop.mian:app", False),
        ('    python: "3.12.3"', False),
        ("    requirements: requirements-other.txt", False),
    ],
)
def test_a_commit_is_looked_at_again_for_another_module_python_or_requirements(
    make_host: MakeHost, change: str, same: bool
) -> None:
    kept = settings(shop(make_host, "    module: shop.new:app"))
    module = "" if "module" in change else "    module: shop.new:app\n"
    assert were_checked(shop(make_host, f"{module}{change}"), kept) is same


@pytest.mark.parametrize("kept", ["", "{}", "[]", "{"])
def test_a_release_that_never_ran_or_whose_settings_cannot_be_read_is_looked_at(make_host: MakeHost, kept: str) -> None:
    assert not were_checked(shop(make_host, NOW), kept)


def test_extras_and_groups_are_kept_and_a_file_alone_is_kept_as_a_word(make_host: MakeHost) -> None:
    app = shop(make_host, "    module: shop:app\n    requirements: {extras: [fast], groups: [server]}\n")
    again = with_settings(shop(make_host, NOW), settings(app)).requirements
    assert (again.file, again.extras, again.groups) == ("auto", ["fast"], ["server"])
    assert json.loads(settings(shop(make_host, THEN)))["requirements"] == "requirements-old.txt"


@pytest.mark.parametrize(("shared", "same"), [("[logs, data]", True), ("[data]", False), ("[]", False)])
def test_another_list_of_folders_in_shared_is_another_release(make_host: MakeHost, shared: str, same: bool) -> None:
    kept = settings(shop(make_host, f"{NOW}    shared: [data, logs]"))
    assert was_built_as(shop(make_host, f"{NOW}    shared: {shared}"), kept) is same


def test_a_release_from_before_there_was_shared_has_no_such_folders(make_host: MakeHost) -> None:
    kept = json.loads(settings(shop(make_host, NOW)))
    del kept["shared"]
    now = shop(make_host, f"{NOW}    shared: [data]")
    assert with_settings(now, json.dumps(kept)).shared == []
    assert not was_built_as(now, json.dumps(kept))
    assert was_built_as(shop(make_host, NOW), json.dumps(kept))
