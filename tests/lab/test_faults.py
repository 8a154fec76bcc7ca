"""What goes wrong during a run: killed controllers, cut connections, two runs at once, servers that are off."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import pytest

from provision import lab
from provision.controller.ssh import Session
from provision.engine import apply
from provision.engine.facts import Facts
from provision.engine.plan import Plan
from provision.engine.resource import Change, Probe, Ref, Resource, State, Transfer
from provision.inventory import Host, load
from provision.resources.package import Packages
from provision.roles.wanted import Wanted
from provision.run.host import HostRun
from provision.run.request import Request, who
from provision.run.result import Result
from provision.run.watcher import Silence
from tests.lab.conftest import LAB, Controller, https, shell
from tests.lab.terminal import on_a_terminal

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab2")
ADDRESS = f"10.213.0.{10 + int(SERVER.removeprefix('lab'))}"
LIBRARY = 'probe_steps() { while IFS="\t" read -r number path; do if [ -e "$path" ]; then printf "%s\\tdone\\n" "$number"; fi; done; }\n'


@dataclass(frozen=True)
class Step:
    """A change that takes time, or fails, and leaves a file behind when it is done."""

    name: str
    script: str = ""

    @property
    def ref(self) -> Ref:
        return Ref("step", self.name)

    @property
    def path(self) -> str:
        return f"/root/step-{self.name}"

    def probe(self) -> Probe:
        return Probe("probe_steps", LIBRARY, (self.path,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        return None if state else Change(self.ref, f"step {self.name}", f"{self.script}\ntouch {self.path}")


@dataclass(frozen=True)
class Upload:
    """A change that needs a file from this machine; it fails where that is not there."""

    local: Path
    remote: str

    @property
    def ref(self) -> Ref:
        return Ref("upload", self.remote)

    def probe(self) -> Probe:
        return Probe("probe_steps", LIBRARY, ("/nowhere",))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        return Change(self.ref, "send it", f"rm /home/admin/{self.remote}", upload=Transfer(self.local, self.remote))


def finish(run: HostRun) -> Result:
    """What becomes of the host when the run is made."""
    all(run.attempt(step) for step in (run.make_plan, run.apply))
    return run.result()


@pytest.fixture
def steps(sample: str, tmp_path: Path) -> Iterator[Callable[..., HostRun]]:
    """Makes a run of steps on the server; the files that steps leave behind are removed before and after."""
    path = tmp_path / "steps.yml"
    path.write_text(sample)

    def clear() -> None:
        shell(SERVER, "rm -f /root/step-*")

    def make(*steps: Resource, port: int = 0, known_hosts: Path | None = None) -> HostRun:
        found = load(path)
        host = found.hosts[SERVER]
        if port:
            host = host.model_copy(update={"address": "127.0.0.1", "port": port, "known_hosts": known_hosts})

        def roles(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
            return steps

        return HostRun(Request("deploy", found, (host,), roles), host, {}, Silence())

    clear()
    yield make
    clear()


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until this is true; at most so many seconds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)


def exists(path: str) -> bool:
    """Whether a path exists on the server."""
    return lab.shell(SERVER, f"test -e {path}").returncode == 0


def ended() -> bool:
    """Whether no run is under way on the server."""
    return lab.shell(SERVER, "flock -n -s /run/provision/lock true").returncode == 0


@contextmanager
def proxy(address: str) -> Iterator[tuple[int, Callable[[], None]]]:
    """A TCP proxy on loopback in front of a server's port 22: its port, and a function that cuts its connections."""
    listener = socket.create_server(("127.0.0.1", 0))
    pairs: list[socket.socket] = []

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        for end in (source, target):
            end.close()

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection((address, 22))
            pairs.extend((client, server))
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=pump, args=(source, target), daemon=True).start()

    def cut() -> None:
        for end in pairs:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        pairs.clear()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1], cut
    finally:
        listener.close()
        cut()


def known_hosts(folder: Path, port: int) -> Path:
    """The server's host key, under the name of a port of this machine."""
    lines = (LAB / "known_hosts").read_text().splitlines()
    key = next(line.split(maxsplit=1)[1] for line in lines if ADDRESS in line.split()[0].split(","))
    path = folder / "known_hosts"
    path.write_text(f"[127.0.0.1]:{port} {key}\n")
    return path


def test_a_connection_that_drops_is_picked_up_where_it_was(steps: Callable[..., HostRun], tmp_path: Path) -> None:
    with proxy(ADDRESS) as (port, cut):
        known = known_hosts(tmp_path, port)
        run = steps(
            Step("one", "echo first"), Step("two", "sleep 2"), Step("three", "echo last"), port=port, known_hosts=known
        )

        def cut_after_the_first() -> None:
            until(lambda: exists("/root/step-one"))
            cut()

        threading.Thread(target=cut_after_the_first, daemon=True).start()
        result = finish(run)
    assert (result.status, result.changed, result.error) == ("changed", 3, None)
    assert result.execs == 4, "facts, probe, apply, and the one that went on reading"


