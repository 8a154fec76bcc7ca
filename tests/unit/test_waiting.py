"""A site changes only once there is a certificate for its new names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.release.present import PresentApp
from provision.resources.certificate import Certificate
from provision.resources.file import Absent
from provision.resources.file_set import FileSet
from provision.resources.service import Service
from provision.roles.waiting import Waiting, waiting
from tests.unit.tables import BLOG, HOST, SHOP, TWO, ids

if TYPE_CHECKING:
    from tests.unit.tables import MakeFacts, MakeHost

SITES, ANSWERS = "/etc/nginx/sites-available", "/etc/nginx/sites-enabled/zz-000-answers.conf"


def app(name: str, *domains: str) -> PresentApp:
    return PresentApp(name, domains, "", ())


BLOG_APP = app("blog", "blog.example.com")


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ((), Waiting()),
        ((app("shop", "shop.example.com"), BLOG_APP), Waiting()),
        # It only loses a name, and its certificate is good for the rest.
        ((app("shop", "shop.example.com", "old.example.com"), BLOG_APP), Waiting()),
        ((app("shop", "old.example.com"), BLOG_APP), Waiting(frozenset({"shop"}), ("shop.example.com",))),
        ((app("shop", "old.example.com"),), Waiting(frozenset({"shop"}), ("shop.example.com",), first=True)),
        # A name goes from one to the other, which answers for it until then.
        ((app("shop", "shop.example.com", "blog.example.com"),), Waiting(frozenset({"shop", "blog"}))),
        ((app("shop", "blog.example.com"), app("blog", "shop.example.com")), Waiting(frozenset({"shop", "blog"}))),
    ],
)
def test_a_site_waits_if_it_lacks_a_name_or_if_another_has_it(
    present: tuple[PresentApp, ...], expected: Waiting, make_host: MakeHost, make_known: MakeFacts
) -> None:
    assert waiting(make_host(TWO), make_known(present=present).facts) == expected


@pytest.mark.parametrize("more", ["tls: {issuer: self-signed}\n", "roles: [base, web]\n"])
def test_without_an_issuer_nothing_waits(more: str, make_host: MakeHost, make_known: MakeFacts) -> None:
    host = make_host(f"{HOST}{more}apps:\n{SHOP}{BLOG}")
    assert waiting(host, make_known(present=(app("shop", "old.example.com"),)).facts) == Waiting()


def test_the_site_is_switched_with_its_certificate_by_one_reload(make_host: MakeHost, make_known: MakeFacts) -> None:
    known = make_known(present=(app("shop", "old.example.com"), BLOG_APP))
    server = roles.server(make_host(TWO), *known)
    first, last = (one for one in server if isinstance(one, FileSet))
    certificates = [one for one in server if isinstance(one, Certificate)]
    assert [(one.app, one.held) for one in certificates] == [("shop", True), ("blog", False)]
    assert f"{SITES}/shop.conf" not in first.paths
    assert {f"{SITES}/blog.conf", ANSWERS} < {*first.paths}
    assert last.paths == (f"{SITES}/shop.conf", "/etc/nginx/sites-enabled/zz-shop.conf")
    gone = [one for one in last.members if isinstance(one, Absent)]
    assert {(one.path, one.after) for one in gone} >= {(ANSWERS, first.ref)}
    order = ids(server)
    steps = ["files:nginx-first", "service:nginx-first", str(certificates[0].ref), "files:nginx", "service:nginx"]
    assert sorted(steps, key=order.index) == steps
    after = [one for one in server[order.index("files:nginx") :] if isinstance(one, Service)]
    assert [str(one.ref) for one in after] == ["service:nginx"]
    assert [one.also.stamp for one in after if one.also] == ["nginx-certificates"]
