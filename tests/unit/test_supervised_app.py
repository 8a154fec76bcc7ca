"""An app whose process manager is Supervisor."""

from __future__ import annotations

import configparser
from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.engine import probe
from provision.engine.resource import State
from provision.release.activation import Activation, Promotion
from provision.release.facts import ServerRelease
from provision.release.preview import Preview
from provision.release.removal import RemovedUnit
from provision.resources.file import File

if TYPE_CHECKING:
    from collections.abc import Callable

    from provision.engine.resource import Resource
    from provision.inventory import Host
    from tests.unit.conftest import Known

    MakeHost = Callable[..., Host]
    MakeFacts = Callable[..., Known]

ID, OLDER = "20261121T230500-0123456", "20261001T000000-fedcba9"
TOKEN = "0123456789abcdef0123456789abcdef"
PROGRAMS, UNITS, JOBS = "/etc/supervisor/conf.d", "/etc/systemd/system", "/etc/cron.d"
SOURCES = "/etc/shop/units"


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
    changes = {one.path: one.plan(State(), {}) for one in resources if isinstance(one, RemovedUnit)}
    return {path: change.phase for path, change in changes.items() if change}


def program(resources: tuple[Resource, ...], name: str) -> dict[str, str]:
    """A program as Supervisor reads it."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"))
    folder = PROGRAMS if name == "shop" else SOURCES
    parser.read_string(file(resources, f"{folder}/{name}.conf").content)
    assert parser.sections() == [f"program:{name}"]
    return dict(parser[f"program:{name}"])


SERVER = [
    "packages:supervisor",
    "service:supervisor",
    f"directory:{SOURCES}",
    "directory:/var/log/supervisor/shop",
    "file:/etc/shop/start",
    "file:/etc/shop/program.conf",
    f"file:{SOURCES}/shop-worker.conf",
    f"file:{SOURCES}/shop-tidy.conf",
    f"file:{SOURCES}/shop-tidy",
    f"file:{PROGRAMS}/shop.conf",
    "program:shop",
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
    units = ("units/shop-worker.conf", "units/shop-tidy.conf", "units/shop-tidy")
    names = ("env", "gunicorn.conf.py", "sandbox", "start", "program.conf", *units)
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


@pytest.mark.parametrize("manager", ["systemd", "supervisor"])
def test_when_a_command_runs_is_in_the_fingerprint_as_only_an_activation_changes_it(
    manager: str, make_host: MakeHost, make_known: MakeFacts
) -> None:
    prints = {
        activation(roles.everything(make_host(each), *make_known())).fingerprint
        for each in (text(manager=manager), text(manager=manager).replace("03:00", "hourly"))
    }
    assert len(prints) == 2


def test_all_fields_that_a_probe_reads_are_there(make_host: MakeHost, make_known: MakeFacts) -> None:
    for resource in roles.everything(make_host(text()), *make_known()):
        if isinstance(resource, Activation | Preview):
            assert all(resource.probe().item)


def test_a_whole_server_calls_each_probe_once(make_host: MakeHost, make_known: MakeFacts) -> None:
    resources = roles.everything(make_host(text()), *make_known())
    called = [line.split()[0] for line in probe.script(resources).splitlines() if line.endswith("<<'END_OF_ITEMS'")]
    assert sorted(called) == sorted({resource.probe().function for resource in resources})


THEIRS = {
    "systemd": (
        *(f"{UNITS}/shop@{slot}.{kind}" for slot in ("blue", "green") for kind in ("service", "socket")),
        f"{UNITS}/shop-worker.service",
        f"{UNITS}/shop-tidy.service",
        f"{UNITS}/shop-tidy.timer",
    ),
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


def test_what_this_manager_has_too_much_of_goes_once_the_release_serves(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    extra = (f"{PROGRAMS}/shop-mail.conf", f"{PROGRAMS}/shop-tell.conf", f"{JOBS}/shop-tell")
    found = roles.everything(make_host(text()), *make_known(managed=units(*THEIRS["supervisor"], *extra)))
    assert retired(found) == dict.fromkeys(extra, "finish")
    last = ids(found).index("activation:shop")
    assert all(ids(found).index(f"retired:{path.rpartition('/')[2]}") > last for path in extra)


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
    assert found[0].slot.manager == "supervisor"
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
    slot = parser["fcgi-program:shop-blue"]
    assert (slot["autostart"], slot["autorestart"]) == ("false", "true")
    assert slot["command"].startswith("systemd-run --scope --quiet --collect --slice=provision-shop_blue ")
    assert slot["command"].endswith(" --uid=shop --gid=shop /etc/shop/blue/start web %(process_num)d")
    assert slot["stopwaitsecs"] == "35"
    assert slot["stdout_logfile"] == "/var/log/supervisor/shop/blue.log"
    assert content.startswith("; provision: shop. ")


def test_a_slots_socket_is_supervisors_and_a_second_process_keeps_it_open(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    parser = configparser.RawConfigParser()
    content = file(roles.everything(make_host(text()), *make_known()), "/etc/shop/program.conf").content
    parser.read_string(content.replace("@SLOT@", "green"))
    slot = parser["fcgi-program:shop-green"]
    assert slot["socket"] == "unix:///run/shop/green.sock"
    assert (slot["socket_owner"], slot["socket_mode"]) == ("root:www-data", "0660")
    assert (slot["numprocs"], slot["process_name"]) == ("2", "%(program_name)s_%(process_num)d")


def test_processes_run_on_and_what_runs_at_times_is_started_by_cron(make_host: MakeHost, make_known: MakeFacts) -> None:
    found = roles.everything(make_host(text()), *make_known())
    worker, tidy = program(found, "shop-worker"), program(found, "shop-tidy")
    assert worker["command"].endswith(" --uid=shop --gid=shop /etc/shop/current/start worker")
    assert " --slice=provision-shop_worker " in worker["command"]
    assert (worker["autostart"], worker["autorestart"]) == ("true", "true")
    assert (tidy["autostart"], tidy["autorestart"], tidy["startsecs"]) == ("false", "false", "0")
    job = file(found, f"{SOURCES}/shop-tidy").content
    assert job.splitlines()[-1] == "0 3 * * * root supervisorctl start shop-tidy >/dev/null 2>&1"
    assert job.endswith("\n")


def test_the_boot_program_starts_the_slot_that_the_link_names_and_none_where_there_is_no_link(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    boot = program(roles.everything(make_host(text()), *make_known()), "shop")
    command = "slot=$(readlink /etc/shop/current) && {{ {takes}; }} && exec supervisorctl start shop-$slot:*"
    takes = "[ -L /run/shop/current.sock ] || ln -s $slot.sock /run/shop/current.sock"
    assert boot["command"] == f"/bin/sh -c '{command.format(takes=takes)}'"
    assert boot["autorestart"] == "false"


def test_memory_and_tasks_are_limited_by_a_scope_of_systemds(make_host: MakeHost, make_known: MakeFacts) -> None:
    """Supervisor cannot; a percent sign is its own."""
    found = roles.everything(make_host(text("    memory_max: 50%\n")), *make_known())
    worker = program(found, "shop-worker")
    assert (
        "--property=TasksMax=1024 --property=MemoryMax=50%% --uid=shop --gid=shop /etc/shop/current/start worker"
        in worker["command"]
    )
    assert "user" not in worker


def test_each_file_that_a_manager_reads_says_whose_it_is(make_host: MakeHost, make_known: MakeFacts) -> None:
    """The facts find the app's files by that line."""
    for manager in ("systemd", "supervisor"):
        found = roles.everything(make_host(text(manager=manager)), *make_known())
        read = (PROGRAMS, UNITS, JOBS, SOURCES, "/etc/shop/program.conf")
        files = [one for one in found if isinstance(one, File) and one.path.startswith(read)]
        assert len(files) == 5
        for one in files:
            assert one.content.startswith(("# provision: shop. ", "; provision: shop. "))
