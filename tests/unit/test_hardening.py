from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.engine.resource import State
from provision.inventory import Hardening
from provision.release.activation import Activation
from provision.resources.certificate import Certificate
from provision.resources.egress import Egress
from provision.resources.notice import Notice
from provision.resources.packet_filter import PacketFilter
from provision.resources.sshd import SshServer
from provision.roles.hardening import firewall, hardening

if TYPE_CHECKING:
    from provision.engine.resource import Resource
    from tests.unit.tables import MakeFacts, MakeHost

SUM = hashlib.sha256(b"Private.\n").hexdigest()
HOST = "hosts: {web1: {address: 203.0.113.10, user: %s}}\nhardening: %s\n"


def made(make_host: MakeHost, make_known: MakeFacts, text: str, user: str = "deploy") -> tuple[Resource, ...]:
    host, (facts, wanted) = make_host(HOST % (user, text)), make_known()
    return (*firewall(host, wanted), *hardening(host, facts, wanted))


def sshd(resources: tuple[Resource, ...]) -> SshServer:
    return next(one for one in resources if isinstance(one, SshServer))


def packet_filter(resources: tuple[Resource, ...]) -> PacketFilter:
    return next(one for one in resources if isinstance(one, PacketFilter))


def test_nothing_is_done_that_is_not_asked_for(make_host: MakeHost, make_known: MakeFacts) -> None:
    found = made(make_host, make_known, "{}")
    assert (sshd(found).settings, packet_filter(found).wanted) == ((), False)
    assert [str(one.ref) for one in found if one.ref.kind in ("packages", "service")] == []


def test_all_parts_or_all_but_some(make_host: MakeHost, make_known: MakeFacts) -> None:
    found = made(make_host, make_known, "{all: true, firewall: false}")
    assert (bool(sshd(found).settings), packet_filter(found).wanted) == (True, False)


@pytest.mark.parametrize(("user", "root"), [("root", "prohibit-password"), ("deploy", "no")])
def test_root_logs_in_only_where_nobody_else_works(
    make_host: MakeHost, make_known: MakeFacts, user: str, root: str
) -> None:
    settings = dict(sshd(made(make_host, make_known, "{ssh: true}", user)).settings)
    assert (settings["PermitRootLogin"], settings["PasswordAuthentication"]) == (root, "no")


def test_the_inventorys_own_settings_win(make_host: MakeHost, make_known: MakeFacts) -> None:
    found = sshd(made(make_host, make_known, "{ssh: true, ssh_settings: {maxauthtries: 2, AllowUsers: deploy}}"))
    names = [name for name, _ in found.settings]
    assert ("maxauthtries", "2") in found.settings
    assert "MaxAuthTries" not in names
    assert "AllowUsers" in names


SHOP = """
apps:
  shop:
    module: main:app
    domains: [shop.example.com]
    source: {repository: "git@git.example.com:shop.git", forward_agent: %s, host_key: "%s"}
"""
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0fQ1yQ2bzv1zPq0v4vR8zC4oKkqgkS2yq1mX3J8b7K"


@pytest.mark.parametrize("forwards", ["true", "false"])
def test_an_agent_is_forwarded_only_where_a_repository_needs_it(
    make_host: MakeHost, make_known: MakeFacts, forwards: str
) -> None:
    host = make_host(HOST % ("deploy", "{ssh: true}") + SHOP % (forwards, HOST_KEY))
    settings = dict(sshd(hardening(host, *make_known())).settings)
    assert ("AllowAgentForwarding" not in settings) is (forwards == "true")


@pytest.mark.parametrize("parts", ["{firewall: true, egress: true}", "{}"])
def test_what_opens_the_server_comes_before_what_is_asked_from_outside(
    make_host: MakeHost, make_known: MakeFacts, parts: str
) -> None:
    app = (
        "apps: {shop: {source: {repository: 'https://git.test/shop.git'}, module: 'shop:app', domains: [shop.test]}}\n"
    )
    kinds = [type(one) for one in roles.everything(make_host((HOST % ("deploy", parts)) + app), *make_known())]
    assert kinds.index(PacketFilter) < kinds.index(Certificate)
    assert kinds.index(Egress) < kinds.index(Activation)


def test_the_firewall_opens_what_the_roles_need(make_host: MakeHost, make_known: MakeFacts) -> None:
    assert packet_filter(made(make_host, make_known, "{firewall: true, open: [25, 80]}")).ports == (25, 80, 443)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{open: [25]}", "open belongs to a part that is not asked for: add firewall: true"),
        ("{ssh_settings: {AllowUsers: me}}", "ssh_settings belongs to a part that is not asked for: add ssh: true"),
        ("{ssh: true, ssh_keys: [mine]}", '"mine" is not a public key; write the line of a .pub file'),
        ("{ssh: true, ssh_settings: {'Allow Users': me}}", '"Allow Users" is not a setting of sshd'),
        ("{firewall: true, open: [70000]}", "open"),
        ("{firewall: true, ssh_from: [everywhere]}", "everywhere"),
    ],
)
def test_what_cannot_be_meant_is_refused(make_host: MakeHost, text: str, message: str) -> None:
    with pytest.raises(Exception, match=r"prod\.yml") as refused:
        make_host(HOST % ("deploy", text))
    assert message in str(refused.value)


def test_a_part_by_itself_wins_over_all() -> None:
    assert not Hardening.model_validate({"all": True, "ssh": False}).wants("ssh")


def test_a_notice_is_shown_before_a_login_and_what_was_there_comes_back(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    found = make_host(HOST % ("deploy", "{ssh: true, notice: Private.}"))
    (notice,) = (one for one in hardening(found, *make_known()) if isinstance(one, Notice))
    assert dict(sshd(hardening(found, *make_known())).settings)["Banner"] == "/etc/issue.net"
    assert notice == Notice("Private.\n")
    right = {"console": SUM, "network": SUM, "kept": "yes"}
    assert notice.plan(State.of(right), {}) is None
    assert notice.plan(State.of({**right, "kept": ""}), {})
    assert notice.plan(State.of({**right, "network": "another"}), {})
    assert Notice().plan(State.of({**right, "kept": ""}), {}) is None
    assert Notice().plan(State.of(right), {})


def test_the_page_on_security_shows_what_an_auditor_gets() -> None:
    root = Path(__file__).parents[2]
    _, audited = (root / "benchmarks/audited.yml").read_text().split("\n", 1)
    assert f"```yaml\n{audited}```" in (root / "docs/security.md").read_text()
