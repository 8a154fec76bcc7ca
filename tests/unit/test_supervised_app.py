"""An app whose process manager is Supervisor."""

from __future__ import annotations

import configparser
import json
import secrets
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.engine import probe
from provision.release.activation import Activation, Promotion
from provision.release.facts import ServerRelease
from provision.release.preview import Preview
from provision.release.removal import RemovedUnit
from provision.resources.file import File

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provision.engine.resource import Resource
    from provision.inventory import Host
    from tests.unit.conftest import Known

    MakeHost = Callable[..., Host]
    MakeFacts = Callable[..., Known]

ID, OLDER = "20261121T230500-0123456", "20261001T000000-fedcba9"
TOKEN = "0123456789abcdef0123456789abcdef"
PROGRAMS, UNITS, JOBS = "/etc/supervisor/conf.d", "/etc/systemd/system", "/etc/cron.d"


def text(more: str = "", manager: str = "supervisor") -> str:
    return (
        "hosts: {web1: 203.0.113.10}\n"
        "apps:\n"
        "  shop:\n"
        "    source: https://git.example.com/shop.git\n"
        "    module: shop.main:app\n"
        "    domains: [shop.example.com]\n"
        f"    process_manager: {manager}\n"
        "    processes: {worker: python -m shop.worker}\n"
        "    schedules: {tidy: {at: '03:00', run: python -m shop.tidy}}\n"
        f"{more}"
    )


def ids(resources: tuple[Resource, ...]) -> list[str]:
    return [str(resource.ref) for resource in resources]


def file(resources: tuple[Resource, ...], path: str) -> File:
    return next(one for one in resources if isinstance(one, File) and one.path == path)


def activation(resources: tuple[Resource, ...]) -> Activation:
    return next(one for one in resources if isinstance(one, Activation))


def retired(resources: tuple[Resource, ...]) -> dict[str, str]:
    """The phase in which each path goes."""
    return {one.path: one.phase for one in resources if isinstance(one, RemovedUnit)}


