"""First contact with a server as its provider hands it over: root with a password, or a user with sudo, and a host key to be trusted."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provision import lab
from tests.lab.conftest import LAB, ROOT, Answer, Controller, on_a_terminal, shell
from tests.lab.refusals import ADDRESS, SERVER

PASSWORD = "correct horse battery staple"
RULES = "/etc/sudoers.d/provision-deploy"
Make = Callable[..., Controller]


@pytest.fixture(scope="module", autouse=True)
def fresh() -> Iterator[None]:
    """A server that lets root in by a password."""
    lab.reset(SERVER)
    shell(SERVER, f"echo 'root:{PASSWORD}' | chpasswd; echo PermitRootLogin yes >/etc/ssh/sshd_config.d/root.conf")
    shell(SERVER, "rm /root/.ssh/authorized_keys; systemctl reload ssh")
    yield
    lab.reset(SERVER)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes inventories in which the user deploy has a key of its own, and no host key is known."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ann@laptop", "-f", key], check=True)
    path = tmp_path / "fresh.yml"
    path.with_name("known").touch()

    def made(more: str = "", password: str = PASSWORD) -> Controller:
        host = f"{{address: {ADDRESS}, user: deploy, agent: false, key: {key}, known_hosts: {tmp_path}/known{more}}}"
        path.write_text(f"hosts: {{new: {host}}}\nroles: [base]\n")
        return Controller(path, {"PROVISION_LOGIN_PASSWORD": password} if password else {})

    yield made
    shell(SERVER, f"pkill -u deploy || true; userdel -rf deploy 2>/dev/null || true; rm -f {RULES}")


def fingerprint() -> str:
    """The server's, as it prints it itself."""
    return shell(SERVER, "ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub").split()[1]


def known(controller: Controller) -> str:
    """What is pinned."""
    return controller.inventory.with_name("known").read_text()


def plan(controller: Controller) -> Answer:
    return controller("plan", "new", "--json")


def test_root_with_a_password_lets_the_user_in_who_is_root_from_then_on(make: Make) -> None:
    controller = make(f", host_key: '{fingerprint()}'")
    assert plan(controller).host("new")["status"] == "unreachable"
    first = controller("bootstrap", "new")
    assert (first.status, first.stderr) == (0, "")
    assert first.stdout.splitlines() == [
        f"new: pinned its host key, ssh-ed25519 {fingerprint()}, in {controller.inventory.with_name('known')}",
        "new: made the user deploy",
        "new: added 1 of the given keys to /home/deploy/.ssh/authorized_keys",
        f"new: let deploy use sudo ({RULES})",
        "new: deploy logs in and is root",
    ]
    assert plan(controller).host("new")["error"] is None
    places = f"stat -c '%n %U:%G %a %Y' /home/deploy/.ssh /home/deploy/.ssh/authorized_keys {RULES}; ls /etc/sudoers.d"
    before = shell(SERVER, places)
    assert [line.split(" ", 1)[1][:-11] for line in before.splitlines()[:3]] == [
        "deploy:deploy 700",
        "deploy:deploy 600",
        "root:root 440",
    ]
    again = controller("bootstrap", "new")
    assert (again.status, again.stdout) == (0, "new: deploy logs in and is root: nothing to do\n")
    assert shell(SERVER, places) == before
    assert PASSWORD not in shell(SERVER, "journalctl --no-pager -q; cat /var/log/*.log 2>/dev/null || true")


def test_a_host_key_that_nobody_has_confirmed_is_not_trusted(make: Make) -> None:
    before = shell(SERVER, "getent passwd; ls /etc/sudoers.d")
    wrong = f"SHA256:{'A' * 43}"
    told = make(f", host_key: '{wrong}'")("bootstrap", "new")
    said = f"new: the host key of {ADDRESS} is ssh-ed25519 {fingerprint()}, and the inventory's host_key is {wrong}: do not connect\n"
    assert (told.status, told.stderr) == (1, said)
    controller = make()
    told = controller("bootstrap", "new")
    assert told.status == 1
    assert told.stderr.endswith(f"then write host_key: {fingerprint()} into the inventory\n")
    told = on_a_terminal(controller.command("bootstrap", "new"), "n\n")
    assert (told.status, "is not trusted: nothing was changed" in told.stdout) == (1, True), told.stdout
    assert known(controller) == ""
    assert shell(SERVER, "getent passwd; ls /etc/sudoers.d") == before


def test_a_providers_user_with_sudo_and_a_password_lets_the_user_in(make: Make) -> None:
    password = (LAB / "ops-password").read_text().strip()
    told = make(f", host_key: '{fingerprint()}'", password="")("bootstrap", "new", "--login", "ops")
    wants = f"ops@{ADDRESS} wants a password, and there is no terminal to ask on: set PROVISION_LOGIN_PASSWORD\n"
    assert (told.status, told.stderr) == (1, wants)
    controller = make(password=password)
    answered = on_a_terminal(
        ["env", f"PROVISION_LOGIN_PASSWORD={password}", *controller.command("bootstrap", "new", "--login", "ops")],
        "y\n",
    )
    assert (answered.status, answered.stdout.splitlines()[-1]) == (0, "new: deploy logs in and is root"), (
        answered.stdout
    )
    assert password not in answered.stdout
    assert plan(controller).host("new")["error"] is None


