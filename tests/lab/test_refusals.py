"""What cannot be: each is refused in one line, and the server stays as it was."""

import json
import os
import re
import shutil
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision import lab
from provision.release.venv import UV
from provision.resources.python import KNOWN
from tests.lab.conftest import LAB, ROOT, Answer, Controller, https, seed, shell
from tests.lab.index import PACKAGE, serving
from tests.lab.repository import Repository

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab3")
ADDRESS = f"10.213.0.{10 + int(SERVER.removeprefix('lab'))}"
APP = "refusals"
DOMAIN = f"refusals.{SERVER}.test"
REQUIREMENTS = "fastapi==0.165.0\n"
MAIN = """\
import os

from fastapi import FastAPI

app = FastAPI()


@app.get("/health")
@app.get("/")
def greeting() -> dict[str, str]:
    return {"greeting": "hello", "release": os.environ["PROVISION_RELEASE"]}
"""
# What belongs to the next release, the run's own record, and folders in which something came and went.
PREPARED = (
    f"/etc/{APP}",
    f"/etc/{APP}/env",
    f"/etc/{APP}/gunicorn.conf.py",
    f"/srv/{APP}/releases",
    f"/srv/{APP}/venvs",
    "/var/lib/provision",
    "/var/lib/provision/generation",
    "/var/lib/provision/history.jsonl",
    "/var/tmp",
)


@dataclass(frozen=True)
class Declared:
    """The inventory of a small app on the server, which a test changes in the one way that is wrong."""

    folder: Path
    repository: Repository

    def __call__(self, app: dict[str, Any] | None = None, **changes: Any) -> Controller:
        """`app` changes the app's values, `changes` those of the top."""
        content = lab_values()
        content["hosts"] = {SERVER: content["hosts"][SERVER]}
        values = {
            "source": self.repository.url,
            "module": "main:app",
            "domains": ["refusals.{host}.test"],
            "workers": 1,
        }
        content["apps"] = {APP: values | (app or {})}
        path = self.folder / "refusals.yml"
        path.write_text(yaml.safe_dump(content | changes, sort_keys=False))
        return Controller(path)


def lab_values() -> dict[str, Any]:
    """The lab's own inventory, its paths made absolute."""
    content: dict[str, Any] = yaml.safe_load((LAB / "lab.yml").read_text())
    for place, name in (
        (content, "known_hosts"),
        (content, "key"),
        (content["tls"], "issuer_ca"),
        (content["tls"], "root_ca"),
    ):
        place[name] = str(LAB / place[name])
    return content


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    made = Repository.create(f"refusals-{SERVER}", tmp_path_factory.mktemp("repository") / "tree")
    made.commit({"main.py": MAIN, "requirements.txt": REQUIREMENTS})
    yield made
    made.remove()


@pytest.fixture(scope="module")
def bare(repository: Repository, tmp_path_factory: pytest.TempPathFactory, pythons: Path) -> Declared:
    """An inventory for a server that nothing was done to."""
    declared = Declared(tmp_path_factory.mktemp("inventory"), repository)
    seed(declared().inventory, pythons)
    lab.reset(SERVER)
    return declared


@pytest.fixture(scope="module")
def deployed(bare: Declared) -> Declared:
    """The same, with the app serving."""
    bare().deploy(SERVER)
    return bare


def refused(answer: Answer, host: str = SERVER, status: str = "failed") -> str:
    """The one line that says why a host was refused."""
    assert answer.status == 1, answer.stdout + answer.stderr
    assert "Traceback" not in answer.stdout + answer.stderr
    assert answer.host(host)["status"] == status
    error: str = answer.host(host)["error"]
    assert "\n" not in error
    return error


def tree() -> dict[str, str]:
    """All that provisioning may touch, and the app's processes: by path, what would tell a change."""
    listed = shell(
        SERVER,
        "find /etc /srv /opt /usr /var/lib/provision /var/cache/provision /var/tmp /var/www "
        "'(' -path '/var/cache/provision/uv-*' -o -path '/srv/*/repository.git' ')' -prune -o "
        "-printf '%p\\t%y %m %u:%g %s %T@ %l\\n' 2>/dev/null; "
        "find /run/provision /home /root -name '.provision*' -o -name 'check.*' 2>/dev/null; "
        f'for slot in blue green; do systemctl show -p MainPID {APP}@$slot | sed "s/^/$slot\\t/"; done',
    )
    return dict(line.partition("\t")[::2] for line in listed.splitlines())


