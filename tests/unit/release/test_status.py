from __future__ import annotations

import subprocess
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from provision.engine.shell import quote, words
from provision.release import status
from provision.release.status import AppStatus, ReleaseInfo
from tests.unit.conftest import TEN_LINES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provision.inventory import Host

    Sh = Callable[..., subprocess.CompletedProcess[str]]
    Ask = Callable[..., list[str]]

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ID = "20261121T230500-0123456"
LINE = (
    f"app=shop\tid={ID}\tcommit={COMMIT}\tstate=active\twhen=2026-11-21T23:05:09Z\twho=jo@desk"
    "\tauthor=Jo Doe\tsubject=Fix the basket"
)


def listed(*lines: str) -> list[ReleaseInfo]:
    return status.releases("web1", lines)


def test_a_release_has_its_host_who_deployed_it_and_who_wrote_it() -> None:
    assert listed(LINE) == [
        ReleaseInfo(
            host="web1",
            app="shop",
            id=ID,
            commit=COMMIT,
            state="active",
            when="2026-11-21T23:05:09Z",
            who="jo@desk",
            author="Jo Doe",
            subject="Fix the basket",
        )
    ]


def test_releases_stay_in_the_order_of_the_server() -> None:
    assert [one.id for one in listed(LINE.replace(ID, "b"), LINE.replace(ID, "a"))] == ["b", "a"]


def test_a_host_without_releases_or_answer_has_none() -> None:
    assert listed() == []


@pytest.mark.parametrize(
    "subject",
    ["", " ", "a\tb\t\tc", "\t", "[red]not markup[/]", "quotes \" and ' and \\n", "100% ${HOME} `id`", "bücher 📚"],
)
def test_a_subject_may_be_anything_in_one_line(subject: str) -> None:
    (found,) = listed(LINE.replace("Fix the basket", subject))
    assert (found.author, found.subject) == ("Jo Doe", subject)


def test_a_commit_that_the_mirror_has_no_more_has_no_author_and_no_subject() -> None:
    (found,) = listed(f"app=shop\tid={ID}\tcommit={COMMIT}\tstate=new\twhen=-\twho=-\t")
    assert (found.state, found.when, found.who, found.author, found.subject) == ("new", "-", "-", "", "")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("", []),
        ("no newline at its end", ["no newline at its end"]),
        ("one\n", ["one"]),
        ("one\n\n", ["one", ""]),
        ("\n\n one\n\n\ntwo", ["", "", " one", "", "", "two"]),
        ("exit\t0\n", ["exit\t0"]),
    ],
)
def test_the_exit_status_of_a_command_is_found_whatever_its_output_ends_with(said: str, shown: list[str]) -> None:
    output = status.CommandOutput("a-mark")
    lines = f"{said}\na-mark\t7\n".removesuffix("\n").split("\n")
    assert [each for line in lines for each in output.shown(line)] == shown
    assert output.status == 7


STATUS = (
    f"app=shop\trelease={ID}\tcommit={COMMIT}\tsince=2026-11-21T23:05:09Z\tslot=blue\thealth=200\tworkers=3"
    "\tmemory=52428800\tdays=89\tmaintenance=no"
)


def standing(*lines: str) -> list[AppStatus]:
    host = SimpleNamespace(name="web1", apps={"shop": None, "blog": None})
    return status.apps(cast("Host", host), lines)


def test_an_app_stands_as_its_host_says_with_the_hosts_updates() -> None:
    expected = AppStatus(
        host="web1",
        app="shop",
        release=ID,
        commit=COMMIT,
        since="2026-11-21T23:05:09Z",
        slot="blue",
        health="200",
        workers=3,
        memory=50 * 1024**2,
        days=89,
        maintenance=False,
        updates=2,
    )
    assert standing(STATUS, "updates=2") == [expected]


def test_the_updates_count_for_each_app_of_the_host() -> None:
    found = standing(STATUS, STATUS.replace("shop", "blog", 1), "updates=7")
    assert [(one.app, one.updates) for one in found] == [("shop", 7), ("blog", 7)]


def test_an_app_that_never_was_deployed_stands_for_nothing() -> None:
    (found,) = standing(
        "app=shop\trelease=\tcommit=\tsince=-\tslot=-\thealth=000\tworkers=0\tmemory=[not set]\tdays=\tmaintenance=no",
        "updates=0",
    )
    assert (found.release, found.since, found.slot, found.health, found.workers) == ("", "-", "-", "000", 0)
    assert (found.memory, found.days, found.maintenance, found.updates) == (None, None, False, 0)


