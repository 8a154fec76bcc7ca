"""Getting in: sudo's password, keys and agents, host keys, and servers that cannot be reached."""

import json
import os
import re
import socket
import subprocess
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from provision import lab
from tests.lab.conftest import LAB, https, on_a_terminal, shell
from tests.lab.refusals import ADDRESS, APP, DOMAIN, MAIN, SERVER, Declared, refused, untouched

pytest_plugins = ("tests.lab.refusals",)


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


def test_production_is_changed_only_where_its_name_is_typed(deployed: Declared) -> None:
    controller = deployed({"environment": {"COLOUR": "red"}}, environment="production")
    for options, said in (((), "there is no terminal to ask on"), (("--json",), "deploy --json asks nothing")):
        with untouched():
            answer = controller("deploy", SERVER, *options)
        assert (answer.status, answer.stderr) == (1, f"{SERVER} is production, and {said}: add --yes\n")
    with untouched():
        answer = on_a_terminal(controller.command("deploy", SERVER), "lab\n")
    assert (answer.status, answer.stdout.splitlines()[-1].endswith("nothing was changed")) == (1, True), answer.stdout
    asked = rf"^{SERVER} is production\. This makes \d changes on {SERVER}\. Type {SERVER} to go on: "
    assert re.search(asked, answer.stdout, re.MULTILINE), answer.stdout
    answer = on_a_terminal(controller.command("deploy", SERVER), f"{SERVER}\n")
    assert (answer.status, "● " in answer.stdout) == (0, True), answer.stdout
    again = on_a_terminal(controller.command("deploy", SERVER), "lab\n")
    assert (again.status, "Type" in again.stdout) == (0, False), "where nothing is changed, nothing is asked"
    assert controller("restart", SERVER, "--yes", "--json").status == 0


def test_a_closed_port_is_unreachable(deployed: Declared) -> None:
    with untouched():
        controller = deployed(hosts={SERVER: {"address": ADDRESS, "port": 1}})
        error = refused(controller("deploy", SERVER, "--json"), status="unreachable")
    assert error == (f"{ADDRESS} port 1 does not answer (Connection refused): is the server on, and the address right?")


def test_a_server_that_closes_the_connection_before_its_banner_is_asked_again(deployed: Declared) -> None:
    """sshd closes connections before it has said anything, at random, where it has that many which have not logged in."""
    shell(SERVER, "echo MaxStartups 1 >/etc/ssh/sshd_config.d/one.conf; systemctl reload ssh; sleep 0.5")
    try:
        with socket.create_connection((ADDRESS, 22)) as other:
            time.sleep(0.5)
            error = refused(deployed()("plan", SERVER, "--json"), status="unreachable")
            assert error.startswith(f"{ADDRESS} port 22 closes the connection before it says anything")
            threading.Timer(1.5, partial(other.shutdown, socket.SHUT_RDWR)).start()
            assert deployed().plan(SERVER).host(SERVER)["error"] is None
    finally:
        shell(SERVER, "rm /etc/ssh/sshd_config.d/one.conf; systemctl reload ssh")


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


def test_a_host_that_cannot_be_reached_stops_the_others_unless_it_is_skipped(deployed: Declared) -> None:
    commit = deployed.repository.commit({"main.py": MAIN.replace("hello", "good morning")})
    hosts = {SERVER: {"address": ADDRESS}, "off": {"address": ADDRESS, "port": 1}}
    answer = deployed(hosts=hosts)("deploy", "refusals", "--json")
    assert refused(answer).startswith("nothing was changed: off: ")
    answer = deployed(hosts=hosts)("deploy", "refusals", "--skip-unreachable", "--json")
    assert "does not answer (Connection refused)" in refused(answer, "off", "unreachable")
    assert (answer.host(SERVER)["status"], answer.host(SERVER)["error"]) == ("changed", None)
    assert json.loads(https(SERVER, "/", DOMAIN).stdout) == {
        "greeting": "good morning",
        "release": answer.host(SERVER)["release"],
    }
    assert answer.host(SERVER)["release"].endswith(commit[:7])


def test_a_server_that_is_off_is_unreachable_and_serves_again_when_it_is_on(deployed: Declared) -> None:
    deployed().deploy(SERVER)
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