@contextmanager
def untouched(*but: str) -> Iterator[None]:
    """Nothing on the server differs afterwards, but for these paths; a site that answered answers from the same release."""
    before, answered = tree(), https(SERVER, "/", DOMAIN).stdout
    yield
    after = tree()
    differs = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} - {*but}
    assert not differs, {path: (before.get(path), after.get(path)) for path in sorted(differs)[:20]}
    assert https(SERVER, "/", DOMAIN).stdout == answered


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
    assert error.startswith(f"{path}:4: apps.shop.source: a password in a repository's address")
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


def test_requirements_that_cannot_be_resolved_are_refused_with_the_resolvers_reason(deployed: Declared) -> None:
    deployed.repository.commit({"requirements.txt": "fastapi==0.165.0\nstarlette<0.20\n"}, "conflict")
    with untouched(*PREPARED):
        error = refused(deployed()("deploy", SERVER, "--json", "--revision", "conflict"))
    assert error.startswith(
        f"{APP}: requirements.txt cannot be installed: No solution found when resolving dependencies: "
        "Because fastapi>=0.165.0 depends on starlette>="
    )
    assert "And because you require starlette<0.20, we can conclude that your requirements are unsatisfiable" in error


def test_a_package_that_does_not_build_is_refused_with_the_exception(deployed: Declared) -> None:
    backend = "def build_wheel(*_, **__):\n    raise RuntimeError('there is no compiler for this')\n"
    project = '[project]\nname = "refusals"\nversion = "1"\n[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    deployed.repository.commit({"pyproject.toml": project, "backend.py": backend}, "unbuildable")
    with untouched(*PREPARED):
        answer = deployed({"requirements": "pyproject.toml"})("deploy", SERVER, "--json", "--revision", "unbuildable")
        error = refused(answer)
    assert error.startswith(f"{APP}: pyproject.toml cannot be installed: Failed to build `refusals @ ")
    assert error.endswith(": RuntimeError: there is no compiler for this")


def test_a_wrong_password_of_the_package_index_is_refused_and_not_repeated(deployed: Declared) -> None:
    deployed.repository.commit({"requirements.txt": f"{REQUIREMENTS}{PACKAGE}==1.0\n"}, "private")
    with serving("the-right-one") as index:
        mirrors = lab_values().get("mirrors", {}) | {"index": index.url("tr0ub4dor/&3")}
        with untouched(*PREPARED):
            answer = deployed(mirrors=mirrors)("deploy", SERVER, "--json", "--revision", "private")
            error = refused(answer)
        shell(SERVER, "rm -r /opt/uv")
        without_uv = deployed(mirrors=mirrors)("deploy", SERVER, "--revision", "private")
    fix = "correct the user and password in mirrors.index"
    assert error == (f"{APP}: requirements.txt cannot be installed: the package index answered 401 Unauthorized: {fix}")
    said = without_uv.stdout + without_uv.stderr
    assert f"{SERVER} ✗ uv {UV} cannot be installed: the package index answered 401: {fix}\n" in said
    assert "tr0ub4dor" not in answer.stdout + answer.stderr + said
    assert index.refused
    assert index.asked == []
    assert deployed().deploy(SERVER).changed(SERVER) == [f"uv:{UV}"]


def test_a_commit_without_requirements_is_refused(deployed: Declared) -> None:
    with untouched(*PREPARED):
        error = refused(deployed({"requirements": "uv.lock"})("deploy", SERVER, "--json"))
    assert error == f"{APP}: the commit has no ./uv.lock (requirements)"


def test_a_module_that_cannot_be_imported_is_refused(deployed: Declared) -> None:
    deployed.repository.commit({"main.py": "import nowhere\n"}, "broken")
    with untouched(*PREPARED):
        error = refused(deployed()("deploy", SERVER, "--json", "--revision", "broken"))
    assert error == f"{APP}: main:app cannot be imported: ModuleNotFoundError: No module named 'nowhere'"


def test_a_module_that_the_active_release_does_not_have_is_refused_and_the_release_stays(deployed: Declared) -> None:
    unit = f"/etc/systemd/system/{APP}@.service"
    with untouched(*PREPARED, unit, "/etc/systemd/system"):
        error = refused(deployed({"module": "main:application"})("deploy", SERVER, "--json"))
    assert error == (
        f"{APP}: main:application cannot be imported: AttributeError: module 'main' has no attribute 'application'"
    )
    deployed().deploy(SERVER)


