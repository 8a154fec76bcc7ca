"""What is true of releases under either process manager."""

import os
import signal
import ssl
import subprocess
import threading
import time
from socket import create_connection
from typing import ClassVar

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from provision import lab
from tests.lab import probe_app
from tests.lab.conftest import ALONE, LAB, https, shell
from tests.lab.load import load, stream
from tests.lab.probe_site import ADDRESS, DOMAIN, SERVER, Site

DEPLOYS = int(os.environ.get("PROVISION_DEPLOYS", "2"))


class Deploys:
    """No request fails when another release takes over. A test module has the site."""

    def test_no_request_fails_over_deploys_under_load(self, site: Site) -> None:
        site.deploy("--revision", "one")
        with load(ADDRESS, DOMAIN, 60 * DEPLOYS, heavy=True) as seen:
            for number in range(DEPLOYS):
                site.deploy("--revision", ("two", "one")[number % 2])
                switched = time.monotonic()
                time.sleep(0.3)
                late = {commit for when, commit in seen.answers if when > switched}
                assert late == {site.commits[(1, 0)[number % 2]]}, "an old answer after the end of the switch"
            time.sleep(1)
        assert (seen.failed, seen.failures[:3]) == (0, [])
        assert seen.order() == [site.commits[0], *(site.commits[(1, 0)[number % 2]] for number in range(DEPLOYS))]
        assert seen.requests >= 1000 * DEPLOYS
        print(f"{site.manager}: {seen.requests} requests over {DEPLOYS} deploys, none failed; p99 {seen.p99}")


