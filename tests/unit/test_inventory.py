from __future__ import annotations

import logging
import re
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.errors import InventoryError
from provision.inventory import MODELS, Host, Inventory, Model, find, load
from provision.inventory import manual as reference
from tests import pem

if TYPE_CHECKING:
    from collections.abc import Mapping

HOST = """\
hosts:
  web1:
    address: 203.0.113.10
"""
APP = """\
apps:
  shop:
    source: https://git.example.com/shop.git
    module: shop.main:app
    domains: [shop.example.com]
"""
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
CAS = Path(__file__).with_name("ca.pem").read_text()
GIT = "write https://HOST/PATH, ssh://HOST/PATH, git@HOST:PATH or /PATH"


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def source(more: str, repository: str = "git@git.example.com:shop.git") -> str:
    """An inventory whose app has this repository, and more keys of its source."""
    return APP.replace("https://git.example.com/shop.git", f"{{repository: '{repository}', {more}}}") + HOST


def write(text: str, name: str = "prod.yml") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def inventory(text: str, environ: Mapping[str, str] | None = None) -> Inventory:
    return load(write(text), environ or {})


def host(text: str, name: str = "web1", environ: Mapping[str, str] | None = None) -> Host:
    return inventory(text, environ).hosts[name]


def errors(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(InventoryError) as caught:
        inventory(text, environ)
    assert str(caught.value) == "\n".join(caught.value.errors)
    assert caught.value.__cause__ is None
    return list(caught.value.errors)


def test_one_server_and_one_app_need_at_most_twelve_lines() -> None:
    loaded = inventory(reference.SMALLEST)
    assert len(reference.SMALLEST.splitlines()) <= 12
    assert loaded.name == "prod"
    only = loaded.hosts["web1"]
    assert (only.address, only.port, only.user, only.become) == ("203.0.113.10", 22, "root", "auto")
    assert only.roles == ["base", "python", "app", "web", "tls"]
    shop = only.apps["shop"]
    assert shop.name == "shop"
    assert shop.source.repository == "https://git.example.com/shop.git"
    assert (shop.source.revision, shop.python.version, shop.health.path) == ("HEAD", "3.13.5", "/health")
    assert only.tls.issuer == "letsencrypt"


def test_a_host_without_apps_is_enough() -> None:
    assert host(HOST).apps == {}


def test_a_host_that_has_only_an_address_may_be_written_in_one_word() -> None:
    assert host("hosts: {web1: web1.example.com}").address == "web1.example.com"
    assert host("hosts: {web1: '2001:db8::1'}").address == "2001:db8::1"


def test_models_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        host(HOST).port = 23


LAYERS = """\
port: 1
user: top
timezone: Europe/Berlin
packages: [top]
apps:
  shop:
    source: https://git.example.com/shop.git
    python: "3.12.1"
    module: shop.main:app
    domains: ["{host}.example.com", shop.example.com]
    environment: {A: top, B: top, C: top}
groups:
  first: {port: 2, user: first, apps: {shop: {environment: {B: first}, health: /first}}}
  second:
    user: second
    packages: [second]
    hosts: [web2]
    apps: {shop: {python: {optimized: true}, health: {timeout: 5}, source: {revision: main}}}
hosts:
  web1:
    address: 203.0.113.10
    groups: [first, second, loose]
    timezone:
    apps: {shop: {workers: 2, environment: {C: web1, A: }}}
  web2: {address: 203.0.113.11, groups: [first]}
  web3: {address: 203.0.113.12, apps: {shop: }}
"""


def test_a_host_wins_over_its_groups_and_those_over_the_top() -> None:
    web1 = host(LAYERS)
    assert (web1.port, web1.user, web1.packages) == (2, "second", ["second"])
    assert web1.apps["shop"].workers == 2
    assert web1.apps["shop"].module == "shop.main:app"


def test_groups_win_in_the_order_in_which_a_host_lists_them() -> None:
    swapped = LAYERS.replace("[first, second, loose]", "[second, first]")
    assert (host(LAYERS).user, host(swapped).user) == ("second", "first")


def test_groups_that_list_a_host_come_after_those_that_it_lists() -> None:
    web2 = host(LAYERS, "web2")
    assert (web2.groups, web2.user) == (["first", "second"], "second")


def test_mappings_are_merged_and_lists_are_replaced() -> None:
    assert host(LAYERS, "web2").apps["shop"].env == {"A": "top", "B": "first", "C": "top"}
    assert host(LAYERS, "web2").packages == ["second"]


def test_shorthands_and_mappings_are_merged() -> None:
    shop = host(LAYERS).apps["shop"]
    assert (shop.python.version, shop.python.optimized) == ("3.12.1", True)
    assert (shop.health.path, shop.health.timeout) == ("/first", 5)
    assert (shop.source.repository, shop.source.revision) == ("https://git.example.com/shop.git", "main")


def test_the_distributions_python_is_asked_for_by_a_word() -> None:
    for written in ("system", "{version: system}", "{version: system, cache: false}"):
        python = host(f"{APP}    python: {written}\n{HOST}").apps["shop"].python
        assert (python.system, python.name) == (True, "system")
    assert not host(APP + HOST).apps["shop"].python.system


def test_null_goes_back_to_the_default() -> None:
    web1 = host(LAYERS)
    assert web1.timezone == "Etc/UTC"
    assert web1.apps["shop"].env == {"B": "first", "C": "web1"}
    assert host(LAYERS, "web3").apps == {}


def test_host_in_a_domain_stands_for_the_hosts_name() -> None:
    assert host(LAYERS).apps["shop"].domains == ["web1.example.com", "shop.example.com"]
    assert host(LAYERS, "web2").apps["shop"].domains == ["web2.example.com", "shop.example.com"]


def test_groups_know_their_hosts_declared_or_not() -> None:
    groups = inventory(LAYERS).groups
    assert groups == {"first": ("web1", "web2"), "second": ("web1", "web2"), "loose": ("web1",)}


def test_yaml_anchors_and_merge_keys_work() -> None:
    text = "hosts:\n  web1: &base {address: 203.0.113.10, port: 2222}\n  web2: {<<: *base, address: 203.0.113.11}\n"
    assert (host(text, "web2").address, host(text, "web2").port) == ("203.0.113.11", 2222)


def test_roles_are_put_in_their_fixed_order() -> None:
    assert host(HOST + "    roles: [web, base]\n").roles == ["base", "web"]


def test_domains_are_lower_cased_and_encoded() -> None:
    text = HOST + APP.replace("[shop.example.com]", "[Shop.Example.COM., bücher.example.com]")
    assert host(text).apps["shop"].domains == ["shop.example.com", "xn--bcher-kva.example.com"]


def test_values_of_the_environment_stay_as_they_are_written() -> None:
    text = HOST + APP + "    environment: {A: 1.10, B: 007, C: True, D: no, E: 'a b', F: 1_0, G: 12:30:00}\n"
    assert host(text).apps["shop"].env == {
        "A": "1.10",
        "B": "007",
        "C": "true",
        "D": "no",
        "E": "a b",
        "F": "1_0",
        "G": "12:30:00",
    }


def test_numbers_where_text_belongs_are_taken_as_written() -> None:
    text = HOST + APP.replace("https://git.example.com/shop.git", "{repository: /srv/git/shop.git, revision: 0123456}")
    assert host(text).apps["shop"].source.revision == "0123456"
    assert host(HOST + APP + "    memory_max: 1073741824\n").apps["shop"].memory_max == "1073741824"


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


def test_migrate_is_true_false_or_a_command() -> None:
    for written, meant in (("yes", True), ("no", False), ("false", False), ("python -m shop.migrate", None)):
        expected = written if meant is None else meant
        assert host(HOST + APP + f"    migrate: {written}\n").apps["shop"].migrate == expected


def test_a_release_goes_live_host_by_host_and_back_when_it_fails_unless_it_is_said_otherwise() -> None:
    assert (host(HOST).rollout.batch, host(HOST).rollout.on_failure) == (1, "rollback")
    other = host(HOST + "rollout: {batch: 25%, on_failure: stop}\n").rollout
    assert (other.batch, other.on_failure) == ("25%", "stop")


@pytest.mark.parametrize(
    ("batch", "hosts", "size"),
    [
        ("1", 10, 1),
        ("2", 10, 2),
        ("'3'", 10, 3),
        ("9999", 10, 9999),
        ("25%", 10, 2),
        ("25%", 3, 1),
        ("1%", 10, 1),
        ("99%", 10, 9),
        ("100%", 10, 10),
        ("50%", 1, 1),
        ("50%", 0, 1),
    ],
)
def test_a_batch_is_so_many_hosts_or_a_share_of_them_rounded_down_but_never_none(
    batch: str, hosts: int, size: int
) -> None:
    assert host(HOST + f"rollout: {{batch: {batch}}}\n").rollout.size(hosts) == size


@pytest.mark.parametrize(
    "batch", ["0", "-1", "00", "01", "2.5", "10000", "0%", "101%", "-5%", "2.5%", "'%'", "25 %", "half", "true", "''"]
)
def test_what_is_no_batch_is_refused(batch: str) -> None:
    shown = batch.strip("'").replace("true", "True")
    assert errors(HOST + f"rollout: {{batch: {batch}}}\n") == [
        f'prod.yml:4: rollout.batch: "{shown}" is not a batch; write a number of hosts such as 2, or a percentage such as 25%'
    ]


def test_an_app_migrates_on_the_first_host_unless_it_is_said_otherwise() -> None:
    assert host(HOST + APP).apps["shop"].migrate_on == "first"
    assert host(HOST + APP + "    migrate_on: every\n").apps["shop"].migrate_on == "every"


ENV_FILE = "# shop\nA=file\nB='file value'\nexport C=file\nD=${A}-more\n"


def test_environment_wins_over_secrets_and_those_over_the_env_file() -> None:
    write(ENV_FILE, "env/shop.env")
    text = HOST + APP + "    env_file: env/shop.env\n    secrets: [B, C]\n    environment: {C: here}\n"
    shop = host(text, environ={"B": "secret", "C": "secret", "X": "unasked"}).apps["shop"]
    assert shop.env == {"A": "file", "B": "secret", "C": "here", "D": "file-more"}


def test_files_are_found_from_the_file_in_which_they_are_written() -> None:
    for name in ("home/.ssh/id", "inventories/deep/shop.env"):
        write("A=1\n", name)
    write(CAS, "inventories/deep/ca.pem")
    write(APP + "    env_file: shop.env\ntls: {root_ca: ca.pem}\n", "inventories/deep/base.yml")
    path = write("include: deep/base.yml\n" + HOST + "    key: ~/.ssh/id\n", "inventories/prod.yml")
    web1 = load(path, {}).hosts["web1"]
    assert web1.key == Path("home/.ssh/id").absolute()
    assert web1.tls.root_ca == Path("inventories/deep/ca.pem").absolute()
    assert web1.apps["shop"].env == {"A": "1"}


def test_values_of_an_included_file_lie_underneath() -> None:
    write("port: 1\nuser: deepest\nagent: false\n", "deepest.yml")
    write("include: deepest.yml\nport: 2\n" + HOST, "base.yml")
    loaded = inventory("include: [base.yml]\nport: 3\nhosts: {web1: {user: own}, web2: 203.0.113.11}\n")
    assert list(loaded.hosts) == ["web1", "web2"]
    web1 = loaded.hosts["web1"]
    assert (web1.address, web1.port, web1.user, web1.agent) == ("203.0.113.10", 3, "own", False)


def test_secrets_are_in_no_representation_and_no_error() -> None:
    secret = "hunter2-hunter2"
    write(f"A={secret}\n", "shop.env")
    environment = f"    environment: {{B: {secret}}}\n    env_file: shop.env\n    secrets: [C]\n"
    index = f"mirrors: {{index: 'https://user:{secret}@packages.example.com/simple'}}\n"
    loaded = inventory(HOST + APP + environment + index, {"C": secret})
    assert set(loaded.hosts["web1"].apps["shop"].env.values()) == {secret}
    assert secret not in repr(loaded)
    assert secret not in str(loaded)
    for wrong in (
        APP + f"    environment: {{B: [{secret}]}}\n",
        APP + f"    environment: {secret}\n",
        APP + f'    environment: {{B: "{secret}\\n"}}\n',
        APP + f"    environment: {{B: !{secret}}}\n",
        APP + f"    secrets: [C={secret}]\n",
        APP + f"    secrets: {{C: {secret}}}\n",
        APP + "    env_file: broken.env\n",
        APP.replace("https://git", f"'https://u:{secret}@ git").replace("shop.git", "shop.git'"),
        f"mirrors: {{index: '{secret}'}}\n",
        f"mirrors: {{index: [{secret}]}}\n",
    ):
        write(f"A=1\n{secret}\n", "broken.env")
        for line in errors(HOST + wrong):
            assert secret not in line


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


OWN = "tls: {issuer: files, certificate: own.pem, key: own.key}\n"
SITE = HOST + "apps: {shop: {source: /srv/git/shop.git, module: shop:app, domains: [www.example.com]}}\n"


def test_a_certificate_and_its_key_are_read_and_the_key_is_not_shown() -> None:
    pem.write(Path(), "own", "*.example.com")
    tls = host(SITE + OWN).tls
    assert (tls.chain, tls.private_key) == (Path("own.pem").read_text(), Path("own.key").read_text())
    assert tls.chain.count("BEGIN CERTIFICATE") == 2
    assert tls.private_key.splitlines()[1] not in f"{tls!r} {tls}"


@pytest.mark.parametrize(
    ("domains", "covered"),
    [
        (("www.example.com",), True),
        (("shop.example.com", "WWW.example.com"), True),
        (("*.example.com",), True),
        (("example.com",), False),
        (("*.com",), False),
        (("*.www.example.com",), False),
    ],
)
def test_a_certificate_is_for_the_domains_of_the_host(domains: tuple[str, ...], covered: bool) -> None:
    pem.write(Path(), "own", *domains)
    wrong = f"the certificate in {Path('own.pem').absolute()} is not for www.example.com; get one that is"
    if covered:
        assert inventory(SITE + OWN)
    else:
        assert [line.split(": ", 2)[2] for line in errors(SITE + OWN)] == [wrong]


@pytest.mark.parametrize(
    ("tls", "wrong"),
    [
        ("issuer: files", "tls: issuer: files needs certificate and key, the paths of two PEM files"),
        ("issuer: files, key: own.key", "tls: issuer: files needs certificate and key, the paths of two PEM files"),
        ("certificate: own.pem, key: own.key", "tls: certificate and key are for issuer: files; write that, or remove them"),
        ("issuer: files, certificate: own.pem, key: other.key", "tls: {cwd}/other.key is not the key of the certificate in {cwd}/own.pem; name its own"),
        ("issuer: files, certificate: own.pem, key: locked.key", "tls.key: {cwd}/locked.key is locked by a passphrase, which nginx cannot ask for; name a key without one"),
        ("issuer: files, certificate: own.pem, key: own.pem", "tls.key: {cwd}/own.pem is not a private key in PEM form, with -----BEGIN PRIVATE KEY-----"),
        ("issuer: files, certificate: own.key, key: own.key", "tls.certificate: {cwd}/own.key has a private key, and everybody on the server may read this file; leave only certificates in it"),
        ("issuer: files, certificate: none.pem, key: own.key", "tls.certificate: there is no file {cwd}/none.pem; correct the path (relative ones start at the inventory's folder)"),
    ],
)  # fmt: skip
def test_a_certificate_or_key_that_nginx_could_not_use_is_one_line(tls: str, wrong: str) -> None:
    for name, passphrase in (("own", ""), ("other", ""), ("locked", "a passphrase")):
        pem.write(Path(), name, "www.example.com", passphrase=passphrase)
    (line,) = errors(SITE + f"tls: {{{tls}}}\n")
    assert line.partition(": ")[2] == wrong.replace("{cwd}", str(Path.cwd()))


def test_a_certificate_that_expired_is_refused() -> None:
    pem.write(Path(), "own", "www.example.com", days=-1)
    (line,) = errors(SITE + OWN)
    assert re.search(
        r"tls\.certificate: the certificate in /.*/own\.pem expired on \d{4}-\d\d-\d\d; get a new one$", line
    )


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


def at(line: int, message: str) -> str:
    return f"prod.yml:{line}: {message}"


WRONG = [
    ("", at(1, "the file is empty; begin with hosts:")),
    ("# nothing\n", at(1, "the file is empty; begin with hosts:")),
    ("- a\n", at(1, "not a mapping; begin with hosts:")),
    ("port: 22\n", at(1, "hosts: no hosts; write for example hosts: {web1: 203.0.113.10}")),
    ("port: 22\nhosts:\n", at(1, "hosts: no hosts; write for example hosts: {web1: 203.0.113.10}")),
    ("port: 22\nhosts: {}\n", at(2, "hosts: no hosts; write for example hosts: {web1: 203.0.113.10}")),
    ("hosts: [web1]\n", at(1, "hosts: a list is not a mapping; write names and what belongs to them")),
    (HOST + "\tport: 22\n", at(4, "a tab, which YAML does not allow for indentation; use spaces")),
    (HOST + "    port: [22\n", at(5, "not YAML: did not find expected ',' or ']'; check the indentation, quotes and brackets")),
    (HOST + "    user: a: b\n", at(4, 'not YAML: a ":" where none can be; check the indentation, and quote values with ": " in them')),
    (HOST + "    user: @a\n", at(4, "not YAML: a value cannot begin with this character; quote the value")),
    (HOST + "    user: *a\n", at(4, "a value that begins with * means an alias, and there is no such anchor; quote the value")),
    (HOST + "    user: !a b\n", at(4, "hosts.web1.user: a value that begins with ! is a YAML tag, which means nothing here; quote the value")),
    (HOST + "    tls: &a {email: *a}\n", at(4, "hosts.web1.tls.email: an alias inside its own anchor; write the value out")),
    (HOST + "---\nport: 1\n", at(4, 'a second document begins here; remove the "---"')),
    (HOST + "    port: 1\n    port: 1\n", at(5, "hosts.web1.port: written twice, first in line 4; keep one")),
    (HOST + "  web1: 203.0.113.11\n", at(4, "hosts.web1: written twice, first in line 2; keep one")),
    (HOST + "    prot: 22\n", at(4, 'hosts.web1.prot: unknown key; did you mean "port"?')),
    (HOST + "    prot:\n", at(4, 'hosts.web1.prot: unknown key; did you mean "port"?')),
    (HOST + "    workers: 2\n", at(4, 'hosts.web1.workers: unknown key; did you mean "apps.NAME.workers"?')),
    ("prot: 22\n" + HOST, at(1, 'prot: unknown key; did you mean "port"?')),
    ("address: a.example.com\n" + HOST, at(1, 'address: "address" belongs to one host; write it under hosts.NAME')),
    (HOST + "groups: {web: {prot: 1}}\n", at(4, 'groups.web.prot: unknown key; did you mean "port"?')),
    (HOST + "groups: {web: {address: a}}\n", at(4, 'groups.web.address: "address" belongs to one host; write it under hosts.NAME')),
    (HOST + "tls: {foo: 1}\n", at(4, "tls.foo: unknown key; known are: certificate, check_dns, email, hsts, issuer, issuer_ca, key, root_ca")),
    (HOST + "    port: abc\n", at(4, 'hosts.web1.port: "abc" is not a whole number; write digits only')),
    (HOST + "    port: true\n", at(4, "hosts.web1.port: true is not a whole number; write digits only")),
    (HOST + "    port: 2.5\n", at(4, "hosts.web1.port: 2.5 is not a whole number; write digits only")),
    (HOST + "    port: 70000\n", at(4, "hosts.web1.port: 70000 is too large; at most 65535")),
    (HOST + "    connect_timeout: 0\n", at(4, "hosts.web1.connect_timeout: 0 is too small; at least 1")),
    (HOST + "    agent: maybe\n", at(4, 'hosts.web1.agent: "maybe" is not true or false; write true or false')),
    (HOST + "    user: [a]\n", at(4, "hosts.web1.user: a list is not text; put it in quotes if it is meant as text")),
    (HOST + '    user: "a\\e\\nb"\n', at(4, 'hosts.web1.user: "a b" is not a user name; write for example root')),
    (HOST + '    key: "a\\0"\n', at(4, "hosts.web1.key: there is no file {cwd}/a ; correct the path (relative ones start at the inventory's folder)")),
    (HOST + "    user: a b\n", at(4, 'hosts.web1.user: "a b" is not a user name; write for example root')),
    (HOST + "    become: sudoo\n", at(4, 'hosts.web1.become: "sudoo" is not known; did you mean "sudo"?')),
    (HOST + "    become: please\n", at(4, 'hosts.web1.become: "please" is not known; write auto or none or sudo or sudo-password')),
    (HOST + "    roles: [web, web]\n", at(4, "hosts.web1.roles: web is listed twice; keep one")),
    (HOST + "    roles: [base, wbe]\n", at(4, 'hosts.web1.roles[1]: "wbe" is not known; did you mean "web"?')),
    (HOST + "    roles: web\n", at(4, 'hosts.web1.roles: "web" is not a list; write [web]')),
    (HOST + "    roles: []\n", at(4, "hosts.web1.roles: the list is empty; name at least one")),
    (HOST + "    packages:\n      - htop\n      - A b\n", at(6, 'hosts.web1.packages[1]: "A b" is not the name of a package; write for example postgresql')),
    (HOST + "    packages:\n      -\n", at(5, "hosts.web1.packages[0]: the value is empty; write one, or remove the line")),
    (HOST + "    timezone: Europe/Berln\n", at(4, 'hosts.web1.timezone: "Europe/Berln" is not a time zone; did you mean "Europe/Berlin"?')),
    (HOST + "    locale: a b\n", at(4, 'hosts.web1.locale: "a b" is not a locale; write for example C.UTF-8 or en_US.UTF-8')),
    (HOST + "    proxy_jump: a b\n", at(4, 'hosts.web1.proxy_jump: "a b" is not a jump host; write USER@HOST:PORT or a name from ssh_config')),
    (HOST + "    key: .\n", at(4, "hosts.web1.key: {cwd} is a folder; name a file")),
    (HOST + "    key: id\n", at(4, "hosts.web1.key: there is no file {cwd}/id; correct the path (relative ones start at the inventory's folder)")),
    (HOST + "    known_hosts: ~/known\n", at(4, "hosts.web1.known_hosts: there is no file {cwd}/home/known; correct the path (relative ones start at the inventory's folder)")),
    (HOST + "tls: {issuer_ca: ca.pem}\n", at(4, "tls.issuer_ca: there is no file {cwd}/ca.pem; correct the path (relative ones start at the inventory's folder)")),
    (HOST + "tls: {issuer: mine}\n", at(4, 'tls.issuer: "mine" is not an issuer; write letsencrypt, letsencrypt-staging, self-signed, files or the https:// URL of an ACME directory')),
    (HOST + "tls: {email: ops}\n", at(4, 'tls.email: "ops" is not an email address; write for example ops@example.com')),
    (HOST + "tls: 3\n", at(4, "tls: 3 is not a mapping; write keys and values below it")),
    (HOST + "rollout: {batch: 0}\n", at(4, 'rollout.batch: "0" is not a batch; write a number of hosts such as 2, or a percentage such as 25%')),
    (HOST + "rollout: {on_failure: rollbak}\n", at(4, 'rollout.on_failure: "rollbak" is not known; did you mean "rollback"?')),
    (HOST + "rollout: {on_failure: go on}\n", at(4, 'rollout.on_failure: "go on" is not known; write rollback or stop')),
    (HOST + "rollout: 2\n", at(4, "rollout: 2 is not a mapping; write keys and values below it")),
    (
        HOST + "mirrors: {python: 'https://user:pw@mirror.example.com/python'}\n",
        at(
            4,
            "mirrors.python: a password here would be seen on the server; let the mirror know servers by their address",
        ),
    ),
    (HOST + "mirrors: {index: packages}\n", at(4, "mirrors.index: not a web address; write https://HOST/PATH")),
    (HOST + "  web2: 203.0.113.10\n", at(4, "hosts.web2.address: hosts web1 and web2 have the same address; correct one, or remove it")),
    (HOST + "  web2:\n", at(4, "hosts.web2.address: missing; write for example address: 203.0.113.10")),
    (HOST + "  web2: [a]\n", at(4, "hosts.web2: a list is not a mapping; write keys and values below it")),
    (HOST + "  web 2: a.example.com\n", at(4, 'hosts.web 2: "web 2" is not a name; use letters, digits, dot, _ and - only')),
    (HOST + "  web2: root@203.0.113.11\n", at(4, 'hosts.web2.address: "root@203.0.113.11" names a user; write user: root and address: 203.0.113.11')),
    (HOST + "  web2: 203.0.113.11:23\n", at(4, 'hosts.web2.address: "203.0.113.11:23" names a port; write port: 23 and address: 203.0.113.11')),
    (HOST + "  web2: 203.0.113.300\n", at(4, 'hosts.web2.address: "203.0.113.300" is neither a DNS name nor an IP address; write for example 203.0.113.10')),
    (HOST + "groups: {web1: {}}\n", at(4, 'groups.web1: "web1" is a host and a group; rename one of them')),
    (HOST + "    groups: [web1]\n", at(2, 'hosts.web1: "web1" is a host and a group; rename one of them')),
    (HOST + "    groups: web\n", at(4, 'hosts.web1.groups: "web" is not a list; write [web]')),
    (HOST + "    groups: [wbe]\ngroups: {web: }\n", at(4, 'hosts.web1.groups[0]: the group "wbe" is not under groups; did you mean "web"? (or add it there)')),
    (HOST + "groups: {web: {hosts: [web2]}}\n", at(4, 'groups.web.hosts[0]: there is no host "web2"; did you mean "web1"?')),
    (HOST + "groups: {web: {hosts: [db]}}\n", at(4, 'groups.web.hosts[0]: there is no host "db"; add it under hosts')),
    (HOST + "groups: {web: {hosts: web1}}\n", at(4, 'groups.web.hosts: "web1" is not a list; write [HOST, HOST]')),
    (HOST + "include: base.yml\n", at(4, "include: there is no file base.yml; correct the path, which starts at this file's folder")),
    (HOST + "include: .lab/lab.yml\n", at(4, "include: there is no file .lab/lab.yml; start the lab with `invoke lab.up`")),
    (HOST + "include: [prod.yml]\n", at(4, "include[0]: prod.yml includes this file again; remove one of the two includes")),
    (HOST + "include: 3\n", at(4, "include: not a path; write the path of another inventory, or a list of them")),
    (APP.replace("    module: shop.main:app\n", "") + HOST, at(2, "apps.shop.module: missing; write for example module: shop.main:app")),
    (APP.replace("    source: https://git.example.com/shop.git\n", "") + HOST, at(2, "apps.shop.source: missing; write for example source: https://git.example.com/shop.git")),
    (APP.replace("    domains: [shop.example.com]\n", "") + HOST, at(2, "apps.shop.domains: missing; write for example domains: [shop.example.com]")),
    (APP.replace("shop.example.com", "") + HOST, at(5, "apps.shop.domains: the list is empty; name at least one")),
    (APP.replace("shop.example.com", "'*.example.com'") + HOST, at(5, 'apps.shop.domains[0]: "*.example.com" is a wildcard, and HTTP-01 gives no certificate for those; list each name')),
    (APP.replace("shop.example.com", "'https://shop.example.com'") + HOST, at(5, 'apps.shop.domains[0]: "https://shop.example.com" is a URL; write the DNS name alone')),
    (APP.replace("shop.example.com", "203.0.113.10") + HOST, at(5, "apps.shop.domains[0]: 203.0.113.10 is an IP address; write a DNS name that points to it")),
    (APP.replace("shop.example.com", "a_b.example.com") + HOST, at(5, 'apps.shop.domains[0]: "a_b.example.com" is not a DNS name; write for example shop.example.com')),
    (APP.replace("shop.example.com", "a.example.com, A.example.com") + HOST, at(5, "apps.shop.domains: a.example.com is listed twice; keep one")),
    (APP.replace("shop.main:app", "shop.main") + HOST, at(4, 'apps.shop.module: "shop.main" is not an ASGI app; write package.module:attribute, for example shop.main:app')),
    (APP.replace("https://git.example.com/", "../") + HOST, at(3, f"apps.shop.source: not a git repository; {GIT}")),
    (APP.replace("https://git.example.com/shop.git", "ext::sh") + HOST, at(3, f"apps.shop.source: not a git repository; {GIT}")),
    (APP + "    source_: a\n" + HOST, at(6, 'apps.shop.source_: unknown key; did you mean "source"?')),
    (APP.replace("https://git.example.com/shop.git", "{repository: /a, folder: ../b}") + HOST, at(3, 'apps.shop.source.folder: "../b" is not a folder inside the repository; write a relative path without ".."')),
    (APP.replace("https://git.example.com/shop.git", "{repository: /a, revision: -b}") + HOST, at(3, 'apps.shop.source.revision: "-b" is not a git revision; write a branch, a tag or a commit')),
    (APP.replace("https://git.example.com/shop.git", "{revision: b}") + HOST, at(3, "apps.shop.source: no repository; write for example repository: https://git.example.com/shop.git")),
    (source("deploy_key: generate", "https://git.example.com/shop.git"), at(3, "apps.shop.source.deploy_key: deploy_key is for a repository over SSH; write repository: git@HOST:PATH, or remove deploy_key")),
    (source("forward_agent: true", "/srv/shop"), at(3, "apps.shop.source.forward_agent: forward_agent is for a repository over SSH; write repository: git@HOST:PATH, or remove forward_agent")),
    (source(f"host_key: {HOST_KEY}", "https://git.example.com/shop.git"), at(3, "apps.shop.source.host_key: host_key is for a repository over SSH; write repository: git@HOST:PATH, or remove host_key")),
    (source("deploy_key: generate, push: ."), at(3, "apps.shop.source.deploy_key: deploy_key is for a repository that the server reads, and push needs none; remove one of them")),
    (source("forward_agent: true, push: ."), at(3, "apps.shop.source.forward_agent: forward_agent is for a repository that the server reads, and push needs none; remove one of them")),
    (source("deploy_key: generate, forward_agent: true"), at(3, "apps.shop.source.forward_agent: deploy_key and forward_agent are two ways to the same repository; remove one of them")),
    (source("deploy_key: [generate]"), at(3, "apps.shop.source.deploy_key: a list is not a deploy key; write generate, or the path of a private key file")),
    (source("deploy_key: genrate"), at(3, "apps.shop.source.deploy_key: there is no file {cwd}/genrate; correct the path (relative ones start at the inventory's folder)")),
    (source("host_key: {a: b}"), at(3, "apps.shop.source.host_key: a mapping is not a host key; write the lines that ssh-keyscan HOST prints")),
    (source("host_key: [SHA256:abc]"), at(3, 'apps.shop.source.host_key[0]: "SHA256:abc" is not a host key; write a line that ssh-keyscan HOST prints: HOST ssh-ed25519 AAAA...')),
    (source(f"host_key: {HOST_KEY[:-4]}"), at(3, f'apps.shop.source.host_key: "{HOST_KEY[:40]}" is not a host key; write a line that ssh-keyscan HOST prints: HOST ssh-ed25519 AAAA...')),
    (source(f"host_key: ssh-rsa {HOST_KEY.split()[1]}"), at(3, f'apps.shop.source.host_key: "ssh-rsa {HOST_KEY.split()[1][:32]}" is not a host key; write a line that ssh-keyscan HOST prints: HOST ssh-ed25519 AAAA...')),
    (source(f"host_key: example.com {HOST_KEY}"), at(3, "apps.shop.source.host_key: a key of example.com, and the repository is on git.example.com; write what ssh-keyscan prints for that")),
    (source(f"host_key: git.example.com {HOST_KEY}", "ssh://git@git.example.com:2222/shop.git"), at(3, "apps.shop.source.host_key: a key of git.example.com, and the repository is on [git.example.com]:2222; write what ssh-keyscan prints for that")),
    (source(f"host_key: '@revoked git.example.com {HOST_KEY}'"), at(3, "apps.shop.source.host_key: all of these keys are revoked; write one that is good")),
    (source("folder: .", "ssh://git@git.example.com:x/shop.git"), at(3, "apps.shop.source.repository: not a port; write ssh://HOST:PORT/PATH with a number")),
    (APP + "    python: 3.13\n" + HOST, at(6, "apps.shop.python: 3.13 is not a full Python version; write all three parts and quote it: '3.13.5'")),
    (APP + "    python: {version: 3.10}\n" + HOST, at(6, "apps.shop.python.version: 3.10 is not a full Python version; write all three parts and quote it: '3.13.5'")),
    (APP + "    python: 3.14.0rc1\n" + HOST, at(6, "apps.shop.python: 3.14.0rc1 is not a final release; write for example '3.13.5'")),
    (APP + "    python: 3.8.20\n" + HOST, at(6, "apps.shop.python: Python 3.8.20 is too old for FastAPI; use 3.9.0 or newer, for example '3.13.5'")),
    (APP + "    python: pypy3.10\n" + HOST, at(6, "apps.shop.python: \"pypy3.10\" is not a version of CPython 3; write for example '3.13.5', or system")),
    (APP + "    python: {version: system, optimized: true}\n" + HOST, at(6, "apps.shop.python.optimized: the distribution's Python is not built here; remove optimized, or write a version: '3.13.5'")),
    (APP + "    requirements: deps\n" + HOST, at(6, 'apps.shop.requirements: "deps" is not a requirements file; write auto, a requirements*.txt, pyproject.toml or uv.lock')),
    (APP + "    workers: 0\n" + HOST, at(6, "apps.shop.workers: 0 is not a number of workers; write auto or 1 to 256")),
    (APP + "    workers: many\n" + HOST, at(6, 'apps.shop.workers: "many" is not a number of workers; write auto or 1 to 256')),
    (APP + "    environment: {1A: x}\n" + HOST, at(6, "apps.shop.environment.1A: not the name of an environment variable; use letters, digits and _ only")),
    (APP + '    environment: {A: "x\\ny"}\n' + HOST, at(6, "apps.shop.environment.A: the value has a line break or a NUL; put it in one line, for example as base64")),
    (APP + '    environment: {A: "x\\0"}\n' + HOST, at(6, "apps.shop.environment.A: the value has a line break or a NUL; put it in one line, for example as base64")),
    (APP + "    environment: {A: [x]}\n" + HOST, at(6, "apps.shop.environment.A: not a single value; write text, a number, true or false")),
    (APP + "    env_file: no.env\n" + HOST, at(6, "apps.shop.env_file: there is no file {cwd}/no.env; correct the path (relative ones start at the inventory's folder)")),
    (APP + "    secrets: [TOKEN]\n" + HOST, at(6, "apps.shop.secrets[0]: TOKEN is not set in the environment of this machine; export TOKEN=...")),
    (APP + "    process_manager: init\n" + HOST, at(6, 'apps.shop.process_manager: "init" is not known; write systemd or supervisor')),
    (APP + "    health: up\n" + HOST, at(6, 'apps.shop.health: "up" is not a path; begin it with / and leave out spaces and quotes')),
    (APP + "    health: {timeout: 601}\n" + HOST, at(6, "apps.shop.health.timeout: 601 is too large; at most 600")),
    (APP + "    health: {passes: 0}\n" + HOST, at(6, "apps.shop.health.passes: 0 is too small; at least 1")),
    (APP + "    health: {watch: 601}\n" + HOST, at(6, "apps.shop.health.watch: 601 is too large; at most 600")),
    (APP + "    drain: -1\n" + HOST, at(6, "apps.shop.drain: -1 is too small; at least 0")),
    (APP + "    drain: 86401\n" + HOST, at(6, "apps.shop.drain: 86401 is too large; at most 86400")),
    (APP + "    processes: {Worker: run}\n" + HOST, at(6, 'apps.shop.processes.Worker: "Worker" is not a process name; use a-z, 0-9 and -, and begin with a letter')),
    (APP + "    processes: {tidy: run}\n    schedules: {tidy: {at: hourly, run: run}}\n" + HOST, at(2, 'apps.shop: "tidy" is a process and a schedule; rename one of them')),
    (APP + "    static: {static: a}\n" + HOST, at(6, 'apps.shop.static.static: "static" is not a URL prefix; write for example /static')),
    (APP + "    static: {/static: /a}\n" + HOST, at(6, 'apps.shop.static./static: "/a" is not a folder inside the repository; write a relative path without ".."')),
    (APP + "    migrate: 3\n" + HOST, at(6, "apps.shop.migrate: 3 is not a migration; write true, false or a command")),
    (APP + "    migrate_on: all\n" + HOST, at(6, 'apps.shop.migrate_on: "all" is not known; write first or every')),
    (APP + "    timeout: soon\n" + HOST, at(6, 'apps.shop.timeout: "soon" is not a whole number; write digits only')),
    (APP + "    max_body: big\n" + HOST, at(6, 'apps.shop.max_body: "big" is not a size for nginx; write for example 10m')),
    (APP + "    memory_max: big\n" + HOST, at(6, 'apps.shop.memory_max: "big" is not a size for systemd; write for example 512M')),
    (APP + "    keep_releases: 0\n" + HOST, at(6, "apps.shop.keep_releases: 0 is too small; at least 1")),
    (APP.replace("shop:", "Shop:") + HOST, at(2, 'apps.Shop: "Shop" is not an app name; use a-z, 0-9 and -, begin with a letter, at most 31 characters')),
    (APP.replace("shop:", "www-data:") + HOST, at(2, 'apps.www-data: "www-data" is a name that the system uses itself; choose another, for example www-data-app')),
    (APP + "  blog: {source: /a, module: a:b, domains: [blog.example.com, Shop.example.com]}\n" + HOST, at(6, "apps.blog.domains[1]: the apps shop and blog of host web1 have the same domain shop.example.com")),
    (HOST + "apps: [shop]\n", at(4, "apps: a list is not a mapping; write keys and values below it")),
    (HOST + "apps: {shop: main}\n", at(4, 'apps.shop: "main" is not a mapping; write keys and values below it')),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line"), WRONG, ids=[line.partition(": ")[2] for _, line in WRONG])
def test_a_mistake_is_one_line_that_says_what_where_and_what_to_do(text: str, line: str) -> None:
    assert errors(text) == [line.replace("{cwd}", str(Path.cwd()))]


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_file() -> None:
    assert errors("port: a\nprot: 1\n" + HOST + "    agent: 5\n" + "tls: {email: x}\n") == [
        'prod.yml:1: port: "a" is not a whole number; write digits only',
        'prod.yml:2: prot: unknown key; did you mean "port"?',
        "prod.yml:6: hosts.web1.agent: 5 is not true or false; write true or false",
        'prod.yml:7: tls.email: "x" is not an email address; write for example ops@example.com',
    ]


def test_a_bad_default_is_reported_once_and_not_once_a_host() -> None:
    text = "port: a\n" + APP.replace("module: shop.main:app", "workers: 0")
    text += "hosts:\n" + "".join(f"  web{number}: 203.0.113.{number}\n" for number in range(1, 50))
    assert [line.split(": ")[1] for line in errors(text)] == ["port", "apps.shop.module", "apps.shop.workers"]


def test_a_bad_value_that_every_host_overrides_is_reported_too() -> None:
    text = "port: a\n" + HOST + "    port: 22\ngroups: {unused: {agent: maybe}}\n"
    assert [line.split(": ")[1] for line in errors(text)] == ["port", "groups.unused.agent"]


def test_a_mistake_is_reported_in_the_file_and_layer_in_which_it_is_written() -> None:
    write("# base\ngroups:\n  web:\n    port: a\n" + APP + "    env_file: shop.env\n", "base.yml")
    folder = Path.cwd()
    assert errors("include: base.yml\n" + HOST + "    groups: [web]\n") == [
        'base.yml:4: groups.web.port: "a" is not a whole number; write digits only',
        f"base.yml:10: apps.shop.env_file: there is no file {folder}/shop.env;"
        " correct the path (relative ones start at the inventory's folder)",
    ]


def test_includes_in_a_circle_are_refused() -> None:
    write("include: prod.yml\n", "base.yml")
    assert errors("include: base.yml\n" + HOST) == [
        "base.yml:1: include: prod.yml includes this file again; remove one of the two includes"
    ]


def test_a_file_or_secret_that_only_an_overridden_value_needs_is_not_asked_for() -> None:
    text = APP + "    secrets: [TOKEN]\nkey: no\n" + HOST + "    key:\n    apps: {shop: {secrets: []}}\n"
    assert host(text).key is None


def test_a_line_of_an_env_file_that_is_none_is_refused_by_number() -> None:
    path = Path("shop.env").absolute()
    for content, message in (
        ("A=1\nnot a line\n", f"line 2 of {path} is not NAME=value; correct that line"),
        ("A=1\nB\n", f"line 2 of {path} is not NAME=value; correct that line"),
        (
            'A="1\n2"\n',
            f"line 1 of {path}: the value has a line break or a NUL; put it in one line, for example as base64",
        ),
        (
            "A-B=1\n",
            f"line 1 of {path}: not the name of an environment variable; use letters, digits and _ only",
        ),
    ):
        write(content, "shop.env")
        assert errors(HOST + APP + "    env_file: shop.env\n") == [f"prod.yml:9: apps.shop.env_file: {message}"]


def test_the_certificates_of_a_ca_file_are_read_with_the_inventory() -> None:
    one, two = (f"-----BEGIN{certificate}" for certificate in CAS.split("-----BEGIN")[1:])
    write(f"Our first CA, Zürich\n{one}\n\tand the other\r\n{two}".rstrip(), "ca.pem")
    web1 = host(HOST + "tls: {issuer_ca: ca.pem}\nmirrors: {ca_bundle: ca.pem}\n")
    assert web1.tls.authorities == web1.mirrors.authorities == (one, two)
    assert host(HOST).tls.authorities == host(HOST).mirrors.authorities == ()


@pytest.mark.parametrize("key", ["tls: {issuer_ca: ca.pem}", "tls: {root_ca: ca.pem}", "mirrors: {ca_bundle: ca.pem}"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "{} has no certificate; name a PEM file, with -----BEGIN CERTIFICATE-----"),
        (b"-----BEGIN CERTIFICATE-----\n", "{} has no certificate; name a PEM file, with -----BEGIN CERTIFICATE-----"),
        (b"0\x82\x01\xff", "{} is not UTF-8 text; openssl x509 -inform der -in {} writes it as a PEM file"),
        (CAS.replace("fjCCASWg", "").encode(), "certificate 1 of {} is damaged; copy it there again"),
        (CAS.replace("gDCCASWg", "%%%").encode(), "certificate 2 of {} is damaged; copy it there again"),
        (
            f"{CAS}-----BEGIN EC PRIVATE KEY-----\n".encode(),
            "{} has a private key, and everybody on the server may read this file; leave only certificates in it",
        ),
    ],
)
def test_a_ca_file_that_cannot_be_used_is_refused(key: str, content: bytes, message: str) -> None:
    path = Path("ca.pem").absolute()
    path.write_bytes(content)
    name = re.sub(r": \{(\w+): .*", r".\1", key)
    assert errors(f"{HOST}{key}\n") == [f"prod.yml:4: {name}: {message.replace('{}', str(path))}"]


def test_a_ca_file_that_cannot_be_read_is_refused() -> None:
    assert errors(HOST + "mirrors: {ca_bundle: /proc/self/mem}\n") == [
        "prod.yml:4: mirrors.ca_bundle: cannot read /proc/self/mem: Input/output error"
    ]


def test_hosts_behind_different_ports_or_jump_hosts_may_share_an_address() -> None:
    text = HOST + "  web2: {address: 203.0.113.10, port: 23}\n  web3: {address: 203.0.113.10, proxy_jump: edge}\n"
    assert len(inventory(text).hosts) == 3


def test_two_hosts_may_serve_the_same_domain() -> None:
    assert len(inventory(APP + HOST + "  web2: 203.0.113.11\n").hosts) == 2


def test_groups_that_differ_in_a_number_are_no_slip() -> None:
    assert host(HOST + "    groups: [eu-2]\ngroups: {eu-1: }\n").groups == ["eu-2"]


def test_an_inventory_that_is_not_there_is_an_error() -> None:
    with pytest.raises(InventoryError, match=r"^none\.yml: there is no such file; correct the path$"):
        load(Path("none.yml"))


def test_a_file_that_is_not_text_is_an_error() -> None:
    Path("prod.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InventoryError, match=r"^prod\.yml:1: not UTF-8 text; save it as UTF-8$"):
        load(Path("prod.yml"))


def names(hosts: tuple[Host, ...]) -> list[str]:
    return [each.name for each in hosts]


def test_a_name_is_an_inventory_a_group_or_a_host() -> None:
    loaded = inventory(LAYERS)
    assert names(loaded.select("prod")) == ["web1", "web2", "web3"]
    assert names(loaded.select("first")) == ["web1", "web2"]
    assert names(loaded.select("web3")) == ["web3"]


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(InventoryError) as caught:
        inventory(LAYERS).select("frist")
    assert caught.value.errors == (
        'prod.yml: "frist" is not a group or host here; did you mean "first"?;'
        " there are: inventory prod; groups first, second, loose; hosts web1, web2, web3",
    )


def test_a_name_with_two_meanings_is_ambiguous() -> None:
    with pytest.raises(InventoryError, match=r"the host prod or all hosts of prod\.yml; rename one"):
        inventory(HOST + "  prod: 203.0.113.11\n").select("prod")
    assert names(inventory("hosts: {prod: 203.0.113.11}").select("prod")) == ["prod"]


def test_a_group_without_hosts_is_an_error() -> None:
    with pytest.raises(InventoryError, match=r"the group web has no hosts; name it in a host's groups"):
        inventory(HOST + "groups: {web: }\n").select("web")


@pytest.fixture
def folder() -> Path:
    write(HOST + "    groups: [web]\n", "inventories/prod.yml")
    write("hosts: {stage1: 203.0.113.20, both: 203.0.113.22}\n", "inventories/staging.yml")
    write("hosts: {test1: 203.0.113.21, both: 203.0.113.23}\n", "inventories/test.yml")
    write("hosts: {web1: 203.0.113.24}\n", "inventories/prod.example.yml")
    return Path("inventories")


def test_find_takes_an_inventory_by_its_name(folder: Path) -> None:
    found, hosts = find("staging", folder)
    assert (found.path, names(hosts)) == (folder / "staging.yml", ["stage1", "both"])


def test_find_searches_all_inventories_but_examples_for_a_group_or_a_host(folder: Path) -> None:
    assert [find(name, folder)[0].name for name in ("web", "web1", "test1")] == ["prod", "prod", "test"]


def test_find_looks_only_at_the_file_that_is_named(folder: Path) -> None:
    assert find("both", folder, file=folder / "test.yml")[1][0].address == "203.0.113.23"
    with pytest.raises(InventoryError, match='"prod" is not a group or host here'):
        find("prod", folder, file=folder / "test.yml")


def test_find_refuses_a_name_that_is_in_several_inventories(folder: Path) -> None:
    with pytest.raises(InventoryError) as caught:
        find("both", folder)
    assert caught.value.errors == (
        '"both" is ambiguous: in inventories/staging.yml and inventories/test.yml; choose one with --inventory FILE',
    )


def test_find_does_not_count_an_inventory_that_another_includes(folder: Path) -> None:
    write("include: test.yml\nuser: deploy\n", "inventories/wider.yml")
    assert find("test1", folder)[0].name == "wider"


def test_find_lists_what_there_is_for_an_unknown_name(folder: Path) -> None:
    with pytest.raises(InventoryError) as caught:
        find("stagin", folder)
    assert caught.value.errors == (
        '"stagin" is not an inventory, group or host; did you mean "staging"?;'
        " there are: inventories prod, staging, test; groups web; hosts both, stage1, test1, web1",
    )


def test_find_without_any_inventory_says_how_to_begin() -> None:
    with pytest.raises(InventoryError, match=r"^inventories has no inventory; copy one of its \*\.example"):
        find("prod")


def test_an_invalid_inventory_that_has_nothing_to_do_with_the_name_is_only_mentioned(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write("hosts: {other: 203.0.113.30}\nport: abc\n", "inventories/invalid.yml")
    write("hosts: [\n", "inventories/broken.yml")
    write("include: ../.lab/lab.yml\n", "inventories/lab.yml")
    with caplog.at_level(logging.WARNING):
        assert find("web1", folder)[0].name == "prod"
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("inventories/broken.yml:2: not YAML")
    with pytest.raises(InventoryError, match=r"^inventories/invalid\.yml:2: port: "):
        find("other", folder)
    with pytest.raises(InventoryError, match=r"^inventories/lab\.yml:1: include: .*`invoke lab\.up`$"):
        find("lab", folder)
    with pytest.raises(InventoryError, match=r"(?s)is not an inventory.*inventories/broken\.yml:2: not YAML"):
        find("nothing", folder)


def test_a_hundred_hosts_load_at_once() -> None:
    text = (
        APP
        + "hosts:\n"
        + "".join(f"  web{number}: {{address: 198.51.100.{number}, groups: [web]}}\n" for number in range(100))
    )
    path = write(text)
    began = time.process_time()
    assert len(load(path, {}).hosts) == 100
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("path", reference.files(), ids=str)
def test_the_committed_reference_is_what_the_models_say(path: Path) -> None:
    assert (reference.ROOT / path).read_text() == reference.files()[path], "run python -m provision.inventory.manual"


@pytest.mark.parametrize("name", reference.EXAMPLES)
def test_the_examples_are_valid_as_they_are_and_with_every_setting_in_use(name: str) -> None:
    text = reference.example(name)
    loaded = load(write(text, f"inventories/{name}.yml"), {})
    issuers = {each.tls.issuer for each in loaded.hosts.values()}
    assert issuers == {"letsencrypt-staging" if name == "staging" else "letsencrypt"}

    # Of three ways to the code, one can be in use; own certificates come in place of an issuer's.
    text = re.sub(r"(?m)^ *#push: .*\n", "", text).replace("https://git.example.com/", "git@git.example.com:")
    text = re.sub(r"(?m)^  issuer: .*$", "  issuer: files", text)
    Path("tls").mkdir()
    pem.write(Path("tls"), "shop", "*.example.com", "*.staging.example.com")
    for file in ("home/.ssh/id_ed25519", "inventories/known_hosts"):
        write("", file)
    for file in ("ca/acme.pem", "ca/root.pem", "ca/mirrors.pem"):
        write(CAS, file)
    write("A=1\n", ".env.shop")
    write("port: 2222\n", "inventories/common.yml")
    used = re.sub(r"(?m)^( *)#(?=\w)", r"\1", text)
    assert used != text
    every = next(iter(load(write(used, f"inventories/{name}.yml"), {"SHOP_SECRET_KEY": "x"}).hosts.values()))
    missing = type(every).settings().keys() - every.model_fields_set
    assert missing <= {"groups"}
    for model in (every.tls, every.mirrors, every.apps["shop"], every.apps["shop"].source):
        assert type(model).settings().keys() - {"push"} <= model.model_fields_set


@pytest.mark.parametrize("model", MODELS)
def test_every_setting_is_described_and_has_an_example(model: type[Model]) -> None:
    for item in model.settings().values():
        assert item.description
        assert item.examples


@pytest.mark.parametrize("name", ["web", "blue", "green", "boot"])
@pytest.mark.parametrize("manager", ["systemd", "supervisor"])
def test_a_process_or_schedule_cannot_have_a_name_that_the_app_has_itself(name: str, manager: str) -> None:
    for key, value in (("processes", "run"), ("schedules", "{at: hourly, run: run}")):
        assert errors(APP + f"    process_manager: {manager}\n    {key}: {{{name}: {value}}}\n" + HOST) == [
            f'prod.yml:2: apps.shop: "{name}" is a name that the app uses itself; rename the process'
        ]


def test_an_app_is_run_by_systemd_and_drains_for_its_timeout_unless_it_is_said_otherwise() -> None:
    shop = host(HOST + APP).apps["shop"]
    assert (shop.process_manager, shop.drain, shop.drain_seconds) == ("systemd", None, 60)
    assert (shop.health.passes, shop.health.watch) == (3, 2)
    other = host(HOST + APP + "    process_manager: supervisor\n    timeout: 90\n    drain: 0\n").apps["shop"]
    assert (other.process_manager, other.drain, other.drain_seconds) == ("supervisor", 0, 0)
    assert host(HOST + APP + "    timeout: 90\n").apps["shop"].drain_seconds == 90


def apps(first: str, second: str, managers: str = "supervisor, supervisor") -> str:
    """The apps shop and shop-api with more keys, each with its manager."""
    one, two = managers.split(", ")
    return (
        "apps:\n"
        f"  shop: {{source: /a, module: a:b, domains: [a.example.com], process_manager: {one}{first}}}\n"
        f"  shop-api: {{source: /b, module: a:b, domains: [b.example.com], process_manager: {two}{second}}}\n"
    )


@pytest.mark.parametrize(
    ("first", "second", "program"),
    [
        (", processes: {api: run}", "", "shop-api"),
        (", schedules: {api: {at: hourly, run: run}}", "", "shop-api"),
        (", processes: {api-blue: run}", "", "shop-api-blue"),
        (", schedules: {api-green: {at: hourly, run: run}}", "", "shop-api-green"),
    ],
)
def test_two_apps_that_would_share_a_program_of_supervisors_are_refused(first: str, second: str, program: str) -> None:
    assert errors(apps(first, second) + HOST) == [
        f"prod.yml:5: hosts.web1: the apps shop and shop-api would both have a program {program}; rename one"
    ]


@pytest.mark.parametrize("managers", ["systemd, systemd", "systemd, supervisor", "supervisor, systemd"])
def test_apps_under_other_managers_share_no_program(managers: str) -> None:
    assert len(host(apps(", processes: {api: run}", "", managers) + HOST).apps) == 2


def test_apps_on_different_hosts_share_no_program() -> None:
    shop, api = (line + "\n" for line in apps(", processes: {api: run}", "").splitlines()[1:])
    text = f"hosts:\n  web1:\n    address: 203.0.113.10\n    apps:\n    {shop}  web2:\n    address: 203.0.113.11\n    apps:\n    {api}"
    assert len(inventory(text).hosts) == 2


def test_two_apps_whose_processes_would_share_a_unit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.yml"
    path.write_text(
        "hosts: {web1: 203.0.113.10}\n"
        "apps:\n"
        "  shop: {source: https://git.example.com/a.git, module: a.main:app, domains: [a.example.com], processes: {a-b: run}}\n"
        "  shop-a: {source: https://git.example.com/b.git, module: b.main:app, domains: [b.example.com], processes: {b: run}}\n"
    )
    with pytest.raises(InventoryError, match=r"one\.yml:4: .*the apps shop and shop-a would both have a unit shop-a-b"):
        load(path)