def test_a_full_disk_during_the_venv_is_refused_with_where_it_is_full(deployed: Declared) -> None:
    venvs = f"/srv/{APP}/venvs"
    deployed.repository.commit({"requirements.txt": f"{REQUIREMENTS}sqlalchemy==2.1.9\n"}, "larger")
    with untouched(*PREPARED):
        shell(SERVER, f"mkdir /run/kept && mount --bind {venvs} /run/kept && mount -t tmpfs -o size=8m tmpfs {venvs}")
        try:
            error = refused(deployed()("deploy", SERVER, "--json", "--revision", "larger"))
            assert shell(SERVER, f"ls -A {venvs}") == ""
        finally:
            shell(SERVER, f"umount {venvs} && umount /run/kept && rmdir /run/kept")
    assert re.fullmatch(
        rf"{APP}: no space left for the venv: \S+ free on {venvs}, \S+ free on /; make room there, or keep fewer "
        r"releases \(keep_releases\)",
        error,
    )


def test_a_sudo_that_wants_a_password_is_refused_with_the_setting_that_gives_it(deployed: Declared) -> None:
    with untouched():
        error = refused(deployed(user="ops")("deploy", SERVER, "--json"))
    assert error == ("sudo wants a password for ops: set become: sudo-password, or allow ops to use sudo without one")


def test_a_wrong_sudo_password_is_refused(deployed: Declared) -> None:
    controller = deployed(user="ops", become="sudo-password")
    with untouched():
        error = refused(replace(controller, environ={"PROVISION_SUDO_PASSWORD": "wrong"})("deploy", SERVER, "--json"))
    assert error == "sudo refused the password of ops"


def test_a_sudo_password_that_nobody_can_give_is_refused(deployed: Declared) -> None:
    with untouched():
        answer = deployed(user="ops", become="sudo-password")("deploy", SERVER)
    assert (answer.status, answer.stdout) == (1, "")
    assert answer.stderr == "sudo wants a password and there is no terminal to ask: set PROVISION_SUDO_PASSWORD\n"


def test_the_sudo_password_works_and_is_seen_in_no_process_and_no_file(deployed: Declared) -> None:
    password = (LAB / "ops-password").read_text().strip()
    encoded = b64encode(password.encode()).decode()
    shell(SERVER, f"umask 077; rm -f /run/watched; echo {encoded} | base64 -d >/root/needle")
    watch = (
        "rounds=0; while [ ! -e /run/watched ]; do rounds=$((rounds + 1)); "
        "grep -lasF -f /root/needle /proc/[0-9]*/cmdline /proc/[0-9]*/environ; grep -rlasF -f /root/needle /run/provision; "
        "done; grep -rlasF -f /root/needle /etc /srv /tmp /var/tmp /var/lib/provision /var/log /run/provision; echo $rounds"
    )
    controller = deployed({"environment": {"COLOUR": "green"}}, user="ops", become="sudo-password")
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(shell, SERVER, watch)
        try:
            answer = replace(controller, environ={"PROVISION_SUDO_PASSWORD": password}).deploy(SERVER, "--json")
        finally:
            shell(SERVER, "touch /run/watched")
        *seen, rounds = watching.result().splitlines()
    shell(SERVER, "rm -f /root/needle /run/watched")
    assert f"activation:{APP}" in answer.changed(SERVER)
    assert not seen
    assert int(rounds) > 10
    assert password not in answer.stdout + answer.stderr


def test_a_closed_port_is_unreachable(deployed: Declared) -> None:
    with untouched():
        controller = deployed(hosts={SERVER: {"address": ADDRESS, "port": 1}})
        error = refused(controller("deploy", SERVER, "--json"), status="unreachable")
    assert error == (f"{ADDRESS} port 1 does not answer (Connection refused): is the server on, and the address right?")


def test_an_address_that_does_not_resolve_is_unreachable(deployed: Declared) -> None:
    controller = deployed(hosts={SERVER: {"address": "nowhere.invalid"}})
    error = refused(controller("deploy", SERVER, "--json"), status="unreachable")
    assert error.startswith("nowhere.invalid port 22 does not answer (its name does not resolve): is the server on")


def test_a_key_that_the_server_does_not_accept_is_refused(deployed: Declared, tmp_path: Path) -> None:
    key = tmp_path / "another"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    with untouched():
        error = refused(deployed(key=str(key), agent=False)("deploy", SERVER, "--json"), status="unreachable")
    assert error == f"admin@{ADDRESS} refused the key {key}: is the public key in its authorized_keys?"


@contextmanager
def agent(folder: Path) -> Iterator[str]:
    """The socket of an SSH agent that has the lab's key."""
    socket = folder / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not socket.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        environ = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
        subprocess.run(["ssh-add", "-q", LAB / "id_ed25519"], env=environ, check=True, timeout=10)
        yield str(socket)
    finally:
        process.terminate()
        process.wait(10)


