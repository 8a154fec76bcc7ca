"""Private repositories: a real one, behind an sshd with a host key of its own, which admits only the keys it knows."""

import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from provision import lab
from tests.lab import probe_app
from tests.lab.conftest import LAB, Controller, https, seed, shell

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab2")
ADDRESS = f"10.213.0.{10 + int(SERVER.removeprefix('lab'))}"
DOMAIN = f"probe.{SERVER}.test"
HOST = f"git.{SERVER}.test"
PORT = 2222
NAME = f"[{HOST}]:{PORT}"
URL = f"ssh://git@{HOST}:{PORT}/home/git/probe.git"
# The git host runs on the server itself. The one on 127.0.0.1 has another host key, like a man in the middle; the one
# on 127.0.0.2 is silent until it is woken.
SETUP = f"""\
set -e
apt-get -qq update && apt-get -qq install --no-install-recommends git >/dev/null
useradd --system --create-home --home-dir /home/git --shell /usr/bin/git-shell --password '*' git
install -d -m 755 /etc/githost
: >/etc/githost/known
ssh-keygen -q -t ed25519 -N '' -C '' -f /etc/githost/good
ssh-keygen -q -t ed25519 -N '' -C '' -f /etc/githost/other
for each in good:{ADDRESS}:good other:127.0.0.1:other silent:127.0.0.2:good; do
    name=${{each%%:*}} listen=${{each#*:}}
    printf '%s\\n' "ListenAddress ${{listen%:*}}:{PORT}" "HostKey /etc/githost/${{each##*:}}" "PidFile /run/githost-$name.pid" \\
        'AuthorizedKeysFile /etc/githost/known' 'AllowUsers git' 'AuthenticationMethods publickey' >/etc/githost/$name.conf
    printf '%s\\n' '[Service]' "ExecStart=/usr/sbin/sshd -D -f /etc/githost/$name.conf" 'Restart=on-failure' 'RestartSec=1' \\
        '[Install]' 'WantedBy=multi-user.target' >/etc/systemd/system/githost-$name.service && systemctl enable -q --now githost-$name
done
for each in probe extra; do su -s /bin/sh git -c "git init --quiet --bare --initial-branch=main /home/git/$each.git"; done
"""


@dataclass(frozen=True)
class GitHost:
    """The git host, and the developer who may push to it; `folder` has the developer's files."""

    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        """The variables that lead the developer's git to the git host."""
        return {"GIT_SSH_COMMAND": f"ssh -F {shlex.quote(str(self.folder / 'config'))}"}

    @property
    def known_hosts(self) -> Path:
        """The developer's known_hosts."""
        return self.folder / "known_hosts"

    def let_in(self, *public: str) -> None:
        """Admit the developer's key and these to the repository, and no others."""
        keys = "\n".join((self.key("developer.pub").read_text().strip(), *public))
        shell(SERVER, f"printf '%s\\n' {shlex.quote(keys)} >/etc/githost/known")

    def trust(self, name: str = "good") -> str:
        """Make a host key the only one in the developer's known_hosts, hashed; returns the plain line."""
        line = f"{NAME} {shell(SERVER, f'cat /etc/githost/{name}.pub').strip()}"
        self.known_hosts.write_text(f"{line}\n")
        subprocess.run(["ssh-keygen", "-H", "-f", self.known_hosts], check=True, capture_output=True)
        self.known_hosts.with_suffix(".old").unlink()
        return line

    def commit(self, note: str, requirements: str = "") -> str:
        """Push a commit, with more requirements, and return its hash."""
        for name, content in probe_app.files(note=note, requirements=requirements).items():
            (self.folder / "tree" / name).write_text(content)
        self._git("add", "--all")
        self._git("-c", "user.name=tests", "-c", "user.email=tests@lab.test", "commit", "--quiet", "--message", note)
        self._git("push", "--quiet", URL, "HEAD:refs/heads/main")
        return self._git("rev-parse", "HEAD")

    def key(self, name: str) -> Path:
        """The path of a key file, made at the first call."""
        path = self.folder / name
        if not path.with_suffix("").exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path.with_suffix("")], check=True)
        return path

    def _git(self, *arguments: str) -> str:
        words = ["git", "-C", str(self.folder / "tree"), *arguments]
        done: subprocess.CompletedProcess[str] = subprocess.run(
            words, capture_output=True, text=True, env={**os.environ, **self.environ}, timeout=30
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="module")
def git_host(tmp_path_factory: pytest.TempPathFactory, running_lab: None) -> GitHost:
    """The git host, with one commit, on a server that is otherwise as it was reset."""
    made = GitHost(tmp_path_factory.mktemp("developer"))
    (made.folder / "config").write_text(
        f"Host {HOST}\n  HostName {ADDRESS}\n  HostKeyAlias {NAME}\n  IdentityFile {made.key('developer')}\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {made.known_hosts}\n  GlobalKnownHostsFile /dev/null\n  BatchMode yes\n"
    )
    lab.reset(SERVER, used=True)
    shell(SERVER, SETUP)
    made.let_in()
    made.trust()
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", made.folder / "tree"], check=True)
    made.commit("first")
    return made


