"""Runs are made for real, with /run/provision and /var/lib/provision in a folder of the test's own."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import time
from typing import TYPE_CHECKING

import pytest

from provision.engine import apply
from provision.engine.apply import Event
from provision.engine.plan import Plan
from provision.engine.resource import Change, Ref, State
from provision.resources.file import File

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Follow = Callable[[str], list[tuple[str, int, str]]]

RUN = "20261121T230500-abcdef"


@pytest.fixture
def follow(sh: Callable[..., subprocess.CompletedProcess[str]], stand_in: Callable[[str, str], Path]) -> Follow:
    """The events that a script prints, without their places in the file."""
    stand_in("tail", 'exec /usr/bin/tail -s 0.01 "$@"')

    def run(script: str) -> list[tuple[str, int, str]]:
        ran = sh(script)
        assert ran.stderr == ""
        return [(event.kind, event.change, event.text) for event in apply.events(iter(ran.stdout.splitlines()))]

    return run


def plan(*scripts: str, generation: str = "none") -> Plan:
    changes = tuple(Change(Ref("step", f"{number}"), f"step {number}", script) for number, script in enumerate(scripts))
    return Plan(changes, len(changes), generation)


def start(plan: Plan, run: str = RUN) -> str:
    return apply.start(plan, run, "me@laptop", "deploy")


def test_a_run_makes_its_changes_in_order_and_ends(follow: Follow) -> None:
    assert follow(start(plan("echo one; echo two >&2", "true", "echo three"))) == [
        ("begin", 0, "step:0"),
        ("out", 0, "one"),
        ("out", 0, "two"),
        ("done", 0, ""),
        ("begin", 1, "step:1"),
        ("done", 1, ""),
        ("begin", 2, "step:2"),
        ("out", 2, "three"),
        ("done", 2, ""),
        ("end", -1, "0"),
    ]


def test_a_run_is_in_the_history_and_is_the_new_generation(follow: Follow, tmp_path: Path) -> None:
    follow(start(plan("true", "true")))
    assert (tmp_path / "var/lib/provision" / "generation").read_text() == f"{RUN}\n"
    (line,) = (tmp_path / "var/lib/provision" / "history.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert entry.pop("at").endswith("Z")
    assert entry == {"run": RUN, "task": "deploy", "who": "me@laptop", "changes": 2, "status": 0}


def test_the_script_is_off_the_disk_as_soon_as_the_run_has_begun(follow: Follow, tmp_path: Path) -> None:
    script = tmp_path / "run/provision" / "runs" / RUN / "script"
    events = follow(start(plan(f"if [ -e '{script}' ]; then echo there; else echo gone; fi")))
    assert ("out", 0, "gone") in events
    assert (tmp_path / "run/provision" / "runs").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("script", ["echo why; exit 7", "echo why; (exit 7); echo not reached"])
def test_a_failure_ends_the_run(script: str, follow: Follow, tmp_path: Path) -> None:
    assert follow(start(plan(script, f"touch {tmp_path}/reached"))) == [
        ("begin", 0, "step:0"),
        ("out", 0, "why"),
        ("failed", 0, "7"),
        ("end", -1, "1"),
    ]
    assert not (tmp_path / "reached").exists()
    assert json.loads((tmp_path / "var/lib/provision" / "history.jsonl").read_text())["status"] == 1


def test_an_unset_variable_is_a_failure(follow: Follow) -> None:
    assert [kind for kind, _, _ in follow(start(plan('echo "$nothing"')))] == ["begin", "out", "failed", "end"]


def test_a_failure_behind_output_without_a_newline_is_a_failure(
    follow: Follow,
) -> None:
    assert follow(start(plan("printf why; exit 7")))[1:3] == [("out", 0, "why"), ("failed", 0, "7")]


def test_a_changes_variables_and_folder_do_not_reach_the_next(
    follow: Follow,
) -> None:
    events = follow(start(plan("kept=one; cd /", 'echo "${kept-none}"')))
    assert ("out", 1, "none") in events


def test_a_change_reads_no_input(follow: Follow) -> None:
    assert [kind for kind, _, _ in follow(start(plan("cat", "true")))] == ["begin", "done", "begin", "done", "end"]


def test_file_contents_with_any_lines_arrive_as_they_are(follow: Follow, tmp_path: Path, me: tuple[str, str]) -> None:
    content = "END_OF_CHANGE_0\nEND_OF_CHANGE_1\nEND_OF_BASE64\nEND_OF_RUN_20261121T230500_abcdef\n$HOME `id` '\n"
    files = [File(str(tmp_path / name), content, *me) for name in ("one", "it's two")]
    changes = [change for file in files if (change := file.plan(State(), {}))]
    events = follow(start(Plan(tuple(changes), 2, "none")))
    assert events[-1] == ("end", -1, "0")
    assert (tmp_path / "one").read_text() == (tmp_path / "it's two").read_text() == content


def test_each_library_is_sent_once_and_no_content_in_plain_text() -> None:
    files = [File(f"/etc/{number}", "a secret", secret=True) for number in range(50)]
    changes = tuple(change for file in files if (change := file.plan(State(), {})))
    script = start(Plan(changes, 50, "none"))
    assert script.count("file_write() {") == 1
    assert script.count("END_OF_CHANGE_49") == 2
    assert "a secret" not in script


def test_a_plan_of_an_older_generation_is_stale(follow: Follow, tmp_path: Path) -> None:
    follow(start(plan("true")))
    events = follow(start(plan(f"touch {tmp_path}/reached"), "20261121T230501-abcdef"))
    assert [kind for kind, _, _ in events] == ["stale"]
    assert RUN in events[0][2]
    assert not (tmp_path / "reached").exists()
    again = follow(start(plan("true", generation=RUN), "20261121T230502-abcdef"))
    assert again[-1] == ("end", -1, "0")


def test_a_megabyte_is_kept_for_a_run_on_a_full_disk(
    follow: Follow, tmp_path: Path, stand_in: Callable[[str, str], Path]
) -> None:
    reserve = tmp_path / "var/lib/provision" / "reserve"
    follow(start(plan("true")))
    assert reserve.stat().st_size == 1 << 20
    stand_in("head", "exit 1")
    follow(start(plan("true", generation=RUN), run=f"{RUN[:-1]}0"))
    assert [path.name for path in reserve.parent.iterdir() if path.name in ("reserve", ".room")] == []


def test_a_second_run_is_told_who_holds_the_lock(follow: Follow, tmp_path: Path) -> None:
    (tmp_path / "run/provision").mkdir(parents=True)
    (tmp_path / "run/provision" / "holder").write_text("you@desk (deploy)\t2026-11-21T23:04:00Z\tother\n")
    with (tmp_path / "run/provision" / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        events = follow(start(plan(f"touch {tmp_path}/reached")))
    assert events == [("locked", -1, "you@desk (deploy)\t2026-11-21T23:04:00Z\tother")]
    assert not (tmp_path / "reached").exists()


def test_a_run_holds_the_lock_and_its_changes_do_not(follow: Follow, tmp_path: Path) -> None:
    look = f"if flock -n '{tmp_path}/run/provision/lock' true; then echo free; else echo held; fi; ls -l /proc/self/fd"
    events = follow(start(plan(look)))
    assert ("out", 0, "held") in events
    assert not [text for _, _, text in events if text.endswith("/run/provision/lock")]


def test_a_run_that_is_asked_to_stop_ends_after_the_change_it_is_making(follow: Follow, tmp_path: Path) -> None:
    assert follow(start(plan(f"{apply.stop(RUN)}echo finished", f"touch {tmp_path}/reached")))[1:] == [
        ("out", 0, "finished"),
        ("done", 0, ""),
        ("stopped", 1, ""),
        ("end", -1, "130"),
    ]
    assert not (tmp_path / "reached").exists()


def test_a_run_can_be_followed_again_from_any_line(follow: Follow) -> None:
    events = follow(start(plan("echo one", "echo two")))
    assert follow(apply.follow(RUN, 1)) == events
    assert follow(apply.follow(RUN, 4)) == events[3:]


def test_a_run_that_the_server_does_not_know_is_lost(follow: Follow) -> None:
    assert follow(apply.follow("gone", 1)) == [("lost", -1, "gone")]


def test_a_run_that_was_killed_is_lost(follow: Follow, tmp_path: Path) -> None:
    killed = f'kill -9 "$(cat {tmp_path}/run/provision/runs/{RUN}/pid)"; sleep 0.1'
    assert [kind for kind, _, _ in follow(start(plan(f"sleep 0.1; {killed}")))][-1] == "lost"


def test_the_five_newest_runs_before_this_one_stay(follow: Follow, tmp_path: Path) -> None:
    for number in range(7):
        (tmp_path / "run/provision" / "runs" / f"2026010{number}").mkdir(parents=True)
    follow(start(plan("true")))
    found = sorted(path.name for path in (tmp_path / "run/provision" / "runs").iterdir())
    assert found == [*(f"2026010{number}" for number in range(2, 7)), RUN]


def test_events_know_their_lines_in_the_file() -> None:
    lines = ["begin\t0\tfile:/etc/motd", "out\t0\ta\tb", "out\t0\t", "done\t0\t", "end\t\t0"]
    assert list(apply.events(iter(lines), 4)) == [
        Event("begin", 0, "file:/etc/motd", 4),
        Event("out", 0, "a\tb", 5),
        Event("out", 0, "", 6),
        Event("done", 0, "", 7),
        Event("end", -1, "0", 8),
    ]


@pytest.fixture
def lease(tmp_path: Path) -> Path:
    """The lease of the fleet `ours`; its time is its end, in seconds since the boot."""
    path = tmp_path / "run/provision/lease"
    path.parent.mkdir(parents=True)
    path.write_text("you@desk (deploy)\t2026-11-21T23:04:00Z\tours\n")
    os.utime(path, (time.clock_gettime(time.CLOCK_BOOTTIME) + 30,) * 2)
    return path


def test_a_server_that_a_fleet_holds_lets_only_that_fleets_runs_begin(follow: Follow, lease: Path) -> None:
    held = ("locked", -1, lease.read_text().rstrip("\n"))
    assert follow(start(plan("true"))) == [held]
    assert follow(apply.start(plan("true"), RUN, "me@laptop", "deploy", "theirs")) == [held]
    assert follow(apply.start(plan("true"), RUN, "me@laptop", "deploy", "ours"))[-1] == ("end", -1, "0")


def test_a_fleets_run_does_not_begin_once_its_lease_has_ended(follow: Follow, lease: Path) -> None:
    os.utime(lease, (time.clock_gettime(time.CLOCK_BOOTTIME) - 1,) * 2)
    assert follow(apply.start(plan("true"), RUN, "me@laptop", "deploy", "ours")) == [("expired", -1, "")]
    assert follow(start(plan("true")))[-1] == ("end", -1, "0")


def test_a_lease_is_taken_kept_and_given_back_line_by_line(
    sh: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    path = tmp_path / "run/provision/lease"
    take = apply.hold("ours", "none", "me@laptop", "deploy")
    said = sh(f"{take.rstrip()} <<END\nbeat\nconfirm\nEND\n").stdout.splitlines()
    assert said == ["held"] * 3
    assert 10 < path.stat().st_mtime - time.clock_gettime(time.CLOCK_BOOTTIME) < 16, "the connection ended"
    assert sh(apply.hold("theirs", "none", "you@desk", "deploy")).stdout.startswith("locked\t\tme@laptop (deploy)\t")
    again = apply.hold("ours", "", "me@laptop", "deploy")
    assert sh(f"{again.rstrip()} <<END\nend\nEND\n").stdout.splitlines() == ["held"]
    there = [each for each in (path.parent, tmp_path / "var/lib/provision") if each.exists()]
    assert there == [], "nothing ran, so there is nothing of this toolkit"
    assert sh(again).stdout == "expired\t\t\n"
    assert sh(apply.hold("ours", "another", "me@laptop", "deploy")).stdout.startswith("stale\t")


def test_a_notice_and_a_reason_are_events_that_no_output_can_forge(follow: Follow) -> None:
    script = r"""printf 'notice: forged\nerror: forged\nnotice\t0\tforged\n\rout\t9\tx\n'; notice "$(printf 'told\nonce')"; fail why"""
    events = follow(start(plan(script)))
    assert [event for event in events if event[0] in ("notice", "error")] == [
        ("notice", 0, "told once"),
        ("error", 0, "why"),
    ]
    assert {text for kind, _, text in events if kind == "out"} >= {
        "notice: forged",
        "error: forged",
        "notice\t0\tforged",
    }
    assert events[-2:] == [("failed", 0, "1"), ("end", -1, "1")]


def test_output_has_a_limit_and_its_change_goes_on(follow: Follow, tmp_path: Path) -> None:
    script = f"yes {'x' * 1500} | head -c 8000000; touch {tmp_path}/reached"
    events = follow(start(plan(script, "echo next")))
    assert (tmp_path / "reached").exists()
    said = [text for kind, change, text in events if kind == "out" and change == 0]
    assert sum(map(len, said)) < 4_200_000
    assert said[-1] == "(it prints more than 4096 KB: the rest is left out)"
    assert ("out", 1, "next") in events


def test_a_line_of_output_is_one_write(follow: Follow) -> None:
    events = follow(start(plan("head -c 100000 /dev/zero | tr '\\0' x; echo; fail why")))
    assert [len(text) for kind, _, text in events if kind == "out"] == [2000]


def test_a_secret_that_a_change_prints_is_in_no_file_of_the_run(follow: Follow, tmp_path: Path) -> None:
    secrets = ["kanarien/vogel", "a.b*c[d]^$\\1&", "żółć'\"", "l" * 1500]
    prints = "\n".join(f"printf '%s\\n' {shlex.quote(f'<{secret}>')}" for secret in secrets)
    script = (
        f"{prints}\nprintf half; sleep 0.1; printf ' kanarien/'; sleep 0.1; echo vogel\nfail 'no kanarien/vogel here'"
    )
    events = follow(apply.start(plan(script), RUN, "me@laptop", "deploy", hidden=secrets))
    shown = ["<********>", "<********>", "<********>", "<************************>", "half ********"]
    assert [text for kind, _, text in events if kind == "out"] == shown
    assert ("error", 0, "no ******** here") in events
    texts = [path.read_bytes() for path in (tmp_path / "run/provision").rglob("*") if path.is_file()]
    assert len(texts) > 2
    assert not any(secret.encode() in text for secret in secrets for text in texts)


def test_a_live_line_is_shown_at_once_although_secrets_are_hidden(
    follow: Follow, tmp_path: Path, sh: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    events = tmp_path / "run/provision/runs" / RUN / "events"
    waits = f"echo first; for try in 1 2 3 4 5 6 7 8 9; do if grep -q first '{events}'; then echo seen; exit 0; fi; sleep 0.3; done; exit 1"
    found = follow(apply.start(plan(waits), RUN, "me@laptop", "deploy", hidden=["kanarienvogel"]))
    assert ("out", 0, "seen") in found