def program(resources: tuple[Resource, ...], name: str) -> dict[str, str]:
    """A program as Supervisor reads it."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"))
    parser.read_string(file(resources, f"{PROGRAMS}/{name}.conf").content)
    assert parser.sections() == [f"program:{name}"]
    return dict(parser[f"program:{name}"])


SERVER = [
    "packages:supervisor",
    "service:supervisor",
    "directory:/var/log/supervisor/shop",
    "file:/etc/shop/start",
    "file:/etc/shop/program.conf",
    f"file:{PROGRAMS}/shop.conf",
    f"file:{PROGRAMS}/shop-worker.conf",
    f"file:{PROGRAMS}/shop-tidy.conf",
    f"file:{JOBS}/shop-tidy",
    "program:shop",
    "program:shop-tidy",
]


def test_the_manager_comes_before_the_files_that_it_reads_and_those_before_it_loads_them(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    found = ids(roles.everything(make_host(text()), *make_known()))
    assert [name for name in found if name in SERVER] == SERVER
    assert found.index(SERVER[-1]) < found.index("activation:shop")


def test_nothing_of_systemds_is_written(make_host: MakeHost, make_known: MakeFacts) -> None:
    found = ids(roles.everything(make_host(text()), *make_known()))
    assert not [name for name in found if UNITS in name or (name.endswith(".timer") and "shop" in name)]


def test_nothing_of_supervisors_is_written_for_an_app_under_systemd(make_host: MakeHost, make_known: MakeFacts) -> None:
    found = ids(roles.everything(make_host(text(manager="systemd")), *make_known()))
    assert not [name for name in found if "supervisor" in name or "cron" in name or name.startswith("program:")]


def test_cron_is_installed_for_schedules_alone(make_host: MakeHost, make_known: MakeFacts) -> None:
    def packages(inventory: str) -> str:
        found = roles.everything(make_host(inventory), *make_known())
        return " ".join(next(one for one in found if str(one.ref) == "packages:supervisor").probe().item)

    assert "cron" in packages(text())
    assert "cron" not in packages(text().replace("    schedules", "    #schedules"))


def test_all_ids_are_unique_for_two_apps_too(make_host: MakeHost, make_known: MakeFacts) -> None:
    both = text() + text().partition("apps:\n")[2].replace("shop", "blog")
    found = ids(roles.everything(make_host(both), *make_known(commits={"shop": "0" * 40, "blog": "1" * 40})))
    assert {name for name in found if found.count(name) > 1} == set()


def test_a_slot_has_copies_of_what_supervisor_runs(make_host: MakeHost, make_known: MakeFacts) -> None:
    found = roles.everything(make_host(text()), *make_known())
    names = ("env", "gunicorn.conf.py", "start", "program.conf")
    assert activation(found).slot.copies == tuple((name, file(found, f"/etc/shop/{name}").sha256) for name in names)
    assert activation(found).slot.manager == "supervisor"
    assert (file(found, "/etc/shop/start").mode, file(found, "/etc/shop/program.conf").mode) == (0o750, 0o640)


@pytest.mark.parametrize(
    "more",
    ["    memory_max: 512M\n", "    drain: 61\n", "    environment: {A: b}\n"],
)
def test_what_a_program_runs_with_is_in_the_releases_fingerprint(
    more: str, make_host: MakeHost, make_known: MakeFacts
) -> None:
    prints = {
        activation(roles.everything(make_host(each), *make_known())).fingerprint
        for each in (text(), text(more), text(manager="systemd"))
    }
    assert len(prints) == 3


def test_when_a_command_runs_is_in_no_fingerprint(make_host: MakeHost, make_known: MakeFacts) -> None:
    prints = {
        activation(roles.everything(make_host(each), *make_known())).fingerprint
        for each in (text(), text().replace("03:00", "hourly"))
    }
    assert len(prints) == 1


def test_all_fields_that_a_probe_reads_are_there(make_host: MakeHost, make_known: MakeFacts) -> None:
    for resource in roles.everything(make_host(text()), *make_known()):
        if isinstance(resource, Activation | Preview):
            assert all(resource.probe().item)


def test_a_whole_server_calls_each_probe_once(make_host: MakeHost, make_known: MakeFacts) -> None:
    resources = roles.everything(make_host(text()), *make_known())
    called = [line.split()[0] for line in probe.script(resources).splitlines() if line.endswith("<<'END_OF_ITEMS'")]
    assert sorted(called) == sorted({resource.probe().function for resource in resources})


THEIRS = {
    "systemd": (f"{UNITS}/shop@.service", f"{UNITS}/shop-worker.service", f"{UNITS}/shop-tidy.timer"),
    "supervisor": (
        f"{PROGRAMS}/shop.conf",
        f"{PROGRAMS}/shop-worker.conf",
        f"{PROGRAMS}/shop-blue.conf",
        f"{PROGRAMS}/shop-green.conf",
        f"{JOBS}/shop-tidy",
    ),
}


def units(*paths: str) -> tuple[tuple[str, str], ...]:
    return (*(("shop", path) for path in paths), ("blog", f"{UNITS}/blog@.service"), ("blog", f"{JOBS}/blog-tidy"))


@pytest.mark.parametrize(("manager", "other"), [("supervisor", "systemd"), ("systemd", "supervisor")])
def test_what_is_left_of_the_other_manager_goes_once_the_release_runs_under_this_one(
    manager: str, other: str, make_host: MakeHost, make_known: MakeFacts
) -> None:
    facts = make_known(managed=units(*THEIRS[manager], *THEIRS[other]))
    found = roles.everything(make_host(text(manager=manager)), *facts)
    assert retired(found) == dict.fromkeys(THEIRS[other], "finish")
    last = ids(found).index("activation:shop")
    assert all(ids(found).index(f"retired:{path.rpartition('/')[2]}") > last for path in THEIRS[other])


def test_what_this_manager_has_too_much_of_goes_first(make_host: MakeHost, make_known: MakeFacts) -> None:
    extra = (f"{PROGRAMS}/shop-mail.conf", f"{PROGRAMS}/shop-tell.conf", f"{JOBS}/shop-tell")
    found = roles.everything(make_host(text()), *make_known(managed=units(*THEIRS["supervisor"], *extra)))
    assert retired(found) == dict.fromkeys(extra, "prepare")
    first = ids(found).index(f"file:{PROGRAMS}/shop.conf")
    assert all(ids(found).index(f"retired:{path.rpartition('/')[2]}") < first for path in extra)


@pytest.mark.parametrize("manager", ["supervisor", "systemd"])
def test_a_server_where_all_is_wanted_retires_nothing(manager: str, make_host: MakeHost, make_known: MakeFacts) -> None:
    assert (
        retired(roles.everything(make_host(text(manager=manager)), *make_known(managed=units(*THEIRS[manager])))) == {}
    )


def test_a_release_that_is_held_leaves_the_other_managers_files_to_the_one_that_serves(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    facts = make_known(wanted={"token": TOKEN}, managed=units(*THEIRS["systemd"]))
    found = roles.previewed(make_host(text()), *facts)
    assert [one.slot.manager for one in found if isinstance(one, Preview)] == ["supervisor"]
    assert retired(found) == {}


def test_a_promotion_ends_what_is_left_of_the_other_manager(make_host: MakeHost, make_known: MakeFacts) -> None:
    facts = make_known(commits={}, previews={"shop": (ID, TOKEN)}, managed=units(*THEIRS["systemd"]))
    found = roles.promoted(make_host(text()), *facts)
    assert isinstance(found[0], Promotion)
    assert (found[0].slot.manager, found[0].slot.processes) == ("supervisor", ("worker",))
    assert retired(found[1:]) == dict.fromkeys(THEIRS["systemd"], "finish")
    assert len(found) == 1 + len(THEIRS["systemd"])


def test_a_rollback_runs_the_older_release_under_the_manager_of_now(make_host: MakeHost, make_known: MakeFacts) -> None:
    kept = (ServerRelease("shop", OLDER, "f" * 40, ".", "good"), ServerRelease("shop", ID, "0" * 40, ".", "active"))
    facts = make_known(commits={}, releases=kept, managed=units(*THEIRS["systemd"]))
    found = roles.rolled_back(make_host(text()), *facts)
    assert (activation(found).release, activation(found).slot.manager) == (OLDER, "supervisor")
    assert [name for name in ids(found) if name in SERVER] == SERVER
    assert set(retired(found).values()) == {"finish"}


def test_the_slots_program_is_started_by_an_activation_alone(make_host: MakeHost, make_known: MakeFacts) -> None:
    found = roles.everything(make_host(text("    drain: 30\n")), *make_known())
    content = file(found, "/etc/shop/program.conf").content
    parser = configparser.RawConfigParser()
    parser.read_string(content.replace("@SLOT@", "blue"))
    slot = parser["program:shop-blue"]
    assert (slot["autostart"], slot["autorestart"]) == ("false", "true")
    assert (slot["command"], slot["user"]) == ("/etc/shop/blue/start web", "shop")
    assert slot["stopwaitsecs"] == "35"
    assert slot["stdout_logfile"] == "/var/log/supervisor/shop/blue.log"
    assert content.startswith("; provision: shop. ")


def test_processes_run_on_and_what_runs_at_times_is_started_by_cron(make_host: MakeHost, make_known: MakeFacts) -> None:
    found = roles.everything(make_host(text()), *make_known())
    worker, tidy = program(found, "shop-worker"), program(found, "shop-tidy")
    assert (worker["command"], worker["user"]) == ("/etc/shop/current/start worker", "shop")
    assert (worker["autostart"], worker["autorestart"]) == ("true", "true")
    assert (tidy["autostart"], tidy["autorestart"], tidy["startsecs"]) == ("false", "false", "0")
    job = file(found, f"{JOBS}/shop-tidy").content
    assert job.splitlines()[-1] == "0 3 * * * root supervisorctl start shop-tidy >/dev/null 2>&1"
    assert job.endswith("\n")


def test_the_boot_program_starts_the_slot_that_the_link_names_and_none_where_there_is_no_link(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    boot = program(roles.everything(make_host(text()), *make_known()), "shop")
    assert "supervisorctl start shop-$(readlink /etc/shop/current)" in boot["command"]
    assert boot["autorestart"] == "false"


def test_memory_is_limited_by_a_scope_of_systemds(make_host: MakeHost, make_known: MakeFacts) -> None:
    """Supervisor cannot; a percent sign is its own."""
    found = roles.everything(make_host(text("    memory_max: 50%\n")), *make_known())
    worker = program(found, "shop-worker")
    assert "--property=MemoryMax=50%% --uid=shop --gid=shop /etc/shop/current/start worker" in worker["command"]
    assert "user" not in worker


def test_each_file_that_a_manager_reads_says_whose_it_is(make_host: MakeHost, make_known: MakeFacts) -> None:
    """The facts find the app's files by that line."""
    for manager in ("systemd", "supervisor"):
        found = roles.everything(make_host(text(manager=manager)), *make_known())
        files = [one for one in found if isinstance(one, File) and one.path.startswith((PROGRAMS, UNITS, JOBS))]
        assert len(files) == 4
        for one in files:
            assert one.content.startswith(("# provision: shop. ", "; provision: shop. "))


