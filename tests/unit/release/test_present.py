from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.engine import facts
from provision.errors import PlanError
from provision.release.facts import MANAGED
from provision.release.present import PRESENT, PresentApp
from provision.roles.wanted import Wanted
from tests.unit.tables import file

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.tables import MakeFacts, MakeHost

SOURCE = "https://git.example.com/shop.git"
OLD = PresentApp("old", ("www.example.com",), SOURCE, ("old@blue.service", "old-worker.service"))
SHOP = PresentApp("shop", ("shop.example.com",), SOURCE, ("shop@blue.service",))
TWO = """\
hosts: {web1: {address: 203.0.113.10}}
apps:
  shop: {source: https://git.example.com/shop.git, module: "a:b", domains: [shop.example.com]}
  blog: {source: https://git.example.com/blog.git, module: "a:b", domains: [blog.example.com]}
"""


def test_an_app_that_the_inventory_does_not_have_is_named_with_what_runs_of_it(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    known, _ = make_known(present=(OLD, SHOP, PresentApp("dead", (), "", ())))
    assert roles.strangers(make_host(), known) == (
        "old (for www.example.com) is on this server and not in the inventory; old@blue.service, old-worker.service still run:"
        " invoke remove --host web1 --app old removes it",
        "dead (without a site) is on this server and not in the inventory; nothing of it runs:"
        " invoke remove --host web1 --app dead removes it",
    )


def test_a_domain_of_an_app_that_the_inventory_does_not_have_is_refused(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    with pytest.raises(
        PlanError,
        match=r"^shop: www\.example\.com is served by old .* write renamed_from: old; .* invoke remove --host web1 --app old",
    ):
        roles.server(make_host(), *make_known(present=(OLD,)))


@pytest.mark.parametrize(
    ("domains", "source", "refused"),
    [
        (("other.example.com",), "https://git.example.com/other.git", True),
        (("other.example.com",), SOURCE, False),
        (("shop.example.com",), "https://git.example.com/moved.git", False),
        (("other.example.com",), "pushed", False),
        (("other.example.com",), "", False),
        ((), "https://git.example.com/other.git", False),
    ],
)
def test_an_app_of_the_same_name_for_other_domains_from_another_repository_is_another_app(
    make_host: MakeHost, make_known: MakeFacts, domains: tuple[str, ...], source: str, refused: bool
) -> None:
    known = make_known(present=(PresentApp("shop", domains, source, ()),))
    if not refused:
        roles.server(make_host(), *known)
        return
    with pytest.raises(PlanError, match=r"^shop: another app of this name is on this server, from .*other\.git"):
        roles.server(make_host(), *known)


def test_a_domain_may_move_between_two_apps_of_a_host(make_host: MakeHost, make_known: MakeFacts) -> None:
    present = PresentApp("shop", ("blog.example.com",), SOURCE, ())
    resources = roles.server(make_host(TWO), make_known(present=(present,))[0], Wanted())
    assert "blog.example.com" in file(resources, "/etc/nginx/sites-available/blog.conf").content


def test_the_apps_of_a_server_are_found_by_their_sites_and_their_units(
    tmp_path: Path, sh: Callable[..., subprocess.CompletedProcess[str]], stand_in: Callable[[str, str], Path]
) -> None:
    sites, units = tmp_path / "etc/nginx/sites-enabled", tmp_path / "etc/systemd/system"
    sites.mkdir(parents=True)
    units.mkdir(parents=True)
    (sites / "000-default.conf").write_text("# Whoever asks. Written by provision.\n")
    (sites / "old.conf").write_text("# old: www.example.com example.com. Written by provision.\n")
    (sites / "other.conf").write_text("# other: by hand\n")
    (units / "old@.service").write_text("# provision: old. \n")
    (units / "old-two@.service").write_text("# provision: old-two. \n")
    (units / "ssh.service").write_text("[Unit]\n")
    stand_in("systemctl", "shift 4; for unit; do echo $unit loaded active running it; done")
    git = tmp_path / "srv/old/repository.git"
    git.mkdir(parents=True)
    (git / "config").write_text(f'[remote "origin"]\n\turl = {SOURCE}\n')
    ran = sh(facts.script((MANAGED, PRESENT)).replace("main </dev/null", "present_facts </dev/null"))
    assert ran.stdout.splitlines() == [
        f"present\tapp=old\tdomains=www.example.com example.com \tsource={SOURCE}\truns= old@*.service ",
        "present\tapp=old-two\tdomains=\tsource=\truns= old-two@*.service ",
    ], ran.stderr
