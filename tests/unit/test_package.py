from __future__ import annotations

from typing import TYPE_CHECKING

from provision.engine.resource import State
from provision.resources.package import Packages

if TYPE_CHECKING:
    from collections.abc import Callable


SET = Packages("nginx", ("nginx", "libnginx-mod-brotli"))


def test_a_set_of_packages_asks_for_all_of_its_names() -> None:
    assert SET.probe().item == ("nginx libnginx-mod-brotli",)


def test_nothing_changes_where_all_are_installed() -> None:
    assert SET.plan(State.of({"name": "nginx"}, {"name": "libnginx-mod-brotli"}), {}) is None


def test_only_what_is_missing_is_installed() -> None:
    change = SET.plan(State.of({"name": "nginx"}), {})
    assert change is not None
    assert (change.id, change.summary) == (str(SET.ref), "install libnginx-mod-brotli")
    assert change.script == "package_install libnginx-mod-brotli"


def test_all_are_named_where_none_is_installed() -> None:
    change = SET.plan(State(), {})
    assert change is not None
    assert change.summary == "install nginx, libnginx-mod-brotli"


def test_the_probe_knows_installed_packages_from_others(observe: Callable[..., tuple[State, ...]]) -> None:
    some = Packages("some", ("coreutils", "no-such-package", "dpkg"))
    none = Packages("none", ("no-such-package",))
    same = Packages("same", ("coreutils",))
    assert observe(some, none, same) == (
        State.of({"name": "coreutils"}, {"name": "dpkg"}),
        State(),
        State.of({"name": "coreutils"}),
    )