def test_an_upload_that_is_cut_off_is_one_clear_line_and_the_next_run_removes_what_it_left(
    steps: Callable[..., HostRun], tmp_path: Path
) -> None:
    large = tmp_path / "large.pack"
    large.write_bytes(os.urandom(1 << 20) * 100)
    upload = Upload(large, f".provision-{token_hex(4)}.pack")
    with proxy(ADDRESS) as (port, cut):
        run = steps(upload, port=port, known_hosts=known_hosts(tmp_path, port))

        def cut_in_the_middle() -> None:
            until(lambda: exists(f"/home/admin/{upload.remote}"))
            cut()

        threading.Thread(target=cut_in_the_middle, daemon=True).start()
        result = finish(run)
    assert result.error is not None
    assert result.error.startswith("the connection to 127.0.0.1 ended while large.pack was sent"), result.error
    until(lambda: not shell(SERVER, f"find /proc/[0-9]*/fd -lname '*/{upload.remote}' 2>/dev/null || true"))
    shell(SERVER, f"touch -d '1 minute ago' /home/admin/{upload.remote}")
    assert finish(steps(Step("next"))).status == "changed"
    assert not exists(f"/home/admin/{upload.remote}")


def test_an_upload_for_which_there_is_no_room_is_one_clear_line_and_leaves_nothing(
    steps: Callable[..., HostRun], tmp_path: Path
) -> None:
    large = tmp_path / "large.pack"
    large.write_bytes(bytes(3 << 20))
    shell(SERVER, "mkdir -p /home/admin/full && mount -t tmpfs -o size=1M,mode=777 full /home/admin/full")
    try:
        result = finish(steps(Upload(large, "full/large.pack")))
        assert shell(SERVER, "ls /home/admin/full") == ""
    finally:
        shell(SERVER, "umount /home/admin/full && rmdir /home/admin/full")
    assert result.error is not None
    assert result.error.startswith("large.pack could not be written to the home folder of admin"), result.error


def test_a_mirror_that_does_not_resolve_is_named(steps: Callable[..., HostRun]) -> None:
    lists, resolver = "/var/lib/apt/lists", "/etc/resolv.conf"
    shell(
        SERVER,
        f"mv {lists} {lists}.kept; cp -P {resolver} /root/step-resolv; rm {resolver}; echo nameserver 127.0.0.9 >{resolver}",
    )
    try:
        result = finish(steps(Packages("test", ("no-such-package",))))
    finally:
        shell(SERVER, f"rm -rf {lists}; mv {lists}.kept {lists}; rm {resolver}; cp -P /root/step-resolv {resolver}")
    assert result.error is not None
    assert result.error.startswith("apt cannot read http"), result.error
    assert "resolving" in result.error, result.error


def test_a_second_run_is_refused_with_who_holds_the_lock_and_since_when(
    steps: Callable[..., HostRun], controller: Controller
) -> None:
    first = threading.Thread(target=finish, args=(steps(Step("slow", "sleep 4")),))
    first.start()
    until(lambda: not ended())
    answer = controller("provision", SERVER, "--json")
    first.join()
    error = answer.host(SERVER)["error"]
    assert answer.status == 1
    assert error.startswith(f"{who()} (deploy) has been changing this server since 20")
    assert "wait for it to end, then run again" in error


def test_a_plan_that_another_run_made_old_is_not_applied(steps: Callable[..., HostRun]) -> None:
    assert finish(steps(Step("between"))).status == "changed"
    session = Session(steps().host)
    old = Plan((Change(Ref("step", "x"), "x", "touch /root/step-old"),), 1, "a-run-before")
    with_old_plan = list(apply.events(session.lines(apply.start(old, "19700101T000000-test", "a test", "deploy"))))
    session.close()
    assert [event.kind for event in with_old_plan] == ["stale"]
    assert not exists("/root/step-old")


def test_a_failed_change_stops_the_host_and_the_next_run_goes_on_from_there(steps: Callable[..., HostRun]) -> None:
    failing = Step("two", "echo it is broken >&2; false")
    result = finish(steps(Step("one"), failing, Step("three")))
    assert (result.status, result.ok, result.changed, result.failed, result.skipped) == ("failed", 0, 1, 1, 1)
    assert result.error == "step two: it is broken"
    assert not exists("/root/step-three")
    again = finish(steps(Step("one"), Step("two"), Step("three")))
    assert (again.status, again.ok, again.changed) == ("changed", 1, 2)


def test_a_run_can_be_stopped_after_the_current_change(steps: Callable[..., HostRun]) -> None:
    run = steps(Step("one", "sleep 2"), Step("two"))

    def stop_when_begun() -> None:
        until(lambda: not ended())
        run.stop()

    threading.Thread(target=stop_when_begun, daemon=True).start()
    result = finish(run)
    assert result.error == "stopped on request; not done: 1 changes"
    assert exists("/root/step-one")
    assert not exists("/root/step-two")