def test_a_certificate_that_has_ended_has_days_below_none() -> None:
    assert standing(STATUS.replace("=89\t", "=-3\t"))[0].days == -3


def test_maintenance_shows() -> None:
    assert standing(STATUS.removesuffix("no") + "yes")[0].maintenance


def test_a_host_without_apps_stands_for_nothing() -> None:
    assert standing("updates=3") == []


def test_a_host_is_asked_for_all_of_its_apps(make_host: Callable[..., Host]) -> None:
    host = make_host()
    assert status.releases_call(host) == "status_releases shop"
    assert status.apps_call(host) == "status_apps shop shop.example.com /health"
    assert status.maintenance_call(host, "on") == "status_maintenance on shop"
    assert status.deploy_keys_call(host) == "status_deploy_keys"


PROCESSES = TEN_LINES + "    processes: {worker: run}\n    schedules: {tidy: {at: '03:00', run: tidy}}\n"


@pytest.mark.parametrize(
    ("process", "units", "files"),
    [
        (
            "",
            ("shop@blue.service", "shop@green.service", "shop-worker.service", "shop-tidy.service"),
            ("blue_0", "green_0", "worker", "tidy"),
        ),
        ("web", ("shop@blue.service", "shop@green.service"), ("blue_0", "green_0")),
        ("worker", ("shop-worker.service",), ("worker",)),
    ],
)
def test_logs_are_asked_of_the_journal_by_units_or_by_supervisors_programs(
    process: str, units: tuple[str, ...], files: tuple[str, ...], make_host: Callable[..., Host]
) -> None:
    assert status.logs_call(make_host(PROCESSES), process, False, 50) == words("status_logs", "no", "50", *units)
    supervised = make_host(f"{PROCESSES}    process_manager: supervisor\n")
    paths = (f"supervisor.service:shop-{name}" for name in files)
    assert status.logs_call(supervised, process, True, 9) == words("status_logs", "yes", "9", *paths)


def test_a_process_that_there_is_not_has_no_logs(make_host: Callable[..., Host]) -> None:
    assert status.logs_call(make_host(), "worker", False, 50) == ""


@pytest.fixture
def ask(tmp_path: Path, sh: Sh) -> Ask:
    """The lines that a function of status.sh prints."""

    def run(*call: str) -> list[str]:
        ran = sh(status.script(words(*call), "the-end"))
        *lines, end = ran.stdout.splitlines()
        assert (ran.returncode, ran.stderr, end) == (0, "", "the-end")
        return lines

    return run


@pytest.fixture
def shop(tmp_path: Path, repository: Path, git: Callable[..., str]) -> Path:
    """/srv/shop with its repository, and no release."""
    folder = tmp_path / "srv" / "shop"
    (folder / "releases").mkdir(parents=True)
    git("clone", "--quiet", "--mirror", str(repository), str(folder / "repository.git"), folder=tmp_path)
    return folder


def release(shop: Path, name: str, commit: str, record: str = "") -> None:
    (shop / "releases" / name).mkdir()
    (shop / "releases" / name / ".release").write_text(f"{commit}\t.\n")
    if record:
        path = shop.parents[1] / "var/lib/provision" / "apps" / "shop" / "releases" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{record}\n")


def test_the_script_lists_releases_oldest_first_with_their_states(
    shop: Path, repository: Path, git: Callable[..., str], ask: Ask
) -> None:
    commit = git("rev-parse", "HEAD", folder=repository)
    release(shop, "4-new", commit)
    release(shop, "3-active", commit, "good\t2026-11-03T00:00:00Z\tmo@desk")
    release(shop, "1-good", commit, "good\t2026-11-01T00:00:00Z\tjo@desk")
    release(shop, "2-failed", commit, "failed\t2026-11-02T00:00:00Z\tjo@desk")
    (shop / "releases" / ".new-5").mkdir()
    (shop / "releases" / "5-unfinished").mkdir()
    (shop / "current").symlink_to("releases/3-active")
    found = listed(*ask("status_releases", "shop"))
    assert [(one.id, one.state, one.when, one.who) for one in found] == [
        ("1-good", "kept", "2026-11-01T00:00:00Z", "jo@desk"),
        ("2-failed", "failed", "2026-11-02T00:00:00Z", "jo@desk"),
        ("3-active", "active", "2026-11-03T00:00:00Z", "mo@desk"),
        ("4-new", "new", "-", "-"),
    ]
    assert {(one.app, one.commit, one.author, one.subject) for one in found} == {("shop", commit, "test", "first")}


