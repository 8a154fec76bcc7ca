"""An app that is pushed: the server needs nobody, or reads private requirements over HTTPS and SSH, and keeps no login."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
import yaml

from provision import lab
from provision.engine.shell import quote
from provision.lab import folder, server
from tests.lab import again
from tests.lab.conftest import LAB, Controller, https, shell
from tests.lab.git_https import serving_git
from tests.lab.index import USER
from tests.lab.refusals import lab_values, refused
from tests.lab.repository import Repository
from tests.lab.watching import watched

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab3")
ADDRESS = f"10.213.0.{10 + int(SERVER.removeprefix('lab'))}"
APP = "pushed"
DOMAIN = f"{APP}.{SERVER}.test"
HOST = f"libraries.{SERVER}.test"
MAIN = """\
from fastapi import FastAPI
IMPORTS
app = FastAPI()


@app.get("/")
def greeting() -> dict[str, str]:
    return {"greeting": WORDS}
"""
LIBRARY = {
    "pyproject.toml": "[project]\nname = 'NAME'\nversion = '1'\n[build-system]\nrequires = ['setuptools']\n"
    "build-backend = 'setuptools.build_meta'\n[tool.setuptools]\npy-modules = ['NAME']\n",
    "NAME.py": 'WORDS = "from NAME"\n',
}
# A name server that never answers; what it was asked for is a line each in /run/asked.
SILENT = """\
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.9", 53))
while True:
    print(server.recv(512)[12:-5].decode("latin1"), flush=True)
"""
# A Git host on the server itself, whose sshd has the server's own host key.
SETUP = f"""\
set -e
useradd --system --create-home --home-dir /home/libraries --shell /usr/bin/git-shell --password '*' libraries
install -d -o libraries -m 700 /home/libraries/.ssh
echo 'KEY' >/home/libraries/.ssh/authorized_keys
git clone --quiet --bare git://10.213.0.1/lab-ssh-{SERVER}.git /home/libraries/lab_ssh.git
chown -R libraries /home/libraries
"""


@dataclass(frozen=True)
class Pushed:
    """The app's checkout, its inventories, and what opens its requirements."""

    folder: Path
    secrets: tuple[str, ...]
    requirements: str

    def __call__(self, host_key: str = "") -> Controller:
        """An inventory; with the key of the Git host, the app may read its requirements."""
        content = lab_values()
        content["hosts"] = {SERVER: content["hosts"][SERVER]}
        content["mirrors"] = {**content.get("mirrors", {}), "ca_bundle": str(LAB / "acme-api-ca.pem")}
        source: dict[str, Any] = {"push": "checkout"}
        site = {"module": "main:app", "python": "system", "domains": [DOMAIN], "health": "/", "workers": 1}
        if host_key:
            source |= {"deploy_key": "deploy_key", "host_key": f"{HOST} {host_key}"}
            site |= {"netrc": "netrc"}
        content["apps"] = {APP: {"source": source, **site}}
        path = self.folder / "pushed.yml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return Controller(path)

    def commit(self, text: str, requirements: str) -> None:
        """Commit the app with these requirements."""
        for name, content in {"main.py": text, "requirements.txt": f"fastapi==0.165.0\n{requirements}"}.items():
            (self.folder / "checkout" / name).write_text(content)
        git = ("git", "-C", self.folder / "checkout", "-c", "user.name=tests", "-c", "user.email=tests@lab.test")
        subprocess.run((*git, "add", "--all"), check=True)
        subprocess.run((*git, "commit", "--quiet", "-m", "A commit"), check=True)


def library(name: str) -> dict[str, str]:
    """The files of a package."""
    return {path.replace("NAME", name): text.replace("NAME", name) for path, text in LIBRARY.items()}


def greeting() -> str:
    """What the site says."""
    done = https(SERVER, "/", DOMAIN)
    assert done.returncode == 0, done.stderr
    words: str = json.loads(done.stdout)["greeting"]
    return words


def public_key(path: Path) -> str:
    """The public half of a new key at a path."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)
    return path.with_suffix(".pub").read_text().strip()


@contextmanager
def without_dns() -> Iterator[None]:
    """The server's name server does not answer, within."""
    shell(
        SERVER,
        f"rm -f /run/asked; systemd-run --quiet --unit=silent -p StandardOutput=append:/run/asked python3 -c {quote(SILENT)}; "
        "cp /etc/resolv.conf /etc/hosts /run/; printf 'nameserver 127.0.0.9\\noptions timeout:2 attempts:1\\n' >/etc/resolv.conf",
    )
    try:
        with again.busy("its name server"):
            yield
    finally:
        shell(SERVER, "cat /run/resolv.conf >/etc/resolv.conf; cat /run/hosts >/etc/hosts; systemctl stop silent")


def host_key() -> str:
    """The key of the host of the requirement over SSH."""
    return shell(SERVER, "cut -d ' ' -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub")