class Switches:
    """What has begun ends, and a broken or a held release harms nobody. A test module has the site."""

    def test_what_the_old_release_has_begun_it_ends_and_what_has_no_end_lives_until_the_drain_limit(
        self, site: Site
    ) -> None:
        site.deploy("--revision", "one")
        slow: list[subprocess.CompletedProcess[str]] = []
        streams: dict[int, tuple[list[str], bool, float]] = {}
        asking = [threading.Thread(target=lambda: slow.append(https(SERVER, "/slow?seconds=5", DOMAIN)))]
        for seconds in (5, 60):
            path = f"/stream?seconds={seconds}"
            asking.append(
                threading.Thread(target=lambda s=seconds, p=path: streams.update({s: stream(ADDRESS, DOMAIN, p)}))
            )
        trust = ssl.create_default_context(cafile=str(LAB / "acme-root.pem"))
        with connect(f"wss://{DOMAIN}/ws", ssl=trust, sock=create_connection((ADDRESS, 443))) as socket:
            deploying = threading.Thread(target=lambda: site.deploy("--revision", "two"))
            deploying.start()
            for thread in asking:
                thread.start()
            while site.serving() != site.commits[1]:
                # nginx ends a connection that says nothing for as long as a request may take.
                socket.send("waiting")
                socket.recv(timeout=5)
                time.sleep(0.05)
            switched = time.monotonic()
            with pytest.raises(ConnectionClosed) as closed:
                chat(socket)
            lived = time.monotonic() - switched
        for thread in (*asking, deploying):
            thread.join()
        assert (slow[0].returncode, slow[0].stdout.strip('"')) == (0, site.commits[0])
        assert streams[5][:2] == ([site.commits[0]] * 25, True)
        lines, whole, ended = streams[60]
        assert (set(lines), whole) == ({site.commits[0]}, False)
        assert closed.value.rcvd is not None, f"{closed.value!r} after {lived:.1f} s"
        assert closed.value.rcvd.code == 1012, "service restart: RFC 6455's registry"
        for what, outlived in (("the websocket", lived), ("the stream", ended - switched)):
            assert 6.5 < outlived < (14 if ALONE else 25), f"{what} lived {outlived:.1f} s, and the limit is 8 s"
        assert site.serving() == site.commits[1]
        assert len(site.running()) == 1

    broken: ClassVar[tuple[tuple[str, str], ...]] = (
        ("start", "ended before it was healthy ("),
        ("exit", "ended within 3s of having the traffic"),
        ("unhealthy", "was not healthy within 6s (/health answered 503)"),
        ("hang", "within 6s"),
        ("memory", "healthy"),
    )

    @pytest.mark.long
    def test_a_broken_release_never_harms_a_request(self, site: Site) -> None:
        before, slot, text = site.serving(), site.slot(), site.text
        try:
            for breaks, said in self.broken:
                # That a release never gets healthy is told by the clock; that it ended, by its process, however slow the machine is.
                timeout = 40 if "ended" in said else 6
                site.with_text(text.replace("timeout: 10, watch: 1", f"timeout: {timeout}, watch: 3"))
                site.repository.commit(probe_app.files(breaks, note=breaks), "broken")
                with load(ADDRESS, DOMAIN, 60) as seen:
                    answer = site.controller("deploy", SERVER, "--revision", "broken", "--json")
                assert answer.status == 1, breaks
                assert said in answer.host(SERVER)["error"]
                assert (seen.failed, seen.failures[:3]) == (0, []), breaks
                if breaks != "exit":
                    assert {commit for _, commit in seen.answers} == {before}
                assert (site.serving(), site.slot(), site.running()) == (before, slot, [slot])
                site.starts_again(before)
        finally:
            site.with_text(text)
        states = {row["state"] for row in site("releases", "--json").document["hosts"][SERVER]["releases"]}
        assert "failed" in states

    def test_a_held_release_is_seen_by_those_who_have_the_token_and_by_nobody_else(self, site: Site) -> None:
        site.deploy("--revision", "one")
        one, two = site.commits
        with load(ADDRESS, DOMAIN, 90) as seen:
            answer = site.deploy("--revision", "two", "--hold")
            token = answer.host(SERVER)["previews"]["probe"]
            assert site.serving() == one
            assert https(SERVER, "/commit", DOMAIN, "-H", f"X-Preview: {token}").stdout.strip('"') == two
            with_cookie = ("-L", "-b", "", "-c", os.devnull)
            shown = https(SERVER, f"/.preview/{token}", DOMAIN, "-i").stdout
            assert f"set-cookie: provision_preview={token}; path=/; secure; httponly" in shown.lower()
            assert https(SERVER, "/commit", DOMAIN, "-b", f"provision_preview={token}").stdout.strip('"') == two
            for wrong in (f"X-Preview: {'0' * 32}", "X-Preview: ../current.sock", "Cookie: provision_preview=../held"):
                assert https(SERVER, "/commit", DOMAIN, "-H", wrong).stdout.strip('"') == one
            assert https(SERVER, f"/.preview/{'0' * 32}", DOMAIN, "-f", *with_cookie).returncode
            again = site.deploy("--revision", "two", "--hold").host(SERVER)
            assert (again["changes"], again["previews"]) == ([], {"probe": token})
            states = [row["state"] for row in site("releases", "--json").document["hosts"][SERVER]["releases"]]
            assert states.count("held") == 1
            assert site("promote").status == 0
            assert site.serving() == two
            assert https(SERVER, "/commit", DOMAIN, "-H", f"X-Preview: {token}").stdout.strip('"') == two
            assert site.left() == []
            assert site("plan", "--revision", "two").status == 0
            site.deploy("--revision", "one", "--hold")
            assert site("rollback").status == 0
            assert (site.serving(), site.running()) == (two, [site.slot()])
        assert (seen.failed, seen.failures[:3]) == (0, [])
        assert {commit for _, commit in seen.answers} == {one, two}
        assert seen.order() == [one, two]
        refused = site("promote", "--json").host(SERVER)["error"]
        assert refused == f"{SERVER}: no release is held here: invoke deploy --hold holds one"


