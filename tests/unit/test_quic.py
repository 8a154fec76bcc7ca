"""HTTP/3: what a site says of it, and where it is refused."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest

from provision.errors import PlanError
from provision.resources.nginx import Listen, Nginx, Server
from tests.unit.test_web import site

if TYPE_CHECKING:
    from tests.unit.test_web import MakeFacts, MakeHost


HTTP3 = "tls: {http3: true}\n"


def test_http3_is_told_and_listened_for_where_the_inventory_says_so(make_host: MakeHost, make_known: MakeFacts) -> None:
    debian13 = functools.partial(make_known, version="13")
    asked, not_asked = (site(make_host, debian13, more) for more in (HTTP3, ""))
    told = """add_header Alt-Svc 'h3=":443"; ma=86400' always;"""
    for line in ("listen 443 quic;", "listen [::]:443 quic;", told):
        assert line in asked
        assert line not in not_asked


def test_an_nginx_without_http3_is_refused_in_the_plan(make_host: MakeHost, make_known: MakeFacts) -> None:
    with pytest.raises(PlanError) as refused:
        site(make_host, make_known, HTTP3)
    assert str(refused.value) == (
        "tls.http3: the nginx of Debian 12 has no HTTP/3; Debian 13 has one that does: take http3 out for this host"
    )


def test_a_site_of_somebody_elses_that_has_http3_is_named(make_host: MakeHost, make_known: MakeFacts) -> None:
    listens = (Listen("*:443", frozenset({"ssl"})), Listen("*:443", frozenset({"quic", "reuseport"})))
    other = Server("/etc/nginx/conf.d/blog.conf", False, True, listens, frozenset({"blog.example.org"}))
    nginx = Nginx(present=True, reads=True, servers=(other,))
    with pytest.raises(PlanError, match=r"tls\.http3: /etc/nginx/conf\.d/blog\.conf listens for HTTP/3 already"):
        site(make_host, functools.partial(make_known, version="13", nginx=nginx), HTTP3)