def test_packages_are_listed_where_they_are_asked_for(shop: Path, ask: Ask) -> None:
    release(shop, "one", "f" * 40)
    release(shop, "two", "f" * 40)
    (shop / "releases/two/.packages").write_text("idna==3.4\nsix==1.16.0\n")
    assert [one.packages for one in listed(*ask("status_packages", "shop"))] == [(), ("idna==3.4", "six==1.16.0")]
    assert [one.packages for one in listed(*ask("status_releases", "shop"))] == [(), ()]


def test_a_release_is_held_for_as_long_as_the_server_runs(tmp_path: Path, shop: Path, ask: Ask) -> None:
    for name in ("1-active", "2-held", "3-dropped"):
        release(shop, name, "f" * 40, f"{name[2:].replace('active', 'good')}\t2026-11-01T00:00:00Z\tjo@desk")
    (shop / "current").symlink_to("releases/1-active")
    (shop / "preview").symlink_to("releases/2-held")

    def states() -> list[str]:
        return [one.state for one in listed(*ask("status_releases", "shop"))]

    assert states() == ["active", "new", "new"]
    (tmp_path / "run" / "shop").mkdir(parents=True)
    (tmp_path / "run" / "shop" / "held").write_text("green\n")
    assert states() == ["active", "held", "new"]
    (shop / "preview").unlink()
    (shop / "preview").symlink_to("releases/1-active")
    assert states() == ["active", "new", "new"]


@pytest.mark.parametrize(
    "subject", ["a\tb\t\tc", "[red]not markup[/]", "100% %s \"${HOME}\" 'x' `id` \\t", "bücher 📚"]
)
def test_an_odd_subject_comes_back_as_it_was_written(
    subject: str, shop: Path, repository: Path, git: Callable[..., str], ask: Ask
) -> None:
    git("commit", "--quiet", "--allow-empty", f"--message={subject}\n\nA body.", folder=repository)
    git("fetch", "--quiet", folder=shop / "repository.git")
    release(shop, "one", git("rev-parse", "HEAD", folder=repository))
    (found,) = listed(*ask("status_releases", "shop"))
    assert (found.author, found.subject) == ("test", subject)