@dataclass(frozen=True)
class Declared:
    """Inventories for the app, each with another way to the repository."""

    folder: Path
    git_host: GitHost

    def __call__(self, source: str, *more: str) -> Controller:
        path = self.folder / "private.yml"
        text = probe_app.INVENTORY.format(
            lab=LAB,
            url=f"{{repository: '{URL}', {source}}}",
            batch=1,
            migrate="false",
            memory="300M",
            manager="systemd",
        )
        path.write_text(text.replace("workers: 2", "workers: 1") + "\n".join(more))
        return Controller(path, self.git_host.environ)


@pytest.fixture(scope="module")
def declared(git_host: GitHost, pythons: Path, tmp_path_factory: pytest.TempPathFactory) -> Declared:
    made = Declared(tmp_path_factory.mktemp("private"), git_host)
    seed(made("deploy_key: generate").inventory, pythons)
    return made


@dataclass(frozen=True)
class First:
    """The answer to a first deploy, whose deploy key the repository did not know, and the public half of that key."""

    error: str
    output: str
    public: str


@pytest.fixture(scope="module")
def first(declared: Declared, git_host: GitHost) -> First:
    """A first deploy, which put everything on the server except the release: the repository refused its new key."""
    answer = declared("deploy_key: generate")("deploy", SERVER, "--json")
    assert answer.status == 1, answer.stdout + answer.stderr
    found, note = (one for one in answer.host(SERVER)["notes"] if ": Python " not in one)
    assert found == "probe: requirements: requirements.txt"
    asked, _, public = note.partition(": ssh-ed25519 ")
    assert asked == f"probe: add this deploy key at {URL} (read-only is enough)"
    return First(answer.host(SERVER)["error"], answer.stdout + answer.stderr, f"ssh-ed25519 {public}")


@pytest.fixture(scope="module")
def site(declared: Declared, git_host: GitHost, first: First) -> Declared:
    """The app serving, fetched with the server's deploy key."""
    git_host.let_in(first.public)
    declared("deploy_key: generate").deploy(SERVER)
    return declared


def serving() -> str:
    """The commit that the site answers with."""
    return https(SERVER, "/commit", DOMAIN).stdout.strip('"')


def refused(controller: Controller) -> str:
    """The error of a deploy that was refused: one line. What served goes on serving."""
    before = serving()
    answer = controller("deploy", SERVER, "--json")
    assert answer.status == 1, answer.stdout + answer.stderr
    assert "Traceback" not in answer.stdout + answer.stderr
    error: str = answer.host(SERVER)["error"]
    assert "\n" not in error
    assert serving() == before
    return error


@contextmanager
def leads_to(address: str) -> Iterator[None]:
    """Within this, the server alone finds the git host at another address."""
    shell(SERVER, f"echo {address} {HOST} >>/etc/hosts")
    try:
        yield
    finally:
        shell(SERVER, "sed -i '$d' /etc/hosts")


def test_a_host_key_that_nobody_pinned_is_refused_before_anything_is_touched(
    declared: Declared, git_host: GitHost
) -> None:
    git_host.known_hosts.write_text("")
    try:
        for task in ("plan", "deploy"):
            answer = declared("deploy_key: generate")(task, SERVER, "--json")
            assert answer.status == 1
            assert answer.host(SERVER)["error"] == (
                f"probe: the host key of {NAME} is known neither here nor in the inventory: compare what ssh-keyscan -p {PORT} "
                f"{HOST} prints with the keys that the host publishes, then write it into the inventory as source.host_key, or "
                "into ~/.ssh/known_hosts"
            )
    finally:
        git_host.trust()
    assert shell(SERVER, "ls -d /etc/probe /srv/probe /var/lib/provision 2>/dev/null || true") == ""


