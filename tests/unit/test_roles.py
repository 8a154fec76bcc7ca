from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.engine.resource import State
from provision.release.claim import Claim
from provision.release.uv import Uv
from provision.release.venv import Venv
from provision.resources.file_set import FileSet
from provision.resources.git import Mirror
from provision.resources.package import Packages
from provision.resources.python import CPython
from provision.resources.service import Service
from provision.resources.trust import TrustedCertificates
from tests import pem
from tests.unit.tables import (
    BLOG,
    CA,
    COMMIT,
    GUARDS,
    HOST,
    PRIVATE,
    RELEASE,
    SERVER,
    SHOP,
    TWO,
    file,
    ids,
)

if TYPE_CHECKING:
    from provision.engine.resource import Resource
    from tests.unit.tables import MakeFacts, MakeHost


def test_ten_lines_of_inventory_are_a_server_and_a_release_in_this_order(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    """Only what others lean on is listed: more may stand in between."""
    listed = {*SERVER, *RELEASE}
    found = ids(roles.everything(make_host(), *make_known()))
    assert [name for name in found if name in listed] == SERVER + RELEASE


def test_the_server_has_nothing_of_the_release(make_host: MakeHost, make_known: MakeFacts) -> None:
    server = ids(roles.server(make_host(), *make_known(commits={})))
    assert not set(RELEASE) & set(server)
    assert ids(roles.everything(make_host(), *make_known()))[: len(server)] == server


@pytest.mark.parametrize("text", [HOST, f"{HOST}apps:\n{SHOP}", TWO, f"{TWO}tls: {{issuer: self-signed}}\n"])
def test_all_ids_are_unique(text: str, make_host: MakeHost, make_known: MakeFacts) -> None:
    found = ids(roles.everything(make_host(text), *make_known(commits={"shop": COMMIT, "blog": COMMIT})))
    assert len(found) == len(set(found))


def test_every_change_has_the_id_of_its_resource(make_host: MakeHost, make_known: MakeFacts) -> None:
    for resource in roles.everything(
        make_host(f"{TWO}{PRIVATE}tls: {{check_dns: false}}\nhardening: {{nginx: true}}\n"),
        *make_known(commits={"shop": COMMIT, "blog": COMMIT}),
    ):
        change = resource.plan(State(), {})
        if resource.ref.kind in (*GUARDS, "sshd", "egress", "fail2ban", "notice", "redis", "absent"):
            assert change is None
            continue
        assert change is not None
        assert change.id == str(resource.ref)
        assert "\n" not in change.summary


def test_a_host_without_a_role_has_none_of_its_resources(make_host: MakeHost, make_known: MakeFacts) -> None:
    found = ids(roles.everything(make_host(f"{HOST}roles: [base]\napps:\n{SHOP}"), *make_known()))
    assert "user:shop" in found
    assert not [name for name in found if "nginx" in name or "certificate" in name or "release" in name]


def test_a_python_that_is_there_needs_no_compiler(make_host: MakeHost, make_known: MakeFacts) -> None:
    assert "packages:build" in ids(roles.server(make_host(), *make_known()))
    found = ids(roles.server(make_host(), *make_known(pythons=frozenset({"3.13.5"}))))
    assert "packages:build" not in found
    assert "python:3.13.5" in found


def test_two_apps_with_one_python_share_it(make_host: MakeHost, make_known: MakeFacts) -> None:
    assert ids(roles.server(make_host(TWO), *make_known())).count("python:3.13.5") == 1


def test_where_every_app_has_the_distributions_python_nothing_is_built_and_pyenv_is_not_there(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    resources = roles.everything(make_host(f"{HOST}apps:\n{SHOP[:-2]}, python: system}}\n"), *make_known())
    assert not [one for one in ids(resources) if one.startswith(("packages:build", "pyenv:", "python:"))]
    packages = next(one for one in resources if str(one.ref) == "packages:python")
    assert isinstance(packages, Packages)
    assert packages.names == ("python3", "python3-venv")
    (uv,) = (one for one in resources if isinstance(one, Uv))
    (venv,) = (one for one in resources if isinstance(one, Venv))
    assert uv.python == venv.python == "/usr"
    assert ids(resources).index("packages:python") < ids(resources).index(str(uv.ref))


def test_one_app_may_have_the_distributions_python_and_another_its_own(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    text = f"{HOST}apps:\n{SHOP[:-2]}, python: {{version: system, cache: false}}}}\n{BLOG}"
    resources = roles.everything(make_host(text), *make_known(commits={"shop": COMMIT, "blog": COMMIT}))
    assert {"packages:python", "packages:build", "pyenv:v2.6.30", "python:3.13.5"} <= set(ids(resources))
    venvs = {one.app: one.python for one in resources if isinstance(one, Venv)}
    assert venvs == {"shop": "/usr", "blog": "/opt/pyenv/versions/3.13.5"}


def test_a_server_without_the_distributions_python_has_no_package_of_it(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    assert "packages:python" not in ids(roles.server(make_host(), *make_known()))


def test_a_server_with_a_certificate_of_its_own_asks_no_authority(
    make_host: MakeHost, make_known: MakeFacts, tmp_path: Path
) -> None:
    pem.write(tmp_path, "own", "*.example.com")
    files = f"tls: {{issuer: files, certificate: {tmp_path}/own.pem, key: {tmp_path}/own.key}}\n"
    given = roles.server(make_host(f"{HOST}{files}apps:\n{SHOP}"), *make_known())
    assert [name for name in ids(given) if "certbot" in name or "certificate" in name] == [
        "certificate:/etc/ssl/provision/shop",
        "service:nginx-certificates",
    ]


def test_a_self_signed_server_asks_no_authority_and_tells_no_browser_to_insist(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    own = roles.server(make_host(f"{HOST}tls: {{issuer: self-signed}}\napps:\n{SHOP}"), *make_known())
    assert not [name for name in ids(own) if "certbot" in name or name.startswith("certificate:")]
    site = "/etc/nginx/sites-available/shop.conf"
    assert "Strict-Transport-Security" not in file(own, site).content
    assert "Strict-Transport-Security" in file(roles.server(make_host(), *make_known()), site).content
    off = roles.server(make_host(f"{HOST}tls: {{hsts: false}}\napps:\n{SHOP}"), *make_known())
    assert "Strict-Transport-Security" not in file(off, site).content


@pytest.mark.parametrize(
    ("system", "version", "directive"),
    [
        ("debian", "11", False),
        ("debian", "12", False),
        ("debian", "13", True),
        ("ubuntu", "22.04", False),
        ("ubuntu", "24.04", False),
        ("ubuntu", "26.04", True),
    ],
)
def test_http2_is_written_as_the_distributions_nginx_reads_it(
    system: str, version: str, directive: bool, make_host: MakeHost, make_known: MakeFacts
) -> None:
    server = roles.server(make_host(), *make_known(system=system, version=version))
    site = file(server, "/etc/nginx/sites-available/shop.conf").content
    assert ("http2 on;" in site) is directive
    assert ("listen 443 ssl http2;" in site) is not directive


def test_nginx_watches_each_file_that_it_reads(make_host: MakeHost, make_known: MakeFacts) -> None:
    server = roles.server(make_host(TWO), *make_known())
    nginx = next(one for one in server if str(one.ref) == "service:nginx")
    assert isinstance(nginx, Service)
    watched = {str(ref) for ref in nginx.watches}
    (sites,) = (one for one in server if isinstance(one, FileSet))
    assert watched == {"files:nginx"}
    assert nginx.reads == sites.paths
    assert {f"/etc/nginx/sites-enabled/{name}.conf" for name in ("000-default", "zz-shop", "zz-blog")} < {*sites.paths}


def test_nginx_reads_again_whichever_certificate_of_an_app_changes(make_host: MakeHost, make_known: MakeFacts) -> None:
    server = roles.server(make_host(TWO), *make_known())
    (read,) = (one for one in server if isinstance(one, Service) and one.stamp == "nginx-certificates")
    assert {str(ref) for ref in read.watches} == {
        f"{kind}:/etc/ssl/provision/{app}" for kind in ("placeholder", "certificate") for app in ("shop", "blog")
    }


def test_what_nginx_watches_are_resources_of_the_server(make_host: MakeHost, make_known: MakeFacts) -> None:
    server = roles.server(make_host(TWO), *make_known())
    named = {one.ref for one in server}
    for service in (one for one in server if isinstance(one, Service)):
        assert set(service.watches) <= named, service.ref


def test_the_files_of_authorities_are_not_read_again_by_roles(
    make_host: MakeHost, make_known: MakeFacts, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text(CA.read_text())
    host = make_host(f"{TWO}tls: {{issuer_ca: ca.pem}}\nmirrors: {{ca_bundle: ca.pem}}\n")
    (tmp_path / "ca.pem").unlink()
    server = roles.server(host, *make_known())
    assert file(server, "/etc/provision/acme-ca.pem").content == CA.read_text()
    (trusted,) = (one for one in server if isinstance(one, TrustedCertificates))
    assert "".join(trusted.certificates) == CA.read_text()


@pytest.mark.parametrize("python", ["system", '"3.13.5"'])
def test_only_the_inventory_makes_a_vm_and_a_lab_server_differ(
    python: str, make_host: MakeHost, make_known: MakeFacts
) -> None:
    rest = (
        "tls: {issuer: self-signed}\n"
        "apps:\n  shop:\n    source: https://git.example.com/shop.git\n    module: shop.main:app\n"
        f"    domains: [shop.test]\n    python: {python}\n"
    )
    vm = make_host(f"connect: vagrant\nhosts: {{web1: }}\n{rest}")
    server = make_host(f"user: admin\nport: 2222\nhosts: {{web1: 203.0.113.10}}\n{rest}")
    known = make_known(login="admin", home="/home/admin", memory=24 * 1024**3)
    emulated = make_known(login="vagrant", home="/home/vagrant", memory=1024**3)
    wanted = [unreached(roles.everything(host, *seen)) for host, seen in ((vm, emulated), (server, known))]
    assert wanted[0] == wanted[1]


def unreached(resources: tuple[Resource, ...]) -> list[Resource]:
    """Without the login, and its home, by way of which files are sent: they belong to the connection."""
    same: list[Resource] = []
    for one in resources:
        if isinstance(one, Mirror):
            one = replace(one, home="")
        elif isinstance(one, Claim):
            one = replace(one, logins=())
        elif isinstance(one, CPython):
            one = replace(one, login="", home="")
        same.append(one)
    return same
