"""How a server gets the commits of an app."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.release.venv import Venv
from provision.resources.git import DeployKey, Mirror
from provision.resources.package import Packages
from tests.unit.tables import (
    COMMIT,
    TWO,
    activation,
    file,
    ids,
)

if TYPE_CHECKING:
    from pathlib import Path

    from provision.engine.resource import Resource
    from tests.unit.tables import MakeFacts, MakeHost


REPOSITORY = TWO.replace("https://git.example.com/shop.git", "{repository: 'git@git.example.com:shop.git', %s}")
LINES = ("git.example.com ssh-ed25519 AAAA",)


def mirror(resources: tuple[Resource, ...], app: str = "shop") -> Mirror:
    return next(one for one in resources if isinstance(one, Mirror) and one.path == f"/srv/{app}/repository.git")


def test_only_a_private_repository_brings_ssh_a_key_and_pinned_host_keys(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    facts = make_known(commits={"shop": COMMIT, "blog": COMMIT}, wanted={"host_keys": {"shop": LINES}})
    found = roles.everything(make_host(REPOSITORY % "deploy_key: generate"), *facts)
    assert [one for one in found if isinstance(one, DeployKey)] == [
        DeployKey("shop", "/etc/shop/deploy_key", "shop@web1", "git@git.example.com:shop.git")
    ]
    assert file(found, "/etc/shop/known_hosts").content == "git.example.com ssh-ed25519 AAAA\n"
    assert [one for one in ids(found) if "known_hosts" in one or one.startswith("deploy-key")] == [
        "deploy-key:shop",
        "file:/etc/shop/known_hosts",
    ]
    assert ids(found).index("file:/etc/shop/known_hosts") < ids(found).index("mirror:/srv/shop/repository.git")
    packages = next(one for one in found if isinstance(one, Packages))
    assert "openssh-client" in packages.names
    access = mirror(found).access
    assert access
    assert (access.key, access.known_hosts) == ("own", "/etc/shop/known_hosts")
    assert mirror(found, "blog").access is None
    public = next(one for one in roles.server(make_host(TWO), *facts) if isinstance(one, Packages))
    assert "openssh-client" not in public.names


def test_a_push_with_private_requirements_brings_ssh_and_pinned_host_keys_but_reads_no_repository(
    make_host: MakeHost, make_known: MakeFacts, tmp_path: Path
) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    pushed = REPOSITORY.replace("repository: 'git@git.example.com:shop.git'", "push: .")
    line = f"git.example.com {(tmp_path / 'key.pub').read_text()}"
    facts = make_known(
        commits={"shop": COMMIT, "blog": COMMIT}, wanted={"host_keys": {"shop": LINES}}, pushed={"shop": COMMIT}
    )
    found = roles.everything(make_host(pushed % f"deploy_key: key, host_key: {line}"), *facts)
    assert file(found, "/etc/shop/known_hosts").content == "git.example.com ssh-ed25519 AAAA\n"
    assert "openssh-client" in next(one for one in found if isinstance(one, Packages)).names
    assert (mirror(found).access, [one for one in found if isinstance(one, DeployKey)]) == (None, [])
    (venv,) = (one for one in found if isinstance(one, Venv) and one.app == "shop")
    assert venv.key == (tmp_path / "key").read_text()


def test_the_deploy_key_belongs_to_the_server_and_can_be_made_ahead_of_a_release(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    assert "deploy-key:shop" in ids(roles.server(make_host(REPOSITORY % "deploy_key: generate"), *make_known()))


@pytest.mark.parametrize(("more", "key"), [("forward_agent: true", "agent"), ("folder: .", "root")])
def test_a_server_without_a_key_of_its_own_uses_the_agent_or_what_root_has(
    more: str, key: str, make_host: MakeHost, make_known: MakeFacts
) -> None:
    facts = make_known(commits={"shop": COMMIT, "blog": COMMIT}, wanted={"host_keys": {"shop": LINES}})
    found = roles.everything(make_host(REPOSITORY % more), *facts)
    access = mirror(found).access
    assert access
    assert access.key == key
    assert not [one for one in found if isinstance(one, DeployKey)]


def test_the_way_to_the_repository_is_not_in_the_fingerprint(make_host: MakeHost, make_known: MakeFacts) -> None:
    facts = make_known(commits={"shop": COMMIT, "blog": COMMIT}, wanted={"host_keys": {"shop": LINES}})
    fingerprints = {
        activation(roles.everything(make_host(REPOSITORY % more), *facts)).fingerprint
        for more in ("deploy_key: generate", "forward_agent: true")
    }
    assert len(fingerprints) == 1