def test_an_author_says_nothing_of_the_release(
    shop: Path, repository: Path, git: Callable[..., str], ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Jo\tstate=active\twho=root")
    git("commit", "--quiet", "--allow-empty", "--message=one", folder=repository)
    git("fetch", "--quiet", folder=shop / "repository.git")
    release(shop, "one", git("rev-parse", "HEAD", folder=repository))
    (found,) = listed(*ask("status_releases", "shop"))
    assert (found.state, found.who, found.author) == ("new", "-", "Jo state=active who=root")


def test_a_subject_over_several_lines_is_one(shop: Path, repository: Path, git: Callable[..., str], ask: Ask) -> None:
    git("commit", "--quiet", "--allow-empty", "--message=one\ntwo\n\nA body.", folder=repository)
    git("fetch", "--quiet", folder=shop / "repository.git")
    release(shop, "one", git("rev-parse", "HEAD", folder=repository))
    (found,) = listed(*ask("status_releases", "shop"))
    assert found.subject == "one two"


def test_a_release_of_a_commit_that_is_gone_is_listed(shop: Path, ask: Ask) -> None:
    release(shop, "one", "f" * 40, "good\t2026-11-01T00:00:00Z\tjo@desk")
    (found,) = listed(*ask("status_releases", "shop"))
    assert (found.commit, found.state, found.author, found.subject) == ("f" * 40, "kept", "", "")


def test_apps_are_listed_one_after_another_and_those_without_a_release_not_at_all(shop: Path, ask: Ask) -> None:
    release(shop, "one", "f" * 40)
    blog = shop.parent / "blog"
    (blog / "releases").mkdir(parents=True)
    release(blog, "two", "e" * 40)
    assert [(one.app, one.id) for one in listed(*ask("status_releases", "shop", "none", "blog"))] == [
        ("shop", "one"),
        ("blog", "two"),
    ]


def test_maintenance_is_a_mark_of_each_app_that_comes_and_goes(tmp_path: Path, ask: Ask) -> None:
    marks = [tmp_path / "var/lib/provision" / "apps" / name / "maintenance" for name in ("shop", "blog")]
    assert ask("status_maintenance", "on", "shop", "blog") == ["app=shop\tmaintenance=on", "app=blog\tmaintenance=on"]
    assert [mark.exists() for mark in marks] == [True, True]
    assert marks[0].parent.stat().st_mode & 0o777 == 0o755
    assert ask("status_maintenance", "on", "shop") == ["app=shop\tmaintenance=on"]
    assert ask("status_maintenance", "off", "shop") == ["app=shop\tmaintenance=off"]
    assert [mark.exists() for mark in marks] == [False, True]
    assert ask("status_maintenance", "off", "shop") == ["app=shop\tmaintenance=off"]


AT = "Thu 2026-11-26 02:19:49 UTC web1"
JOURNAL = {
    f"{AT} shop@blue.service[81]: one: two": "2026-11-26T02:19:49Z shop@blue[81]: one: two",
    f"{AT} shop-worker.service[82]: ": "2026-11-26T02:19:49Z shop-worker[82]: ",
    f"{AT} init.scope[1]: Started shop@blue.service.": "2026-11-26T02:19:49Z init.scope[1]: Started shop@blue.service.",
    f"{AT} supervisor.service[9]: blog-worker a line": "2026-11-26T02:19:49Z blog-worker: a line",
    f"{AT} supervisor.service[9]: blog-worker-two a line": None,
    f"{AT} supervisor.service[9]: 2026-11-26 02:19:49,403 INFO spawned: 'blog-worker' with pid 8": None,
    "     the second line of an entry": "     the second line of an entry",
}


@pytest.mark.parametrize(("line", "shown"), JOURNAL.items())
def test_a_line_of_the_journal_has_its_time_and_the_name_of_its_process(line: str, shown: str | None) -> None:
    logs = ("shop@blue.service", "supervisor.service:blog-worker", "supervisor.service:blog-blue")
    assert status.log_line(line, logs) == shown


def test_of_supervisors_lines_only_those_of_the_programs_count(root: Path, ask: Ask) -> None:
    lines = [line for line, shown in JOURNAL.items() if shown is None or "blog" in shown or "shop" in shown]
    (root / "bin").mkdir(exist_ok=True)
    printed = "".join(f"echo {quote(line)}\n" for line in lines)
    (root / "bin/journalctl").write_text(f"#!/bin/sh\n{printed}")
    (root / "bin/journalctl").chmod(0o755)
    call = ("status_logs", "no", "9", "shop@blue.service", "supervisor.service:blog-worker")
    assert ask(*call) == [line for line in lines if JOURNAL[line] is not None]
    assert ask("status_logs", "no", "1", "supervisor.service:blog-worker")[0].endswith("blog-worker a line")


def test_a_deploy_key_is_shown_in_its_public_half_and_for_whom(
    root: Path, ask: Ask, make_host: Callable[..., Host]
) -> None:
    key = root / "etc/shop/deploy_key"
    key.parent.mkdir(parents=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key], check=True)
    public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
    for expected in (f"{public} shop@web1", ""):
        (shown,) = status.deploy_keys(make_host(), ask("status_deploy_keys", "shop"))
        assert (shown.app, shown.repository, shown.public) == ("shop", "https://git.example.com/shop.git", expected)
        key.unlink(missing_ok=True)


def test_an_app_is_mixed_where_hosts_that_want_the_same_revision_run_different_commits(
    make_host: Callable[..., Host],
) -> None:
    one = make_host()
    shop = one.apps["shop"]
    other = shop.model_copy(update={"source": shop.source.model_copy(update={"revision": "next"})})
    apps = {"web1": shop, "web2": shop, "web3": other}
    hosts = [one.model_copy(update={"name": name, "apps": {"shop": app}}) for name, app in apps.items()]
    (row,) = standing(STATUS)
    rows = [replace(row, host=name, commit=commit) for name, commit in (("web1", "a"), ("web2", "a"), ("web3", "b"))]
    assert status.mixed(hosts, rows) == {}
    rows[1] = replace(rows[1], commit="c")
    assert status.mixed(hosts, rows) == {"shop": {"web1": "a", "web2": "c"}}


def test_what_waits_for_a_restart_is_said_with_what_to_do() -> None:
    waiting = status.waiting(
        ("updates=0", "reboot=yes\tfor=libc6 linux-image-amd64 \toutdated=cron.service shop@blue.service ")
    )
    assert waiting.lines("web1") == (
        "web1: an update waits for a reboot (libc6, linux-image-amd64): hardening.reboot can name a time for it",
        "web1: cron.service, shop@blue.service run libraries from before an update: invoke restart for an app's, systemctl restart"
        " for others",
    )
    assert status.waiting(("updates=0", "reboot=no\tfor=\toutdated=")).lines("web1") == ()
