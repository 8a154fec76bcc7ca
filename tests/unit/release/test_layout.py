"""Every path of an app, once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import provision
from provision.engine.layout import PRELUDE, TOOLKIT, Places, Toolkit
from provision.release import layout as layouts
from provision.release import manual, principals
from provision.release.layout import Layout, ReleaseLayout, SlotLayout, directory, file
from provision.release.process_manager import PROCESS_MANAGERS
from provision.resources.file import Directory

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.release.serving import Ran

PACKAGE = Path(provision.__file__).parent
TABLES: list[type[Places]] = [
    Toolkit,
    Layout,
    SlotLayout,
    ReleaseLayout,
    *(each.places for each in PROCESS_MANAGERS.values()),
]


def test_a_layout_gives_paths_and_its_table_gives_places() -> None:
    shop = Layout("shop")
    assert (shop.releases, shop.slot("blue").env) == ("/srv/shop/releases", "/etc/shop/blue/env")
    assert shop.release("one").stamp == "/srv/shop/releases/one/.release"
    assert (Layout.shared.path, Layout.shared.mode, Layout.shared.writers) == (
        "/srv/{app}/shared",
        0o750,
        "root, the app",
    )
    assert TOOLKIT.state == "/var/lib/provision"


def test_a_place_brings_its_owner_and_mode_to_its_resource() -> None:
    assert directory(Layout("shop"), Layout.sockets) == Directory("/run/shop", "root", "www-data", 0o750)
    env = file(Layout("shop"), Layout.env, "A=1\n", secret=True)
    assert (env.path, env.owner, env.group, env.mode, env.secret) == ("/etc/shop/env", "root", "shop", 0o640, True)
    with pytest.raises(ValueError, match=r"/srv/\{app\}/current has no mode"):
        file(Layout("shop"), Layout.current, "")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_the_shell_has_the_same_paths_under_its_root(table: type[Places], root: Path, sh: Callable[..., Ran]) -> None:
    names = tuple(f"the-{key}" for key in table.keys)
    call = " ".join((f"layout_{table.prefix}", *names)) if table.keys else ":"
    shown = "\n".join(f'printf "%s\\n" "${table.prefix}_{name}"' for name, _ in table.table())
    ran = sh(f"set -eu\n{PRELUDE}{table.shell()}{call}\n{shown}\n")
    paths = [getattr(table(*names), name) for name, _ in table.table()]
    assert ran.stdout.splitlines() == [f"{root}{path}" for path in paths]
    ran = sh(f"unset PROVISION_ROOT\n{PRELUDE}{table.shell()}{call}\n{shown}\n")
    assert ran.stdout.splitlines() == paths


def test_no_two_places_of_a_table_are_the_same() -> None:
    paths = [place.path for table in TABLES for _, place in table.table()]
    assert sorted(set(paths)) == sorted(paths)


def test_an_apps_paths_are_written_down_in_one_file() -> None:
    here = Path(layouts.__file__).relative_to(PACKAGE)
    own = {
        "srv": "/srv/",
        "etc": r"/etc/\{app|/etc/\$",
        "run": r"/run/\{app|/run/\$",
        "state": "/var/lib/provision/apps",
    }
    for pattern in own.values():
        found = {
            path.relative_to(PACKAGE)
            for path in PACKAGE.rglob("*")
            if path.suffix in (".py", ".sh", ".j2") and re.search(pattern, path.read_text())
        }
        assert found <= {here, Path("release/supervisor.py")}, pattern


def test_only_its_own_files_and_the_choice_know_supervisor() -> None:
    files = [path for path in PACKAGE.glob("*/*") if path.suffix in (".py", ".sh")]
    found = {str(path.relative_to(PACKAGE)) for path in files if "supervisor" in path.read_text().lower()}
    assert {name for name in found if not name.startswith(("inventory/", "checks/"))} == {
        "release/process_manager.py",
        "release/supervisor.py",
        "release/supervisor.sh",
    }


def test_the_page_about_servers_has_the_tables_as_they_are() -> None:
    for path, text in ((manual.PAGE, manual.tables()), (manual.SECURITY, principals.table())):
        page = path.read_text()
        assert manual.written(page, text) == page, "run: python -m provision.release.manual"
