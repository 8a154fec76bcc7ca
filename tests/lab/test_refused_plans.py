"""A deploy that cannot work is refused before anything changes: the inventory, the server, names and repositories."""

import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from provision.resources.python import KNOWN
from tests.lab.conftest import ROOT, Answer, Controller, shell
from tests.lab.refusals import ADDRESS, APP, DOMAIN, SERVER, Declared, refused, untouched

pytest_plugins = ("tests.lab.refusals",)


def test_an_unknown_key_is_refused_with_its_line_and_a_suggestion_before_any_connection(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        path = tmp_path / "prod.yml"
        path.write_text(
            f"hosts:\n  web1: {{address: 127.0.0.1, port: {listener.getsockname()[1]}}}\napps:\n  shop:\n"
            "    source: https://git.example.com/shop.git\n    module: shop.main:app\n    domain: [shop.example.com]\n"
            "    domains: [shop.example.com]\n"
        )
        answer = Controller(path)("deploy", "web1")
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert (answer.status, answer.stdout) == (1, "")
    assert answer.stderr == f'{path}:7: apps.shop.domain: unknown key; did you mean "domains"?\n'


def test_a_password_in_a_repositorys_address_is_refused_and_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "prod.yml"
    path.write_text(
        "hosts: {web1: 203.0.113.10}\napps:\n  shop:\n    source: https://deploy:tr0ub4dor@git.example.com/shop.git\n"
        "    module: shop.main:app\n    domains: [shop.example.com]\n"
    )
    answer = Controller(path)("deploy", "web1", "--json")
    assert answer.status == 1
    (error,) = answer.document["errors"]
    assert error.startswith(f"{path}:4: apps.shop.source: a password or token in a repository's address")
    assert error.endswith("use an SSH address and a key")
    assert "tr0ub4dor" not in answer.stdout + answer.stderr


def test_a_python_that_pyenv_does_not_know_is_refused_before_pyenv_is_installed(bare: Declared) -> None:
    newest = [version for version in KNOWN if version.startswith("3.13.")][-1]
    with untouched():
        error = refused(bare({"python": "3.13.99"})("deploy", SERVER, "--json"))
    assert re.fullmatch(
        rf"pyenv [0-9a-f]{{12}} does not know Python 3\.13\.99: the newest 3\.13 that it knows is {re.escape(newest)}; "
        r"write a version that it knows, or name a newer pyenv with mirrors\.pyenv_revision",
        error,
    )


def test_a_python_of_no_known_series_is_refused(bare: Declared) -> None:
    with untouched():
        error = refused(bare({"python": "3.99.1"})("deploy", SERVER, "--json"))
    assert "does not know Python 3.99.1: it knows no 3.99 at all; write a version" in error


def test_an_unsupported_system_is_refused(bare: Declared) -> None:
    shell(
        SERVER,
        "printf 'ID=fedora\\nVERSION_ID=43\\n' >/run/os-release && mount --bind /run/os-release /usr/lib/os-release",
    )
    try:
        with untouched():
            error = refused(bare()("deploy", SERVER, "--json"))
    finally:
        shell(SERVER, "umount /usr/lib/os-release && rm /run/os-release")
    assert error == "fedora 43 is not supported: Debian 11 to 13, Ubuntu 22.04 and newer are"


def test_a_domain_that_does_not_resolve_is_refused_on_a_bare_server(bare: Declared) -> None:
    with untouched():
        error = refused(bare({"domains": ["nowhere.test"]})("deploy", SERVER, "--json"))
    assert error == f"{APP}: nowhere.test does not resolve: add a DNS record that points to {ADDRESS}"


def test_a_domain_that_leads_elsewhere_is_refused(deployed: Declared) -> None:
    with untouched():
        error = refused(deployed({"domains": [DOMAIN, "other.lab20.test"]})("deploy", SERVER, "--json"))
    assert error == (
        f"{APP}: other.lab20.test points to 10.213.0.30, not to this server ({ADDRESS}): change its DNS record, "
        "or set tls.check_dns: false where a proxy stands in front"
    )


def test_a_revision_that_does_not_exist_is_refused(deployed: Declared) -> None:
    for revision in ("no-such-branch", "0123456789abcdef0123456789abcdef01234567"):
        with untouched():
            error = refused(deployed()("deploy", SERVER, "--json", "--revision", revision))
        assert error == f"{APP}: {deployed.repository.url} has no branch, tag or commit {revision}: was it pushed?"


def test_a_repository_that_cannot_be_read_is_refused(deployed: Declared) -> None:
    url = "git://10.213.0.1/no-such-repository.git"
    with untouched():
        error = refused(deployed({"source": url})("deploy", SERVER, "--json"))
    assert error.startswith(f"{APP}: {url} cannot be read from here: fatal: ")


def test_a_python_that_the_servers_pyenv_does_not_know_is_refused_whatever_its_revision(deployed: Declared) -> None:
    with untouched():
        error = refused(deployed({"python": "3.12.99"})("deploy", SERVER, "--json"))
    assert re.search(r"does not know Python 3\.12\.99: the newest 3\.12 that it knows is 3\.12\.\d+; write", error)


def test_a_template_with_an_undefined_variable_is_refused_with_its_line(deployed: Declared, tmp_path: Path) -> None:
    template = tmp_path / "templates/nginx/site.conf.j2"
    template.parent.mkdir(parents=True)
    template.write_text("# {{ app.name }}\n\nserver_name {{ domain_name }};\n")
    shutil.copy(ROOT / "tasks.py", tmp_path)
    with untouched():
        done = subprocess.run(
            deployed().command("deploy", SERVER, "--json"), cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        error = refused(Answer(done.returncode, done.stdout, done.stderr))
    assert error == f"{template}:3: 'domain_name' is undefined"


def test_a_person_reads_the_refusal_as_one_line_too(deployed: Declared) -> None:
    answer = deployed({"domains": ["nowhere.test"]})("deploy", SERVER)
    assert answer.status == 1
    said = [line for line in (answer.stdout + answer.stderr).splitlines() if "nowhere.test" in line]
    assert said == [f"{SERVER} ✗ {APP}: nowhere.test does not resolve: add a DNS record that points to {ADDRESS}"]
