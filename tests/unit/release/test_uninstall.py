from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.engine import apply
from provision.engine.plan import Plan
from provision.engine.resource import State
from provision.errors import ProbeError, RunError
from provision.inventory import Inventory
from provision.release import uninstall
from provision.release.uninstall import PARTS, Uninstalled
from provision.run.host import check_agreed
from provision.run.request import Request

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from tests.unit.release.serving import Observe
    from tests.unit.tables import MakeFacts, MakeHost

SHOP = "# shop: shop.example.com. Written by provision.\n"


def things(observe: Observe, part: str, with_data: bool = False) -> tuple[str, ...]:
    (state,) = observe(Uninstalled("shop", part, with_data))
    return state.all("thing")


@pytest.fixture
def users(stand_in: Callable[[str, str], Path]) -> Callable[..., None]:
    """Makes the server's users: lines of passwd."""

    def make(*lines: str) -> None:
        cases = " ".join(f'passwd,{line.split(":")[0]}) echo "{line}" ;;' for line in lines)
        stand_in("getent", f'case "$1,$2" in {cases} *) exit 2 ;; esac')
        stand_in("id", "echo 997")

    return make


@pytest.fixture
def shop(root: Path) -> Path:
    """The record of the app, and its home with data."""
    (root / "var/lib/provision/apps/shop").mkdir(parents=True)
    shared = root / "srv/shop/shared"
    shared.mkdir(parents=True)
    (shared / "data").touch()
    return root / "srv/shop"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_what_is_to_go_stands_in_the_plan_in_the_order_in_which_it_goes(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    known = make_known()
    claim, *parts = roles.removed(make_host(), known.facts, known.wanted, "shop")
    assert str(claim.ref) == "claim:shop"
    assert [str(one.ref) for one in parts] == [f"uninstalled:shop/{part}" for part in PARTS]
    assert list(PARTS)[:2] == ["site", "runs"]
    assert list(PARTS)[-3:] == ["users", "record", "adopted"]


@pytest.mark.parametrize(
    ("part", "records", "summary"),
    [
        ("site", [{"thing": "/etc/nginx/x.conf"}], "shop: take its site off nginx (/etc/nginx/x.conf)"),
        ("runs", [{"thing": "/a/shop@.service"}, {"thing": "processes:shop"}], "shop: stop and remove shop@.service, processes of shop"),
        ("certificate", [{"thing": "certbot:shop"}], "shop: remove its certificates (certbot's shop)"),
        ("users", [{"thing": "user:shop-build"}, {"kept": "/srv/shop/shared"}], "shop: remove user shop-build; /srv/shop/shared stays, with its owner: --with-data shop removes both"),
        ("record", [{"thing": "/a"}, {"owner": "prod 2026-11-27T02:00:00Z"}], "shop: forget the app (/a), of the inventory prod since 2026-11-27T02:00:00Z"),
        ("record", [{"thing": "/a"}, {"kept": "/srv/shop/shared"}], "shop: forget the app (/a)"),
        ("site", [{"thing": "back:/etc/nginx/y"}, {"thing": "/etc/nginx/x.conf"}], "shop: take its site off nginx (/etc/nginx/x.conf); put back /etc/nginx/y as it was"),
        ("users", [{"thing": "user:shop-build"}, {"kept": "/srv/shop/shared"}, {"holds": "yes"}], "shop: remove user shop-build; /srv/shop/shared stays, and what the app adopted: --with-data shop puts that back"),
        ("adopted", [{"thing": "user:shop"}, {"thing": "/etc/shop"}], "shop: put back the user shop, /etc/shop as they were"),
        ("adopted", [{"thing": "/etc/shop"}], "shop: put back /etc/shop as it was"),
        ("adopted", [{"thing": "/var/lib/provision/adopted/shop"}], "shop: forget what it adopted (/var/lib/provision/adopted/shop)"),
    ],
)  # fmt: skip
def test_a_part_says_what_goes(part: str, records: list[dict[str, str]], summary: str) -> None:
    change = Uninstalled("shop", part).plan(State.of(*records), {})
    assert change is not None
    assert (change.summary, change.phase) == (summary, "finish")
    assert change.script == f"layout_app shop\n{PARTS[part][0]} shop no"


def test_no_other_plan_is_carried_out_than_the_one_that_was_agreed_to(make_host: MakeHost) -> None:
    host = make_host()
    change = Uninstalled("shop", "record").plan(State.of({"thing": "/a"}), {})
    assert change is not None
    inventory = Inventory(name="prod", path=Path("prod.yml"), groups={}, hosts={"web1": host})
    for agreed, right in ((("shop: forget the app (/a)",), True), ((), False)):
        request = Request("remove", inventory, (host,), roles.restarted, agreed={"web1": agreed})
        with nullcontext() if right else pytest.raises(RunError, match="has changed since its plan was shown: run"):
            check_agreed(request, "web1", Plan((change,), 1, "none"))


def test_data_that_goes_is_said_to_go() -> None:
    change = Uninstalled("shop", "data", True).plan(State.of({"thing": "/srv/shop/shared"}), {})
    assert change is not None
    assert change.summary == "shop: remove /srv/shop/shared, with all data"
    assert change.script.endswith(" shop yes")


def test_a_part_of_which_there_is_nothing_is_no_change() -> None:
    assert Uninstalled("shop", "users").plan(State.of({"kept": "/srv/shop/shared"}), {}) is None


def test_a_server_that_names_things_that_no_server_has_is_not_believed() -> None:
    with pytest.raises((ProbeError, ValueError)):
        Uninstalled("shop", "files").plan(State.of({"thing": "/etc/x\x1b[2J"}), {})


def test_without_a_record_nothing_is_the_apps(root: Path, observe: Observe, users: Callable[..., None]) -> None:
    users("shop:x:1000:1000::/home/shop:/bin/bash")
    write(root / "etc/nginx/sites-available/shop.conf", SHOP)
    write(root / "srv/shop/shared/data", "")
    assert {part: things(observe, part, True) for part in PARTS} == dict.fromkeys(PARTS, ())


def test_a_site_of_the_apps_name_that_somebody_else_wrote_stays(
    root: Path, shop: Path, observe: Observe, users: Callable[..., None]
) -> None:
    users()
    site = write(root / "etc/nginx/sites-available/shop.conf", SHOP)
    link = root / "etc/nginx/sites-enabled/zz-shop.conf"
    link.parent.mkdir()
    link.symlink_to("../sites-available/shop.conf")
    assert things(observe, "site") == ("/etc/nginx/sites-enabled/zz-shop.conf", "/etc/nginx/sites-available/shop.conf")
    site.unlink()
    assert things(observe, "site") == ("/etc/nginx/sites-enabled/zz-shop.conf",)
    # A project's own template has no such line.
    site.write_text("# mine\n")
    assert things(observe, "site") == ("/etc/nginx/sites-enabled/zz-shop.conf", "/etc/nginx/sites-available/shop.conf")
    link.unlink()
    assert things(observe, "site") == ()


def test_data_keeps_its_folder_and_its_owner(shop: Path, observe: Observe, users: Callable[..., None]) -> None:
    users("shop:x:997:997::/srv/shop/shared:/usr/sbin/nologin", "shop-build:x:996:996::/nonexistent:/usr/sbin/nologin")
    assert things(observe, "data") == ()
    assert things(observe, "users") == ("user:shop-build",)
    assert things(observe, "data", True) == ("/srv/shop/shared", "/srv/shop")
    assert things(observe, "users", True) == ("user:shop", "user:shop-build")
    (shop / "shared/data").unlink()
    assert things(observe, "data") == ("/srv/shop/shared", "/srv/shop")
    assert things(observe, "users") == ("user:shop", "user:shop-build")


def test_a_user_of_somebody_elses_making_is_not_removed(
    shop: Path, observe: Observe, users: Callable[..., None]
) -> None:
    users("shop:x:997:997::/srv/shop/shared:/bin/bash")
    assert things(observe, "users", True) == ()


def test_what_somebody_else_put_into_the_home_stays(
    shop: Path, observe: Observe, call: Callable[..., subprocess.CompletedProcess[str]], users: Callable[..., None]
) -> None:
    users()
    for name in ("releases/one/file", "my notes", ".provision.abcdef"):
        write(shop / name, "")
    assert things(observe, "data", True) == ("/srv/shop/shared",)
    ran = call([uninstall], "layout_app shop; uninstall_files shop yes; uninstall_data shop yes")
    assert ran.stdout == f"notice: shop: {shop} stays, with what somebody else put there: my notes \n", ran.stderr
    assert sorted(path.name for path in shop.iterdir()) == [".provision.abcdef", "my notes"]
    (shop / "my notes").unlink()
    assert things(observe, "data", True) == ("/srv/shop",)
    assert call([uninstall], "layout_app shop; uninstall_data shop yes").returncode == 0
    assert not shop.exists()


def test_a_stamp_of_what_nginx_loaded_loses_the_apps_files_and_no_others(
    root: Path, call: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    files = [write(root / f"etc/nginx/sites-available/{name}.conf", SHOP) for name in ("blog", "shop", "shop-two")]
    stamp = write(root / "stamp", "")
    script = f"service_stamp {' '.join(map(str, files))} >{stamp}; site={files[1]} link={root}/none; uninstall_stamp shop {stamp}"
    ran = call([apply, uninstall], script)
    assert ran.returncode == 0, ran.stderr
    lines = stamp.read_text().splitlines()
    assert (root / "stamp.without").read_text().splitlines() == [lines[0], lines[2]]