def test_a_key_that_only_the_agent_has_is_enough_and_is_asked_for_where_there_is_no_agent(
    deployed: Declared, tmp_path: Path
) -> None:
    home = {"HOME": str(tmp_path), "SSH_AUTH_SOCK": ""}
    with agent(tmp_path) as socket:
        with_agent = replace(deployed(key=None), environ=home | {"SSH_AUTH_SOCK": socket})
        planned = with_agent.plan(SERVER).host(SERVER)
        assert (planned["error"], planned["execs"]) == (None, 2)
        passed_over = replace(deployed(key=None, agent=False), environ=with_agent.environ)
        error = refused(passed_over.plan(SERVER), status="unreachable")
        assert error == f"there is no key to log in to admin@{ADDRESS} with: name it with key"
    error = refused(replace(deployed(key=None), environ=home).plan(SERVER), status="unreachable")
    assert error == (
        f"there is no key to log in to admin@{ADDRESS} with: add one to the SSH agent with ssh-add, or name it with key"
    )


def test_a_host_key_that_is_not_known_is_refused_with_the_servers_fingerprint(
    deployed: Declared, tmp_path: Path
) -> None:
    known = tmp_path / "known_hosts"
    known.touch()
    with untouched():
        error = refused(deployed(known_hosts=str(known))("deploy", SERVER, "--json"), status="unreachable")
    assert known.read_text() == "", "no key is trusted at first sight"
    fingerprint = shell(SERVER, "ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    assert error == (
        f"the host key of {ADDRESS}, ssh-ed25519 {fingerprint}, is not known: compare it with the server's own, "
        f"then ssh-keyscan {ADDRESS} >>{known}"
    )
    subprocess.run(error.rpartition("then ")[2], shell=True, check=True, capture_output=True, timeout=30)
    deployed(known_hosts=str(known)).deploy(SERVER)


def test_a_host_key_that_changed_is_refused_and_the_command_in_the_message_forgets_it(
    deployed: Declared, tmp_path: Path
) -> None:
    known, key = tmp_path / "known_hosts", tmp_path / "former"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key], check=True)
    known.write_text(f"{ADDRESS},{SERVER} {key.with_suffix('.pub').read_text()}")
    with untouched():
        error = refused(deployed(known_hosts=str(known))("deploy", SERVER, "--json"), status="unreachable")
    said = re.fullmatch(
        rf"the host key of {ADDRESS} changed, from ssh-ed25519 SHA256:\S{{43}} to ssh-ed25519 SHA256:\S{{43}}: "
        r"where the server was reinstalled, (ssh-keygen .*), then connect again; otherwise do not connect",
        error,
    )
    assert said, error
    subprocess.run(said[1], shell=True, check=True, capture_output=True, timeout=30)
    error = refused(deployed(known_hosts=str(known))("deploy", SERVER, "--json"), status="unreachable")
    assert "is not known" in error


def test_the_other_hosts_go_on_when_one_cannot_be_reached(deployed: Declared) -> None:
    commit = deployed.repository.commit({"main.py": MAIN.replace("hello", "good morning")})
    hosts = {SERVER: {"address": ADDRESS}, "off": {"address": ADDRESS, "port": 1}}
    answer = deployed(hosts=hosts)("deploy", "refusals", "--json")
    assert "does not answer (Connection refused)" in refused(answer, "off", "unreachable")
    assert (answer.host(SERVER)["status"], answer.host(SERVER)["error"]) == ("changed", None)
    assert json.loads(https(SERVER, "/", DOMAIN).stdout) == {
        "greeting": "good morning",
        "release": answer.host(SERVER)["release"],
    }
    assert answer.host(SERVER)["release"].endswith(commit[:7])


def test_a_person_reads_the_refusal_as_one_line_too(deployed: Declared) -> None:
    answer = deployed({"domains": ["nowhere.test"]})("deploy", SERVER)
    assert answer.status == 1
    said = [line for line in (answer.stdout + answer.stderr).splitlines() if "nowhere.test" in line]
    assert said == [f"{SERVER} ✗ {APP}: nowhere.test does not resolve: add a DNS record that points to {ADDRESS}"]


def test_a_server_that_is_off_is_unreachable_and_serves_again_when_it_is_on(deployed: Declared) -> None:
    answered = https(SERVER, "/", DOMAIN).stdout
    lab.stop(SERVER)
    try:
        error = refused(deployed(connect_timeout=5)("deploy", SERVER, "--json"), status="unreachable")
    finally:
        lab.start(SERVER)
    assert re.fullmatch(
        rf"{ADDRESS} port 22 does not answer \((No route to host|timed out)\): is the server on, and the address right\?",
        error,
    )
    assert deployed().deploy(SERVER).changed(SERVER) == []
    assert https(SERVER, "/", DOMAIN).stdout == answered