@pytest.fixture
def start(tmp_path: Path, make_host: MakeHost, make_known: MakeFacts) -> Callable[..., list[str]]:
    """What a slot's start script says, run for real in a folder of the test's own; gunicorn says how it was called."""

    def run(
        name: str,
        processes: dict[str, str] | None = None,
        environment: dict[str, str] | None = None,
        manager: dict[str, str] | None = None,
    ) -> list[str]:
        more = f"    environment: {json.dumps(environment or {})}\n"
        inventory = text(more).replace("{worker: python -m shop.worker}", json.dumps(processes or {}))
        inventory = inventory.replace("python -m shop.tidy", json.dumps('echo "it\'s tidy"'))
        inventory = inventory.replace("https://git.example.com/shop.git", "{repository: /srv/git/shop, folder: app}")
        found = roles.everything(make_host(inventory), *make_known())
        slot = tmp_path / "blue"
        for folder in (slot / "venv" / "bin", tmp_path / "release" / "app", tmp_path / "run"):
            folder.mkdir(parents=True, exist_ok=True)
        (slot / "release").symlink_to(tmp_path / "release")
        (tmp_path / "current").symlink_to("blue")
        (slot / "env").write_text(file(found, "/etc/shop/env").content)
        (slot / "start").write_text(file(found, "/etc/shop/start").content.replace("/run/shop", f"{tmp_path}/run"))
        gunicorn = slot / "venv" / "bin" / "gunicorn"
        gunicorn.write_text('#!/bin/sh\necho "$*"\necho "$PROVISION_SLOT"\n')
        for program in (slot / "start", gunicorn):
            program.chmod(0o755)
        ran = subprocess.run(
            (str(tmp_path / "current" / "start"), name), capture_output=True, text=True, timeout=20, env=manager or {}
        )
        # Whoever runs the tests may not be allowed so many files; a slot that may not goes on with fewer.
        assert [line for line in ran.stderr.splitlines() if "ulimit" not in line] == []
        assert ran.returncode == 0
        return ran.stdout.splitlines()

    return run


