"""The controller's own look at a site: a real one, on this machine."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.inventory import Inventory
from provision.release.outside import PublicName
from provision.run import outside
from provision.run.host import HostRun
from provision.run.request import Request
from provision.run.watcher import Silence
from tests import pem
from tests.unit.test_https import listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from provision.inventory import Host

    MakeHost = Callable[..., Host]

NAME = PublicName("shop", "localhost", "/health", "20261121T230500-abc1234", tells=True)
INVALID = PublicName("shop", "shop.invalid", "/health", "20261121T230500-abc1234", tells=True)
THIS = b"HTTP/1.1 200 OK\r\nX-Provision-Release: this\r\n\r\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the site's certificate. The ports of sites are one to which nothing listens."""
    pem.write(tmp_path, "site", "localhost", "shop.invalid")
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        for name in ("HTTP", "HTTPS"):
            monkeypatch.setattr(outside, name, held.getsockname()[1])
        yield tmp_path


def host(make_host: MakeHost, folder: Path, address: str = "127.0.0.1", more: str = "") -> Host:
    return make_host(f"hosts: {{web1: {{address: {address}{more}}}}}\ntls: {{root_ca: {folder}/site-root.pem}}\n")


def test_a_name_is_asked_where_it_leads_and_else_at_the_hosts_address(
    make_host: MakeHost, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening(THIS, folder) as (port, heard):
        monkeypatch.setattr(outside, "HTTPS", port)
        monkeypatch.setattr(outside, "HTTP", port)
        found = outside.look(host(make_host, folder), (NAME, INVALID))
    assert [one.what for one in found if one.level != "ok" and "127.0.0.1" in one.what] == []
    assert len([one for one in found if one.level == "ok"]) == 2
    asked = [text.decode().split("\r\n") for text in heard if text]
    assert {line for lines in asked for line in lines if line.startswith("Host: ")} == {
        "Host: localhost",
        "Host: shop.invalid",
    }
    assert all("X-Provision-Asks: 20261121T230500-abc1234" in lines for lines in asked)


def test_a_closed_port_is_a_warning(make_host: MakeHost, folder: Path) -> None:
    (found,) = outside.look(host(make_host, folder), (INVALID,))
    assert str(found).startswith("shop.invalid: this machine cannot connect to port")
    assert found.level == "warn"


@pytest.mark.parametrize(
    ("address", "more"), [("127.0.0.1", ", proxy_jump: bastion.example.com"), ("no-such-host.invalid", "")]
)
def test_where_the_hosts_address_is_not_this_machines_to_ask_only_names_that_resolve_are_asked(
    make_host: MakeHost, folder: Path, address: str, more: str
) -> None:
    assert outside.look(host(make_host, folder, address, more), (INVALID,)) == ()


def test_an_address_of_another_host_is_asked_for_that_host(make_host: MakeHost, folder: Path) -> None:
    other = host(make_host, folder).model_copy(update={"name": "web2"})
    own = host(make_host, folder, "192.0.2.1")
    with_both = outside.look(own, (NAME,), (own, other))
    assert not any("127.0.0.1" in one.what for one in with_both)
    assert any("127.0.0.1" in one.what for one in outside.look(own, (NAME,), (own,)))


@pytest.mark.parametrize(("tls", "level"), [("", "stop"), (", check_dns: false", None)])
def test_something_else_at_the_hosts_own_address_is_an_error_unless_a_proxy_stands_in_front(
    make_host: MakeHost, folder: Path, monkeypatch: pytest.MonkeyPatch, tls: str, level: str | None
) -> None:
    with listening(b"HTTP/1.1 200 OK\r\n\r\n", folder) as (port, _):
        monkeypatch.setattr(outside, "HTTPS", port)
        monkeypatch.setattr(outside, "HTTP", port)
        web1 = make_host(f"hosts: {{web1: 127.0.0.1}}\ntls: {{root_ca: {folder}/site-root.pem{tls}}}\n")
        shared = web1.model_copy(update={"name": "web2"})
        found = outside.look(web1, (INVALID,), (web1,), strict=True)
        assert [one.level for one in found if one.level != "ok"] == ([level] if level else [])
        (both,) = outside.look(web1, (INVALID,), (web1, shared), strict=True)
        assert both.level != "stop"


def test_without_names_nothing_is_looked_up(make_host: MakeHost, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provision.controller.https.together", None)
    assert outside.look(host(make_host, folder), ()) == ()


@pytest.mark.parametrize(
    ("says", "status", "error", "warnings"),
    [
        (THIS, "ok", "", 0),
        (b"", "ok", "", 1),
        (
            b"HTTP/1.1 200 OK\r\n\r\n",
            "failed",
            "the release is activated, and not all of its clients get it: shop: https://shop.invalid at 127.0.0.1 ",
            0,
        ),
    ],
)
def test_a_run_asks_for_what_it_activated_and_its_result_says_what_answered(
    make_host: MakeHost,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    says: bytes,
    status: str,
    error: str,
    warnings: int,
) -> None:
    web1 = host(make_host, folder)
    inventory = Inventory(path=folder / "prod.yml", name="prod", hosts={"web1": web1}, groups={})
    run = HostRun(Request("restart", inventory, (web1,), roles.restarted), web1, {}, Silence())
    run.public = (INVALID, replace(INVALID, app="blog", name="blog.invalid"))
    run.progress.took[INVALID.ref] = 1.0
    with listening(says, folder) as (port, heard):
        monkeypatch.setattr(outside, "HTTPS", port)
        monkeypatch.setattr(outside, "HTTP", port)
        run.attempt(run.look_from_outside)
    result = run.result()
    assert (result.status, (result.error or "")[: len(error)], len(result.warnings)) == (status, error, warnings)
    assert bool(result.error) == bool(error)
    assert not any(b"blog" in text for text in heard)


def test_a_run_that_failed_asks_nobody(make_host: MakeHost, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web1 = host(make_host, folder)
    inventory = Inventory(path=folder / "prod.yml", name="prod", hosts={"web1": web1}, groups={})
    run = HostRun(Request("restart", inventory, (web1,), roles.restarted), web1, {}, Silence(), public=(INVALID,))
    run.progress.took[INVALID.ref] = 1.0
    run.progress.error = "it went back"
    monkeypatch.setattr(outside, "look", None)
    run.attempt(run.look_from_outside)
    assert run.result().error == "it went back"
