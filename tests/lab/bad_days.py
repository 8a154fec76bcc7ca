"""What ends by itself, or sickens, under load and under either process manager."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab import probe_app
from tests.lab.conftest import ALONE, sampled, shell
from tests.lab.load import load, post
from tests.lab.probe_site import ADDRESS, DOMAIN, SERVER, Site

# How often a test kills; a campaign sets 10.
KILLS = int(os.environ.get("PROVISION_KILLS", "2"))
SICKENS = (0.5, 1, 2, 5) if KILLS > 2 else (0.5,)
# Seconds within which a sick release is gone.
BACK = 2 if ALONE else 4
WATCHED = "timeout: 10, watch: 1"
MODULE = "module: probe:app"

# One of two, once both are there.
KILL_A_WORKER = """
for _ in $(seq 300); do
    set -- $(cat /proc/{main}/task/{main}/children); if [ $# = 2 ]; then break; fi; sleep 0.1
done
sleep 1; kill -KILL $1
while kill -0 $1 2>/dev/null; do sleep 0.05; done
"""

# A disk of its own for what the toolkit notes, which is full as soon as a release has the traffic.
SMALL_DISK = """
cp -a /var/lib/provision /root/state
mount -t tmpfs -o size=4m,mode=711 tmpfs /var/lib/provision && cp -a /root/state/. /var/lib/provision && rm -r /root/state
setsid sh -c 'until [ -e /run/probe/standing-by ]; do sleep 0.02; done; head -c 8M /dev/zero >/var/lib/provision/full' >/dev/null 2>&1 &
"""

# All that a rollback writes is on a disk that is full to the last byte.
FULL_DISK = """
mkdir /root/full && mount -t tmpfs -o size=8m,mode=755 tmpfs /root/full
for folder in /etc/probe /var/lib/provision; do
    mkdir -p /root/full${folder%/*} && cp -a $folder /root/full$folder && mount --bind /root/full$folder $folder
done
head -c 9M /dev/zero >/root/full/filler 2>/dev/null || true
"""
ROOM_AGAIN = """
rm /root/full/filler
for folder in /etc/probe /var/lib/provision; do umount -l $folder && rm -rf $folder && cp -a /root/full$folder $folder; done
umount -l /root/full && rmdir /root/full
"""


@contextmanager
def patience(site: Site) -> Iterator[None]:
    """In a campaign, whose load keeps the machine busy: a start may take longer than the eight seconds of the other tests."""
    text, commit = site.text, site.serving()
    if KILLS > 2:
        site.with_text(text.replace("timeout: 8", "timeout: 60")).deploy("--revision", commit)
    yield
    if KILLS > 2:
        site.with_text(text).deploy("--revision", commit)


class BadDays:
    """Nobody notices. A test module has the site."""

    def test_no_request_fails_when_the_main_process_or_workers_are_killed(self, site: Site) -> None:
        with patience(site), load(ADDRESS, DOMAIN, 60 * KILLS) as seen:
            for _ in range(KILLS):
                before = site.main_process()
                site.crash()
                site.wait("a crash")
                deadline = time.monotonic() + 30
                while site.main_process() in (0, before):
                    assert time.monotonic() < deadline, "it does not start again"
                    time.sleep(0.1)
                for _ in range(10):
                    main = site.main_process()
                    shell(SERVER, KILL_A_WORKER.format(main=main))
        assert (seen.failed, seen.failures[:3]) == (0, [])
        assert seen.requests > 100 * KILLS
        print(f"{site.manager}: {KILLS} main processes and {10 * KILLS} workers killed, {seen.requests} requests")

    def test_a_release_that_sickens_after_the_switch_goes_back_within_two_seconds(self, site: Site) -> None:
        before, slot, text = site.serving(), site.slot(), site.text
        site.with_text(text.replace(WATCHED, "timeout: 30, watch: 8"))
        for seconds in SICKENS:
            site.repository.commit(probe_app.files(f"sick {seconds}", note=f"sick {seconds}"), "sick")
            with load(ADDRESS, DOMAIN, 120) as seen, post(ADDRESS, DOMAIN, 120) as bad:
                answer = site.controller("deploy", SERVER, "--revision", "sick", "--json")
            assert answer.status == 1
            assert (
                "was no longer healthy with the traffic (/health answered 503 for a second)"
                in answer.host(SERVER)["error"]
            )
            assert (seen.failed, seen.failures[:3]) == (0, []), "the old release answers what may be asked again"
            assert bad, "no request was asked that may not be asked again"
            assert bad[-1] - bad[0] < BACK, f"sick after {seconds} s: bad answers for {bad[-1] - bad[0]:.1f} s"
            assert (site.serving(), site.slot(), site.running()) == (before, slot, [slot])
        site.with_text(text)

    def test_a_release_goes_back_where_nothing_can_be_written_down(self, site: Site) -> None:
        """From the switch on, the disk that has the records is full."""
        before, slot, text = site.serving(), site.slot(), site.text
        site.with_text(text.replace(WATCHED, "timeout: 30, watch: 8"))
        site.repository.commit(probe_app.files("sick 0.5", note="a full disk"), "full")
        shell(SERVER, SMALL_DISK)
        try:
            with load(ADDRESS, DOMAIN, 120):
                answer = site.controller("deploy", SERVER, "--revision", "full", "--json")
            assert answer.status == 1
            assert int(shell(SERVER, "df --output=avail /var/lib/provision | tail -n 1")) < 8, "KiB"
            assert (site.serving(), site.slot(), site.running(), site.left()) == (before, slot, [slot], [])
        finally:
            shell(SERVER, "umount -l /var/lib/provision")
            site.with_text(text)

    @pytest.mark.long
    def test_a_rollback_succeeds_on_a_full_disk(self, site: Site) -> None:
        site.deploy("--revision", "one")
        site.deploy("--revision", "two")
        shell(SERVER, FULL_DISK)
        try:
            with load(ADDRESS, DOMAIN, 60) as seen:
                answer = site("rollback", "--json")
            assert (answer.status, site.serving(), site.left()) == (0, site.commits[0], []), answer.stdout
            assert (seen.failed, seen.failures[:3]) == (0, [])
        finally:
            shell(SERVER, ROOM_AGAIN)
        assert site.deploy("--revision", "two").status == 0
        assert shell(SERVER, "stat -c %s /var/lib/provision/reserve") == "1048576"

    @pytest.mark.parametrize(
        ("wrong", "said"),
        sampled(
            [
                ("module: probe:nothing", "nothing"),
                ("module: probe:app\n    source: {repository: URL, folder: nowhere}", "nowhere"),
                (
                    "module: probe:app\n    processes: {worker: sleep 0.2}\n    memory_max: 200M",
                    "worker does not keep running",
                ),
                (
                    "module: probe:app\n    hooks: {before: exit 3}\n    workers: 1",
                    "the hook before the activation failed",
                ),
            ]
        ),
        ids=["module", "folder", "process", "hook"],
    )
    def test_a_deploy_that_fails_changes_nothing_that_a_start_needs(self, site: Site, wrong: str, said: str) -> None:
        before, text = site.serving(), site.text
        changed = text
        for line in wrong.replace("URL", site.repository.url).split("\n"):
            key = line.split(":")[0].strip()
            kept = [one for one in changed.split("\n") if not one.startswith(f"    {key}:")]
            changed = "\n".join(kept).rstrip("\n") + f"\n    {line.strip()}\n"
        try:
            answer = site.with_text(changed)("deploy", "--revision", site.next()[0], "--json")
            assert answer.status == 1
            assert said in answer.host(SERVER)["error"]
            assert site.serving() == before
        finally:
            site.with_text(text)

    @pytest.mark.long
    def test_a_rollback_runs_a_release_as_it_ran(self, site: Site) -> None:
        """The app's module moves, and so does its health check: the release before has neither where they are now."""
        site.deploy("--revision", "one")
        text, moved = site.text, dict(probe_app.files(note="moved"))
        moved["shop.py"] = moved.pop("probe.py").replace('"/health"', '"/ready"')
        commit = site.repository.commit({**moved, "probe.py": "raise ImportError('it has moved')\n"}, "moved")
        changed = text.replace(MODULE, "module: shop:app").replace("path: /health", "path: /ready")
        site.with_text(changed + "    processes: {worker: python -m worker worker}\n").deploy("--revision", "moved")
        try:
            assert site.serving() == commit
            answer = site("rollback", "--json")
            assert answer.status == 0, answer.stdout
            assert site.serving() in site.commits
            assert site.processes() == [], "the release before has no worker"
        finally:
            site.with_text(text).deploy("--revision", "two")