def test_a_process_runs_in_the_releases_folder_as_the_app_with_its_environment(
    tmp_path: Path, start: Callable[..., list[str]]
) -> None:
    odd = """one 'two' "three" $four `five` \\six #7"""
    show = """pwd -P; echo "$HOME"; echo "$USER $LOGNAME"; echo "$PATH"; umask; printf "%s\\n" "$ODD"; echo "$PROVISION_RELEASE" """
    assert start("show", {"show": show.strip()}, {"ODD": odd}) == [
        f"{tmp_path}/release/app",
        "/srv/shop/shared",
        "shop shop",
        f"{tmp_path}/blue/venv/bin:/usr/local/bin:/usr/bin:/bin",
        "0027",
        odd,
        ID,
    ]


def test_what_has_outlived_its_main_process_ends_when_the_program_starts_anew(start: Callable[..., list[str]]) -> None:
    name = f"shop-{secrets.token_hex(8)}"
    left, other = (
        subprocess.Popen(["sleep", "60"], env={"SUPERVISOR_PROCESS_NAME": each}) for each in (name, f"{name}-mail")
    )
    try:
        start("show", {"show": "true"}, manager={"SUPERVISOR_PROCESS_NAME": name})
        assert left.wait(5) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        for each in (left, other):
            each.kill()
            each.wait()


def test_a_schedules_command_is_run_by_the_same_script(start: Callable[..., list[str]]) -> None:
    assert start("tidy") == ["it's tidy"]


def test_a_slot_knows_which_it_is_and_takes_the_traffic_where_no_other_has_it(
    tmp_path: Path, start: Callable[..., list[str]]
) -> None:
    assert start("web") == [f"--config {tmp_path}/blue/gunicorn.conf.py shop.main:app", "blue"]
    assert str((tmp_path / "run" / "current.sock").readlink()) == "blue.sock"


def test_a_slot_that_starts_takes_no_traffic_from_another(tmp_path: Path, start: Callable[..., list[str]]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "current.sock").symlink_to("green.sock")
    start("web")
    assert str((tmp_path / "run" / "current.sock").readlink()) == "green.sock"