def test_a_wrong_password_and_sudoers_that_are_broken_leave_no_rule(make: Make) -> None:
    wrong = make(f", host_key: '{fingerprint()}'", password="wrong")("bootstrap", "new")
    assert (wrong.status, wrong.stderr.startswith(f"new: root@{ADDRESS} refused ")) == (1, True), wrong.stderr
    shell(SERVER, "echo 'nonsense here' >/etc/sudoers.d/theirs")
    broken = make()("bootstrap", "new")
    shell(SERVER, "rm /etc/sudoers.d/theirs")
    assert (broken.status, "visudo refuses the server's own sudoers" in broken.stderr) == (1, True), broken.stderr
    assert "provision" not in shell(SERVER, "ls -A /etc/sudoers.d")
    mended = make()("bootstrap", "new")
    assert (mended.status, mended.stdout.splitlines()[-1]) == (0, "new: deploy logs in and is root"), mended.stderr


def test_what_bootstrap_cannot_do_is_said_before_any_connection(make: Make) -> None:
    controller = make(", become: sudo-password")
    told = Controller(controller.inventory, {**controller.environ, "PROVISION_SUDO_PASSWORD": "x"})("bootstrap", "new")
    assert (told.status, told.stderr) == (1, "new: the user gets sudo without a password: leave become out\n")
    missing = make()("bootstrap", "new", "--keys", os.devnull)
    assert (missing.status, "there is no public key to let in" in missing.stderr) == (1, True), missing.stderr


def conversation(command: list[str], answers: dict[str, str]) -> tuple[int, str]:
    """The exit status of a task on a terminal of its own, and all that stood there; each answer is typed once its question stands."""
    process, terminal = pty.fork()
    if not process:
        os.chdir(ROOT)
        os.execvp(command[0], command)
    said, waiting = "", dict(answers)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            part = os.read(terminal, 65536) if select.select([terminal], [], [], 1)[0] else b""
        except OSError:
            break
        said += part.decode(errors="replace")
        question = next((each for each in waiting if said.rstrip().endswith(each)), None)
        if question:
            # getpass throws away what was typed before it asked.
            time.sleep(0.3)
            os.write(terminal, f"{waiting.pop(question)}\n".encode())
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), said


def test_a_password_is_asked_for_and_stands_nowhere(make: Make) -> None:
    controller = make(password="")
    status, said = conversation(
        controller.command("bootstrap", "new"), {"shows it? [y/N]": "y", f"password of root@{ADDRESS}:": PASSWORD}
    )
    assert (status, "new: deploy logs in and is root" in said, PASSWORD in said) == (0, True, False), said


def test_through_a_jump_host(make: Make) -> None:
    """The server itself is the jump host, and the loopback address the one behind it."""
    controller = make(f", host_key: '{fingerprint()}'")
    assert controller("bootstrap", "new").status == 0
    text = controller.inventory.read_text()
    behind = text.replace(
        f"address: {ADDRESS}, user: deploy", f"address: 127.0.0.1, proxy_jump: deploy@{ADDRESS}, user: behind"
    )
    controller.inventory.write_text(behind)
    told = controller("bootstrap", "new")
    try:
        assert (told.status, told.stdout.splitlines()[-1]) == (0, "new: behind logs in and is root"), told.stderr
        assert [line.split()[0] for line in known(controller).splitlines()] == [ADDRESS, "127.0.0.1"]
        assert plan(controller).host("new")["error"] is None
    finally:
        shell(
            SERVER,
            "pkill -u behind || true; userdel -rf behind 2>/dev/null || true; rm -f /etc/sudoers.d/provision-behind",
        )


def test_a_deploy_begins_with_it_on_a_new_server_and_on_no_other(make: Make) -> None:
    controller = make()
    refused = controller("provision", "new")
    assert (refused.status, "made the user" in refused.stdout) == (1, False), (
        "nobody has said that the host key is the server's"
    )
    status, said = conversation(
        controller.command("provision", "new"),
        {"leave it as it is:": "root", "shows it? [y/N]": "y", f"password of root@{ADDRESS}:": PASSWORD},
    )
    assert (status, "new: deploy logs in and is root" in said) == (0, True), said
    assert plan(controller).status == 0
    shell(SERVER, f"pkill -u deploy || true; userdel -rf deploy 2>/dev/null || true; rm -f {RULES}")
    again = make(f", host_key: '{fingerprint()}'")("provision", "new")
    assert (again.status, "this server is not new" in again.stderr) == (1, True), again.stdout + again.stderr
    shell(SERVER, "rm -r /var/lib/provision")
    by_itself = make(f", host_key: '{fingerprint()}'")("provision", "new")
    assert (by_itself.status, f"new: let deploy use sudo ({RULES})" in by_itself.stdout) == (0, True), by_itself.stderr