def test_a_run_whose_script_was_killed_on_the_server_is_not_called_done(steps: Callable[..., HostRun]) -> None:
    killer = Step("two", "kill -9 $(cat /run/provision/runs/*/pid | tail -n 1); sleep 5")
    result = finish(steps(Step("one"), killer, Step("three")))
    assert result.status == "failed"
    assert result.error is not None
    assert "was ended on the server" in result.error
    assert not ended(), "the change that it was making still holds the lock"
    until(ended)
    again = finish(steps(Step("one"), Step("two"), Step("three")))
    assert (again.status, again.ok, again.changed) == ("changed", 2, 1)


def test_a_server_finishes_its_changes_when_the_controller_is_killed(controller: Controller) -> None:
    lab.reset(SERVER)
    process = controller.start("deploy", SERVER, "--json")
    until(lambda: exists("/etc/sample/units/sample@.service"))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not exists("/etc/nginx/sites-enabled/zz-sample.conf"), "it was killed before the end"
    until(ended, 120)
    answer = controller.plan(SERVER)
    assert (answer.status, answer.host(SERVER)["changes"]) == (0, [])
    assert https(SERVER, "/health").returncode == 0


def test_ctrl_c_without_a_terminal_leaves_the_server_to_finish(controller: Controller) -> None:
    changed = controller.with_text(
        controller.inventory.read_text().replace("ENVIRONMENT: production", "ENVIRONMENT: staging")
    )
    process = changed.start("deploy", SERVER)
    until(lambda: not ended())
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    until(ended)
    assert changed.plan(SERVER).status == 0


@pytest.mark.parametrize("again", [False, True])
def test_the_question_at_ctrl_c_ends_with_the_run_and_a_second_one_leaves_at_once(
    controller: Controller, again: bool
) -> None:
    text = controller.inventory.read_text()
    asked = f"environment:\n      ASKED: x{token_hex(2)}"
    changed = controller.with_text(text.replace("environment:", asked, 1))
    process, said = on_a_terminal(["env", "--default-signal=INT", *changed.command("deploy", SERVER)])
    until(lambda: not ended())
    process.send_signal(signal.SIGINT)
    until(lambda: "Leave it" in said())
    if again:
        process.send_signal(signal.SIGINT)
    assert process.wait(120) == (130 if again else 0), said()
    assert ("It has ended meanwhile" in said(), "The servers go on" in said()) == (not again, again)
    assert ("not done" in said()) != again, "the recap"
    until(ended)


def test_secrets_are_in_no_process_list_log_or_file_that_others_can_read(controller: Controller) -> None:
    secret = f"correct-horse-battery-staple-{token_hex(16)}"
    (controller.inventory.parent / "app.env").write_text(f"SECRET_KEY={secret}\n")
    changed = controller.with_text(controller.inventory.read_text().replace(f"{LAB}/app.env", "app.env"))
    watch = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' >>/root/step-cmdlines"
    loop = f"i=0; while [ $i -lt 400 ]; do {watch}; i=$((i+1)); sleep 0.01; done"
    watcher = threading.Thread(target=lab.shell, args=(SERVER, loop))
    watcher.start()
    seen = changed("deploy", SERVER)
    assert seen.status == 0, seen.stderr
    assert secret not in seen.stdout + seen.stderr
    assert "SECRET_KEY=********" in seen.stdout
    watcher.join()
    assert "sample@" in shell(SERVER, "cat /root/step-cmdlines")
    assert secret not in shell(SERVER, "cat /root/step-cmdlines; journalctl --no-pager -q")
    found = shell(
        SERVER, f"grep -rlsF {secret} /etc /run /var /srv /tmp /root /home --exclude-dir=proc || true"
    ).splitlines()
    assert set(found) <= {"/etc/sample/env", "/etc/sample/blue/env", "/etc/sample/green/env"}
    assert set(shell(SERVER, f"stat -c '%a %U %G' {' '.join(found)}").splitlines()) == {"640 root sample"}


def test_three_servers_at_once_and_one_of_them_is_off(controller: Controller) -> None:
    hosts = ", ".join(f"{host}: {{groups: [three]}}" for host in ("lab1", "lab2", "lab3"))
    grouped = controller.with_text(f"{controller.inventory.read_text()}hosts: {{{hosts}}}\n")
    lab.stop("lab3")
    try:
        refused = grouped("deploy", "three", "--json")
        answer = grouped("deploy", "three", "--json", "--skip-unreachable")
    finally:
        lab.start("lab3")
    assert (refused.status, [refused.host(name)["changed"] for name in ("lab1", "lab2", "lab3")]) == (1, [0, 0, 0])
    assert answer.status == 1
    assert answer.host("lab3")["status"] == "unreachable"
    assert "does not answer" in answer.host("lab3")["error"]
    for name in ("lab1", "lab2"):
        assert answer.host(name)["status"] in ("ok", "changed"), answer.host(name)["error"]
        assert https(name, "/health").returncode == 0
