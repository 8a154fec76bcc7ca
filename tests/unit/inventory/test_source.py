"""Repositories, and the keys that open them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from provision.inventory import load
from tests.inventories import APP, HOST, HOST_KEY, at, errors, host, source, write


@pytest.mark.parametrize(
    "repository",
    [
        "https://git.example.com/shop.git",
        "ssh://git@git.example.com:2222/shop.git",
        "git@git.example.com:team/shop.git",
        "git://203.0.113.5/shop.git",
        "/srv/git/shop.git",
    ],
)
def test_every_kind_of_git_repository_is_understood(repository: str) -> None:
    text = HOST + APP.replace("https://git.example.com/shop.git", f'"{repository}"')
    assert host(text).apps["shop"].source.repository == repository


def test_host_keys_may_be_a_line_a_list_or_what_ssh_keyscan_prints() -> None:
    line = f"git.example.com {HOST_KEY}"
    for written in (
        f"'{HOST_KEY}'",
        f"[{line}]",
        f'"# git.example.com:22 SSH-2.0-OpenSSH\\n{line}\\n"',
        f"['|1|c2FsdA==|aGFzaA== {HOST_KEY} comment']",
    ):
        (found,) = host(source(f"host_key: {written}")).apps["shop"].source.host_key
        assert HOST_KEY in found


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("git@git.example.com:you/shop.git", ("git.example.com", 22)),
        ("Git.Example.com:shop.git", ("git.example.com", 22)),
        ("ssh://git@git.example.com:2222/shop.git", ("git.example.com", 2222)),
        ("ssh://[2001:db8::1]/shop.git", ("2001:db8::1", 22)),
        ("https://git.example.com/shop.git", None),
        ("git://git.example.com/shop.git", None),
        ("file:///srv/shop.git", None),
        ("/srv/git@host:shop.git", None),
    ],
)
def test_a_repository_over_ssh_has_a_host_and_a_port(repository: str, expected: tuple[str, int] | None) -> None:
    assert host(source("folder: .", repository)).apps["shop"].source.ssh == expected


def test_a_deploy_key_is_generated_or_a_key_file_without_a_passphrase() -> None:
    assert host(source("deploy_key: generate")).apps["shop"].source.deploy_key == "generate"
    for name, passphrase in (("open", ""), ("locked", "a passphrase")):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", name], check=True)
    write(Path("open").read_text().rstrip().replace("\n", "\r\n"), "inventories/key")
    path = write(source("deploy_key: key"), "inventories/prod.yml")
    shop = load(path, {}).hosts["web1"].apps["shop"].source
    assert shop.deploy_key == Path("inventories/key").absolute()
    assert shop.private_key == Path("open").read_text()
    assert Path("open").read_text().splitlines()[2] not in f"{shop!r} {shop}"
    for name, wrong in (
        (
            "locked",
            "is locked by a passphrase, which the server cannot ask for; write generate, or name a key without one",
        ),
        ("open.pub", "is not a private key; name the file without .pub, or write generate"),
    ):
        assert errors(source(f"deploy_key: {name}")) == [
            at(3, f"apps.shop.source.deploy_key: {Path(name).absolute()} {wrong}")
        ]


def test_a_host_may_go_another_way_to_the_repository_than_its_group() -> None:
    text = source("deploy_key: generate") + "    apps: {shop: {source: {deploy_key: null, forward_agent: true}}}\n"
    shop = host(text).apps["shop"].source
    assert (shop.deploy_key, shop.forward_agent) == (None, True)


def test_a_push_has_a_key_for_requirements_only_with_the_keys_of_their_hosts() -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key"], check=True)
    assert errors(source("deploy_key: key, push: .")) == [
        at(
            3,
            "apps.shop.source: with push, deploy_key is for requirements at git+ssh://, and their hosts are not pinned; add host_key:"
            " what ssh-keyscan HOST prints",
        )
    ]
    line = f"libraries.example.com {HOST_KEY}"
    shop = host(source(f"deploy_key: key, push: ., host_key: ['{line}']")).apps["shop"].source
    assert (shop.private_key, shop.host_key) == (Path("key").read_text(), [line])
    assert shop.ssh is None