def test_the_first_deploy_says_in_one_line_which_key_to_add_and_the_next_one_finishes(
    first: First, site: Declared, git_host: GitHost
) -> None:
    assert first.error == (
        f"probe: {URL} refused the deploy key of this server; add it there (read-only is enough), then run again: {first.public}"
    )
    assert re.fullmatch(rf"ssh-ed25519 AAAA\S+ probe@{SERVER}", first.public)
    assert serving() == git_host._git("rev-parse", "HEAD")
    assert site("deploy_key: generate")("plan", SERVER, "--json").status == 0
    assert shell(SERVER, "cat /etc/probe/known_hosts") == git_host.trust()


def test_the_private_half_is_roots_alone_and_nowhere_else(first: First, site: Declared) -> None:
    assert shell(SERVER, "stat -c '%a %U:%G' /etc/probe/deploy_key") == "600 root:root"
    secret = shell(SERVER, "sed -n 3p /etc/probe/deploy_key")
    assert len(secret) > 60
    assert secret not in first.output
    found = shell(
        SERVER,
        "sed -n 3p /etc/probe/deploy_key >/root/needle; journalctl -q --no-pager | grep -cF -f /root/needle; "
        "grep -rlF -f /root/needle /etc /srv /tmp /var/tmp /var/lib/provision /var/log /run/provision /home; rm /root/needle",
    )
    assert found.split() == ["0", "/etc/probe/deploy_key"]


def test_the_public_half_can_be_seen_again(first: First, site: Declared) -> None:
    controller = site("deploy_key: generate")
    assert controller("deploy-key", SERVER).stdout == f"{SERVER}: probe: {URL}: {first.public}\n"
    document = controller("deploy-key", SERVER, "--json").document
    row = {"app": "probe", "repository": URL, "public": first.public}
    assert document["hosts"] == {SERVER: {"error": None, "deploy-key": [row]}}


def test_a_key_that_others_could_read_is_roots_again_and_the_same(first: First, site: Declared) -> None:
    shell(SERVER, "chmod 644 /etc/probe/deploy_key")
    controller = site("deploy_key: generate")
    assert controller.deploy(SERVER).changed(SERVER) == ["deploy-key:probe"]
    assert shell(SERVER, "stat -c '%a %U:%G' /etc/probe/deploy_key") == "600 root:root"
    assert controller("deploy-key", SERVER).stdout.endswith(f"{first.public}\n")


def test_a_key_that_was_taken_away_is_refused_and_a_key_file_of_this_machine_is_there_only_for_the_fetch(
    first: First, site: Declared, git_host: GitHost
) -> None:
    commit = git_host.commit("sent")
    git_host.let_in()
    assert refused(site("deploy_key: generate")) == first.error
    sent = site(f"deploy_key: {git_host.key('sent')}")
    public = " ".join(git_host.key("sent.pub").read_text().split()[:2])
    assert refused(sent) == (
        f"probe: {URL} refused the key that deploy_key names; add its public half there (read-only is enough), then run again: {public}"
    )
    git_host.let_in(public)
    sent.deploy(SERVER)
    assert serving() == commit
    assert shell(SERVER, "ls /run/provision | grep key || true") == ""
    git_host.let_in(first.public)


def test_a_host_key_that_changed_is_refused_in_one_line_from_here_and_from_the_server(
    first: First, site: Declared, git_host: GitHost
) -> None:
    good, other = git_host.trust(), git_host.trust("other")
    shown = shell(SERVER, "ssh-keygen -l -f /etc/githost/good.pub").split()[1]
    said = f"probe: the host key of {NAME}, {shown}, is none that {{}}: where the host has a new one, compare it with what the host publishes and correct {{}}; otherwise do not connect"
    assert refused(site("deploy_key: generate")) == said.format(
        "this machine's known_hosts has", f"{git_host.known_hosts}:1"
    )
    assert refused(site(f"deploy_key: generate, host_key: '{other}'")) == said.format(
        "source.host_key pins", "source.host_key"
    )
    # A key pinned in the inventory is enough, whatever this machine's known_hosts has.
    pinned = site(f"deploy_key: generate, host_key: '{good}'")
    git_host.known_hosts.write_text("")
    pinned.deploy(SERVER)
    git_host.trust()
    git_host.commit("in between")
    shown = shell(SERVER, "ssh-keygen -l -f /etc/githost/other.pub").split()[1]
    with leads_to("127.0.0.1"):
        assert refused(pinned) == (
            f"probe: the server is shown a host key, {shown}, that is not pinned for {URL}: where the host has a new one, pin it "
            "(source.host_key, or known_hosts on your machine); otherwise somebody is in between"
        )