@pytest.fixture(scope="module")
def pushed(running_lab: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pushed]:
    """The app serving, pushed, with public requirements so far; and the hosts of the private ones."""
    place = tmp_path_factory.mktemp("pushed")
    (place / "checkout").mkdir()
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", place / "checkout"], check=True)
    opens = public_key(place / "deploy_key")
    password = token_hex(16)
    (place / "netrc").write_text(f"machine acme.test login {USER} password {password}\n")
    over_https = Repository.create(f"lab-https-{SERVER}", place / "https")
    over_https.commit(library("lab_https"))
    (place / "served").mkdir()
    over_https.path.rename(place / "served/lab_https.git")
    lab.reset(SERVER, used=True)
    with serving_git(place / "served", password) as address:
        made = Pushed(
            place,
            (password, (place / "deploy_key").read_text().splitlines()[2]),
            f"lab_https @ git+{address}/lab_https.git\nlab_ssh @ git+ssh://libraries@{HOST}/home/libraries/lab_ssh.git\n",
        )
        made.commit(MAIN.replace("IMPORTS", "").replace("WORDS", '"public"'), "")
        made().deploy(SERVER)
        over_ssh = Repository.create(f"lab-ssh-{SERVER}", place / "ssh")
        over_ssh.commit(library("lab_ssh"))
        shell(SERVER, SETUP.replace("KEY", opens))
        over_ssh.remove()
        yield made


def test_a_deploy_of_a_changed_line_asks_no_name_server(pushed: Pushed) -> None:
    pushed.commit(MAIN.replace("IMPORTS", "").replace("WORDS", '"a changed line"'), "")
    with without_dns():
        pushed().deploy(SERVER)
        assert shell(SERVER, "cat /run/asked") == ""
        assert greeting() == "a changed line"
        # Who needs sudo needs the server's own name, which DNS is asked for where no file has it.
        shell(SERVER, f"sed -i '/{SERVER}/d' /etc/hosts")
        planned = pushed().plan(SERVER)
        asked = shell(SERVER, "cat /run/asked")
    assert planned.status == 0
    assert SERVER in asked
    (note,) = planned.host(SERVER)["notes"]
    assert note.startswith(
        "sudo asks DNS for the server's own name each time, and waits for an answer that does not come ("
    )
    assert note.endswith(f" s): add the line 127.0.1.1 {SERVER} to /etc/hosts on the server")


def test_the_exit_status_of_a_command_is_there_whatever_its_output_ends_with(pushed: Pushed) -> None:
    for say, said in (
        ("printf one", "one\n"),
        (r"printf 'exit\t0\n\n'", "exit\t0\n\n"),
        (r"head -c 99999 /dev/zero | tr '\0' x", "x" * (64 << 10) + "\n"),
        ("true", ""),
    ):
        ran = pushed()("run", SERVER, "--command", f"{say}; exit 3")
        assert (ran.status, ran.stdout, ran.stderr) == (3, said, "")


# Two jump hosts in front of the server, which are the server: only by the first one does one get to the second.
JUMPS = f"""\
for each in 2201:2202 2202:22; do
    systemd-run --quiet --unit=jump-${{each%:*}} /usr/sbin/sshd -D -p ${{each%:*}} -o PidFile=none -o AllowUsers=admin \
        -o "PermitOpen {ADDRESS}:${{each#*:}}"
done
"""
SSH_CONFIG = f"""\
Host {ADDRESS}
    ProxyJump first,second
Host first
    HostName {ADDRESS}
    Port 2201
Host second
    HostName {ADDRESS}
    Port 2202
Host *
    User admin
"""


@contextmanager
def behind_jump_hosts(pushed: Pushed, home: Path) -> Iterator[Callable[..., str]]:
    """Plans by way of both, with these keys as the known ones, by port: returns the error."""
    (home / ".ssh").mkdir()
    (home / ".ssh/config").write_text(SSH_CONFIG)
    known = home / "known_hosts"
    path = pushed().inventory
    content = yaml.safe_load(path.read_text()) | {"known_hosts": str(known)}
    path.write_text(yaml.safe_dump(content, sort_keys=False))

    def error(keys: dict[int, str]) -> str:
        names = {port: f"[{ADDRESS}]:{port}" if port != 22 else ADDRESS for port in keys}
        known.write_text("".join(f"{names[port]} {key}\n" for port, key in keys.items()))
        found = Controller(path, {"HOME": str(home)}).plan(SERVER).host(SERVER)["error"]
        return str(found or "")

    shell(SERVER, JUMPS)
    try:
        yield error
    finally:
        shell(SERVER, "systemctl stop jump-2201 jump-2202 || true")


def test_jump_hosts_are_taken_in_the_order_of_ssh_config_and_each_must_show_a_known_key(
    pushed: Pushed, tmp_path: Path
) -> None:
    key, other = host_key(), " ".join(public_key(pushed.folder / "jump").split()[:2])
    keys = {2201: key, 2202: key, 22: key}
    with behind_jump_hosts(pushed, tmp_path) as error:
        assert error(keys) == ""
        for port, name in ((2201, f"[{ADDRESS}]:2201"), (2202, f"[{ADDRESS}]:2202"), (22, ADDRESS)):
            said = error({each: key for each in keys if each != port})
            assert said.startswith(f"the host key of {name}, ssh-ed25519 SHA256:"), said
            assert "is not known" in said
        assert f"ssh-keygen -f {tmp_path}/known_hosts -R '[{ADDRESS}]:2201'" in error(keys | {2201: other})
        shell(SERVER, "systemctl stop jump-2202")
        assert error(keys).startswith(f"{ADDRESS} port 2202 does not answer (")