class Processes:
    """Processes, schedules, hooks and logs belong to the active release. A test module has the site."""

    @pytest.mark.long
    def test_more_processes_and_schedules_follow_the_release(self, site: Site) -> None:
        text, supervised = site.text, site.manager == "supervisor"
        more = "    processes: {worker: python -m worker worker}\n    schedules: {tick: {at: '03:00', run: python -m worker tick}}\n"
        more += "    hooks: {before: python -m worker before, after: python -m worker after}\n"
        site.with_text(text + more)
        kill = "kill -9 $(supervisorctl pid probe-worker)" if supervised else "systemctl kill -s KILL probe-worker"
        is_up = "supervisorctl status probe-worker" if supervised else "systemctl is-active probe-worker"
        stop = "supervisorctl stop probe-worker" if supervised else "systemctl stop probe-worker"
        start = "$(tail -n 1 /etc/cron.d/probe-tick | cut -d' ' -f7-)" if supervised else "systemctl start probe-tick"
        try:
            for name, commit in zip(("one", "two"), site.commits, strict=True):
                site.deploy("--revision", name)
                time.sleep(0.5)
                for file in ("worker", "before", "after"):
                    assert shell(SERVER, f"cat /srv/probe/shared/{file}") == commit
            shell(SERVER, f"{kill}; sleep 2.5; {is_up}")
            shell(SERVER, f'eval "{start}"; sleep 1')
            assert shell(SERVER, "cat /srv/probe/shared/tick") == site.commits[1]
            if supervised:
                assert shell(SERVER, "grep -v '^[A-Z#]' /etc/cron.d/probe-tick").startswith("0 3 * * * root ")
            else:
                shell(SERVER, "systemctl is-active probe-tick.timer && systemctl is-enabled probe-tick.timer")
            assert "working" in site("logs", "--process", "worker").stdout
            assert "Booting worker" in site("logs", "--lines", "100").stdout
            assert site("plan", "--revision", "two").status == 0
            shell(SERVER, stop)
            repair = site.deploy("--revision", "two").host(SERVER)["changes"]
            assert [change["summary"] for change in repair] == ["probe: start worker"]
            shell(SERVER, is_up)
        finally:
            site.with_text(text)
        gone = set(site.deploy("--revision", "two").changed(SERVER))
        units = {"probe-worker.conf", "probe-tick.conf", "probe-tick"}
        if not supervised:
            units = {"probe-worker.service", "probe-tick.service", "probe-tick.timer"}
        assert {f"retired:{unit}" for unit in units} <= gone
        left = (
            "supervisorctl status | grep -e worker -e tick"
            if supervised
            else "systemctl list-units --all --no-legend 'probe-*'"
        )
        assert shell(SERVER, f"{left} || true") == ""

    def test_ctrl_c_ends_the_following_of_logs_and_nothing_of_it_stays_on_the_server(self, site: Site) -> None:
        follows = "pgrep -fx 'journalctl .* -f .*(probe|supervisor).*'"
        process = site.controller.start("logs", SERVER, "--follow")
        try:
            deadline = time.monotonic() + 20
            while not lab.shell(SERVER, follows).stdout:
                assert time.monotonic() < deadline, "nothing follows"
                time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
        finally:
            process.kill()
            process.communicate()
        time.sleep(1)
        assert lab.shell(SERVER, follows).stdout == ""

    def test_a_process_that_does_not_keep_running_or_a_hook_that_fails_switches_nothing(self, site: Site) -> None:
        before, text = site.serving(), site.text
        for more, said in (
            ("    processes: {worker: sleep 0.2}\n", "worker does not keep running"),
            ("    hooks: {before: echo no; exit 3}\n", "the hook before the activation failed"),
        ):
            answer = site.with_text(text + more)("deploy", "--revision", "one", "--json")
            assert answer.status == 1
            assert said in answer.host(SERVER)["error"]
            assert site.serving() == before
        site.with_text(text).deploy("--revision", "two")


def chat(socket: ClientConnection) -> None:
    """Talk for four seconds, then wait for the other side to close: a message that crosses the close could spoil it."""
    for _ in range(4):
        socket.send("still there")
        assert socket.recv(timeout=5) == "still there"
        time.sleep(1)
    socket.recv(timeout=60)