@contextmanager
def agent(folder: Path, *keys: Path) -> Iterator[dict[str, str]]:
    """An SSH agent with these keys: the environment variable that leads to it."""
    socket = folder / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not socket.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        environ = {"SSH_AUTH_SOCK": str(socket)}
        for key in keys:
            subprocess.run(["ssh-add", "-q", key], check=True, env={**os.environ, **environ})
        yield environ
    finally:
        process.terminate()
        process.wait()
        socket.unlink(missing_ok=True)


def test_the_server_may_use_the_agent_of_this_machine_while_it_fetches(
    first: First, site: Declared, git_host: GitHost, tmp_path: Path
) -> None:
    commit = git_host.commit("agent")
    controller = site("forward_agent: true")
    with agent(tmp_path, git_host.key("developer")) as socket:
        replace(controller, environ=controller.environ | socket).deploy(SERVER)
    assert serving() == commit


def test_without_an_agent_or_with_the_wrong_key_in_it_a_line_says_so(
    first: First, site: Declared, git_host: GitHost, tmp_path: Path
) -> None:
    commit = git_host.commit("no agent")
    controller = site("forward_agent: true", f"key: {LAB / 'id_ed25519'}", "agent: false")
    without = replace(controller, environ=controller.environ | {"SSH_AUTH_SOCK": str(tmp_path / "nothing")})
    assert refused(without) == (
        f"fetch {URL} at {commit[:7]}: forward_agent is set, and there is no SSH agent with a key on this machine: start one "
        "with ssh-agent, and ssh-add a key that opens the repository"
    )
    with agent(tmp_path, git_host.key("stranger")) as socket:
        assert refused(replace(controller, environ=controller.environ | socket)) == (
            f"probe: {URL} refused the keys of your SSH agent: ssh-add the one that opens it, or add one of them there"
        )


def test_a_connection_that_ends_during_the_fetch_takes_the_agent_with_it_and_the_next_run_fetches(
    first: First, site: Declared, git_host: GitHost, tmp_path: Path
) -> None:
    commit = git_host.commit("dropped")
    controller = site("forward_agent: true")
    password = (LAB / "ops-password").read_text().strip()
    with agent(tmp_path, git_host.key("developer")) as socket:
        controller = replace(controller, environ=controller.environ | socket | {"PROVISION_SUDO_PASSWORD": password})
        with leads_to("127.0.0.2"):
            shell(SERVER, "systemctl kill --signal=STOP githost-silent")
            process = controller.start("deploy", SERVER, "--json")
            deadline = time.monotonic() + 30
            while lab.shell(SERVER, "pgrep -x ssh").returncode:
                assert time.monotonic() < deadline, "no fetch began"
            shell(SERVER, "kill $(pgrep -f '^sshd: admin'); sleep 0.5; systemctl kill --signal=CONT githost-silent")
            stdout, _ = process.communicate(timeout=60)
        assert (
            f"the connection to your machine ended while {URL} was fetched, and with it the SSH agent: run again"
            in stdout
        )
        # sudo clears the environment, with a password or without.
        site("forward_agent: true", "user: ops", "become: sudo-password")
        controller.deploy(SERVER)
    assert serving() == commit


def test_a_requirement_of_a_private_repository_is_installed_with_the_apps_deploy_key(
    site: Declared, git_host: GitHost, tmp_path: Path
) -> None:
    """Nothing of the key stays where the app could read it."""
    url = URL.replace("probe.git", "extra.git")
    for name, text in probe_app.EXTRA.items():
        (tmp_path / name).write_text(text)
    author = "-c user.name=tests -c user.email=tests@lab.test"
    for words in (
        "init --quiet",
        "add --all",
        f"{author} commit --quiet -m extra",
        f"push --quiet {url} HEAD:refs/heads/main",
    ):
        subprocess.run(["git", "-C", tmp_path, *words.split()], check=True, env={**os.environ, **git_host.environ})
    commit = git_host.commit("extra", f"probe-extra @ git+{url}\n")
    site("deploy_key: generate").deploy(SERVER)
    assert serving() == commit
    assert (
        shell(SERVER, "cd /srv/probe/current/.venv/lib/python3*/site-packages && ls -d probe_extra.py")
        == "probe_extra.py"
    )
    assert shell(SERVER, "find / -xdev -name .deploy_key -o -xdev -name .netrc 2>/dev/null") == ""