@contextmanager
def resolved_by(*lines: str) -> Iterator[None]:
    """The server asks a name server of its own, which has these lines of dnsmasq's configuration beside the lab's names."""
    one = server.find(folder.current(), SERVER)
    words = [
        *(
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-hosts",
            "--no-resolv",
            "--user=root",
            "--pid-file=",
        ),
        *("--listen-address=127.0.0.9", "--bind-interfaces", "--server=10.213.0.1", *(f"--{line}" for line in lines)),
    ]
    shell(SERVER, "cp /etc/resolv.conf /run/; echo nameserver 127.0.0.9 >/etc/resolv.conf")
    with subprocess.Popen(("nsenter", "--net", "--target", str(server.leader(one)), *words)) as process:
        try:
            shell(SERVER, f"for _ in $(seq 50); do getent hosts {DOMAIN} && break; sleep 0.1; done")
            with again.busy("its name server"):
                yield
        finally:
            process.terminate()
            shell(SERVER, "cat /run/resolv.conf >/etc/resolv.conf")


def test_a_stale_ipv6_record_is_refused_before_the_issuer_is_asked(pushed: Pushed) -> None:
    stale = f"stale.{SERVER}.test"
    path = pushed().inventory
    content = yaml.safe_load(path.read_text())
    content["apps"][APP]["domains"] = [DOMAIN, stale]
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    controller, asked = Controller(path), "ls -l /var/log/letsencrypt"
    before = shell(SERVER, asked)
    with resolved_by(f"address=/{stale}/{ADDRESS}", f"address=/{stale}/2001:db8::66"):
        error = refused(controller("deploy", SERVER, "--json"))
        assert error.startswith(
            f"{APP}: the AAAA record of {stale} points to 2001:db8::66, not to this server: correct or remove it"
        )
        assert shell(SERVER, asked) == before
        shell(SERVER, "ip address add 2001:db8::66/128 dev host0")
        try:
            assert controller.plan(SERVER).host(SERVER)["error"] is None
        finally:
            shell(SERVER, "ip address del 2001:db8::66/128 dev host0")


def test_a_host_of_requirements_that_shows_another_key_or_refuses_the_login_is_named(pushed: Pushed) -> None:
    imports, words = "import lab_https\nimport lab_ssh", 'lab_https.WORDS + " and " + lab_ssh.WORDS'
    pushed.commit(MAIN.replace("IMPORTS", imports).replace("WORDS", words, 1), pushed.requirements)
    answer = pushed(public_key(pushed.folder / "other"))("deploy", SERVER, "--json")
    assert refused(answer) == (
        f"{APP}: requirements.txt cannot be installed: ssh://****@{HOST}/home/libraries/lab_ssh.git shows a host key that is not "
        "pinned: where it is the right one, pin it (source.host_key); otherwise somebody is in between"
    )
    netrc, right = pushed.folder / "netrc", (pushed.folder / "netrc").read_text()
    netrc.write_text(right.replace(pushed.secrets[0], "wrong"))
    try:
        error = refused(pushed(host_key())("deploy", SERVER, "--json"))
    finally:
        netrc.write_text(right)
    url = pushed.requirements.splitlines()[0].partition("git+")[2]
    assert error == (
        f"{APP}: requirements.txt cannot be installed: {url} refuses the login, or wants one: give it in the app's netrc"
    )
    assert greeting() == "a changed line"


def test_private_requirements_of_a_pushed_app_are_installed_and_their_logins_are_seen_nowhere(pushed: Pushed) -> None:
    controller = pushed(host_key())
    with watched(SERVER, *pushed.secrets, users=("nobody", APP)) as seen:
        deployed = controller("deploy", SERVER)
    assert deployed.status == 0, deployed.stdout + deployed.stderr
    assert greeting() == "from lab_https and from lab_ssh"
    assert seen == []
    assert [secret for secret in pushed.secrets if secret in deployed.stdout + deployed.stderr] == []
    assert shell(SERVER, "cat /etc/pushed/known_hosts").startswith(f"{HOST} ssh-ed25519 ")
    assert controller.deploy(SERVER).changed(SERVER) == []


def test_what_watches_sees_a_secret_in_a_process_list_and_in_a_file_of_the_app(pushed: Pushed) -> None:
    with watched(SERVER, "a-word-of-this-test", users=("nobody", APP)) as seen:
        shell(
            SERVER,
            f"install -o {APP} -m 600 /dev/null /tmp/shown && echo a-word-of-this-test >/tmp/shown; sleep 2; rm /tmp/shown",
        )
    assert "/tmp/shown" in seen
    assert [path for path in seen if path.endswith("/cmdline")]
