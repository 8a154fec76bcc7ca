from __future__ import annotations

import threading
from socketserver import ThreadingUnixStreamServer
from typing import TYPE_CHECKING, Any
from xmlrpc.client import Fault, dumps
from xmlrpc.server import SimpleXMLRPCDispatcher, SimpleXMLRPCRequestHandler

import pytest

from provision.engine.resource import State
from provision.release import manager
from provision.release.manager import Program, RemovedUnit
from tests.unit.conftest import planned as earlier

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from provision.engine.resource import Resource
    from tests.unit.conftest import Units

    Ran = subprocess.CompletedProcess[str]
    Shell = Callable[[str], Ran]
    Observe = Callable[..., tuple[State, ...]]

PROGRAM = Program("shop-worker")


def summary(resource: Resource, *row: str, before: tuple[str, ...] = ()) -> str | None:
    change = resource.plan(State((row,) if row else ()), earlier(*before))
    assert change is None or change.id == str(resource.ref)
    return change.summary if change else None


def test_a_program_is_right_when_supervisor_has_loaded_its_file_as_it_is() -> None:
    assert summary(PROGRAM, "loaded") is None
    assert summary(PROGRAM, "changed") == "shop-worker: load into Supervisor"
    assert summary(PROGRAM) == "shop-worker: load into Supervisor"


def test_a_program_is_loaded_again_for_its_file_that_is_about_to_change() -> None:
    file = "file:/etc/supervisor/conf.d/shop-worker.conf"
    assert summary(PROGRAM, "loaded", before=(file,)) == "shop-worker: load into Supervisor"
    others = (file.replace("shop-", "blog-"), file.replace("-worker", ""), "packages:supervisor-shop")
    assert summary(PROGRAM, "loaded", before=others) is None


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/etc/systemd/system/shop@.service", "shop@.service"),
        ("/etc/systemd/system/shop-tidy.timer", "shop-tidy.timer"),
        ("/etc/supervisor/conf.d/shop-blue.conf", "shop-blue.conf"),
        ("/etc/cron.d/shop-tidy", "shop-tidy"),
    ],
)
def test_what_is_retired_goes_by_its_name_and_is_gone_by_its_path(path: str, name: str) -> None:
    change = RemovedUnit(path).plan(State(), {})
    assert change is not None
    assert change.id == str(RemovedUnit(path).ref) == f"retired:{name}"
    assert change.summary == f"{name}: stop and remove"
    assert change.script == f"retire {path}"
    assert (change.phase, change.undo) == ("prepare", "")


def test_what_is_left_of_another_manager_waits_for_the_end() -> None:
    change = RemovedUnit("/etc/cron.d/shop-tidy", "finish").plan(State(), {})
    assert change is not None
    assert change.phase == "finish"


def test_nothing_is_asked_of_what_is_to_go(observe: Observe) -> None:
    assert observe(RemovedUnit("/etc/cron.d/one"), RemovedUnit("/etc/cron.d/two")) == ((), ())


INFO = {
    "name": "shop-blue",
    "group": "shop-blue",
    "start": 1795302300,
    "stop": 0,
    "now": 1795302360,
    "state": 20,
    "statename": "RUNNING",
    "spawnerr": "",
    "exitstatus": 0,
    "logfile": "/var/log/supervisor/shop/blue.log",
    "stdout_logfile": "/var/log/supervisor/shop/blue.log",
    "stderr_logfile": "",
    "pid": 4711,
    "description": "pid 4711, uptime 0:01:00",
}


class Supervisor(ThreadingUnixStreamServer, SimpleXMLRPCDispatcher):
    """What stands for Supervisor: `programs` are those that it has, with their states. `asked` is each call."""

    logRequests = False  # noqa: N815
    daemon_threads = True

    def __init__(self, path: Path) -> None:
        class Handler(SimpleXMLRPCRequestHandler):
            disable_nagle_algorithm = False

        SimpleXMLRPCDispatcher.__init__(self)
        ThreadingUnixStreamServer.__init__(self, str(path), Handler)
        self.programs: dict[str, str] = {}
        self.refused: set[str] = set()
        self.asked: list[tuple[Any, ...]] = []

    def _dispatch(self, method: str, params: Any) -> Any:
        name = method.removeprefix("supervisor.")
        self.asked.append((name, *params))
        match name:
            case "getState":
                return {"statecode": 1, "statename": "RUNNING"}
            case "getAllProcessInfo":
                return [{**INFO, "name": each, "group": each} for each in self.programs]
            case "reloadConfig":
                return [[[], [], []]]
        program = params[0]
        if name == "addProcessGroup" and program in self.programs:
            raise Fault(90, f"ALREADY_ADDED: {program}")
        if name == "addProcessGroup" and program not in self.refused:
            self.programs[program] = "STOPPED"
            return True
        if program not in self.programs:
            raise Fault(10, f"BAD_NAME: {program}")
        if name == "getProcessInfo":
            return {**INFO, "name": program, "group": program, "statename": self.programs[program]}
        if name == "removeProcessGroup":
            del self.programs[program]
        if name == "startProcess":
            if self.programs[program] == "RUNNING":
                raise Fault(60, f"ALREADY_STARTED: {program}")
            if program in self.refused:
                raise Fault(50, f"SPAWN_ERROR: {program}")
            self.programs[program] = "RUNNING"
        if name == "stopProcess":
            self.programs[program] = "STOPPED"
        return True


@pytest.fixture
def places(tmp_path: Path, units: Units) -> dict[str, object]:
    """A server's folders in the test's own."""
    for folder in ("run", "etc/supervisor/conf.d", "etc/systemd/system", "etc/cron.d", "etc/shop", "lib", "log/shop"):
        (tmp_path / folder).mkdir(parents=True)
    return {
        "/run/": f"{tmp_path}/run/",
        "/etc/": f"{tmp_path}/etc/",
        "/var/lib/provision": tmp_path / "lib",
        "/var/log/supervisor": tmp_path / "log",
        "PATH=/": f"PATH={units.folder}:/",
    }


@pytest.fixture
def supervisor(tmp_path: Path, places: dict[str, object]) -> Iterator[Supervisor]:
    server = Supervisor(tmp_path / "run" / "supervisor.sock")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def shell(call: Callable[..., Ran], places: dict[str, object], me: tuple[str, str]) -> Shell:
    owners = {" root root": f" {me[0]} {me[1]}"}
    return lambda script: call([manager], script, {**places, **owners})


@pytest.fixture
def keep(make: Callable[..., Ran], places: dict[str, object], me: tuple[str, str]) -> Callable[[Resource], Ran]:
    owners = {" root root": f" {me[0]} {me[1]}"}
    return lambda resource: make(resource.plan(State(), {}), {**places, **owners})


def test_a_member_of_an_answer_is_told_as_it_is(shell: Shell) -> None:
    answer = dumps((INFO,), methodresponse=True).replace("\n", "")
    for name in ("statename", "pid", "start", "group", "description"):
        assert shell(f"echo '{answer}' | told {name}").stdout == f"{INFO[name]}\n"
    assert shell(f"echo '{answer}' | told nothing").stdout == ""
    fault = dumps(Fault(10, "BAD_NAME: shop-blue")).replace("\n", "")
    assert shell(f"echo '{fault}' | told statename").stdout == ""


def test_supervisor_is_asked_in_its_own_words(shell: Shell, supervisor: Supervisor) -> None:
    shell("rpc getState; rpc stopProcess shop-blue; rpc startProcess shop-blue nowait")
    assert supervisor.asked == [("getState",), ("stopProcess", "shop-blue"), ("startProcess", "shop-blue", False)]


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("RUNNING", "active"),
        ("STARTING", "active"),
        ("BACKOFF", "failed"),
        ("FATAL", "failed"),
        ("STOPPING", "deactivating"),
        ("STOPPED", "inactive"),
        ("EXITED", "inactive"),
    ],
)
def test_a_programs_state_is_said_as_systemd_says_it(
    said: str, state: str, shell: Shell, supervisor: Supervisor
) -> None:
    supervisor.programs["shop-blue"] = said
    assert shell("program_state shop-blue").stdout == f"{state}\n"


def test_a_program_that_is_not_there_is_inactive_with_supervisor_and_without(
    shell: Shell, request: pytest.FixtureRequest
) -> None:
    assert shell("program_state shop-blue; has_supervisor || echo none").stdout == "inactive\nnone\n"
    request.getfixturevalue("supervisor")
    assert shell("program_state shop-blue; has_supervisor && echo there").stdout == "inactive\nthere\n"


def test_a_slots_manager_stands_beside_it_and_is_systemd_where_nothing_does(tmp_path: Path, shell: Shell) -> None:
    (tmp_path / "etc" / "shop" / "green").mkdir()
    (tmp_path / "etc" / "shop" / "green" / "manager").write_text("supervisor\n")
    assert shell("manager_of shop blue; manager_of shop green").stdout == "systemd\nsupervisor\n"


@pytest.fixture
def supervised(tmp_path: Path, places: dict[str, object]) -> Path:
    """Slot green of the app shop is Supervisor's; its program's file."""
    (tmp_path / "etc" / "shop" / "green").mkdir()
    (tmp_path / "etc" / "shop" / "green" / "manager").write_text("supervisor\n")
    path = tmp_path / "etc" / "supervisor" / "conf.d" / "shop-green.conf"
    path.write_text("; provision: shop. Slot green runs one release.\n[program:shop-green]\n")
    return path


def test_each_slot_is_asked_of_its_own_manager(
    supervised: Path, shell: Shell, supervisor: Supervisor, units: Units
) -> None:
    supervisor.programs["shop-green"] = "FATAL"
    units.start("shop@blue")
    assert shell("slot_state shop blue; slot_state shop green").stdout == "active\nfailed\n"
    assert shell("slot_pid shop green; echo; slot_since shop green").stdout == "4711\n1795302300"


def test_a_slot_is_started_in_its_own_manager_and_stopped_in_both(
    supervised: Path, shell: Shell, supervisor: Supervisor, units: Units
) -> None:
    assert shell("slot_start shop green; slot_start shop blue").returncode == 0
    assert supervisor.programs == {"shop-green": "RUNNING"}
    assert "start shop@blue" in units.calls
    assert "start shop@green" not in units.calls
    assert shell("slot_stop shop green").returncode == 0
    assert supervisor.programs == {"shop-green": "STOPPED"}
    assert "stop shop@green" in units.calls


def test_a_program_is_loaded_as_its_file_says_now(supervised: Path, shell: Shell, supervisor: Supervisor) -> None:
    supervisor.programs["shop-green"] = "RUNNING"
    assert shell("load_program shop-green").returncode == 0
    assert [name for name, *_ in supervisor.asked] == [
        "stopProcess",
        "removeProcessGroup",
        "reloadConfig",
        "addProcessGroup",
    ]
    assert supervisor.programs == {"shop-green": "STOPPED"}


def test_a_program_that_supervisor_does_not_take_is_one_clear_line(
    shell: Shell, supervisor: Supervisor, units: Units, tmp_path: Path
) -> None:
    supervisor.refused.add("shop-green")
    (units.folder / "supervisorctl").write_text("#!/bin/sh\necho reading\necho 'ERROR: CANT_REREAD: line 3' >&2\n")
    (units.folder / "supervisorctl").chmod(0o755)
    ran = shell("load_program shop-green")
    assert (ran.returncode, ran.stdout) == (
        1,
        f"error: Supervisor does not take {tmp_path}/etc/supervisor/conf.d/shop-green.conf: ERROR: CANT_REREAD: line 3\n",
    )


def test_a_process_is_started_anew_and_one_that_cannot_is_told(
    shell: Shell, supervisor: Supervisor, units: Units
) -> None:
    supervisor.programs["shop-worker"] = "RUNNING"
    assert shell("process_restart shop worker supervisor").returncode == 0
    assert supervisor.programs["shop-worker"] == "RUNNING"
    assert ("stopProcess", "shop-worker") in supervisor.asked
    supervisor.programs["shop-mail"] = "FATAL"
    supervisor.refused.add("shop-mail")
    assert shell("process_restart shop mail supervisor").returncode == 1
    assert shell("process_restart shop worker systemd").returncode == 0
    assert units.calls[-2:] == ["enable --quiet shop-worker.service", "restart shop-worker.service"]


def test_the_state_of_a_process_is_asked_of_one_manager(shell: Shell, supervisor: Supervisor, units: Units) -> None:
    supervisor.programs["shop-worker"] = "RUNNING"
    assert shell("process_state shop worker supervisor; process_state shop worker systemd").stdout == (
        "active\ninactive\n"
    )


def write(folder: Path, **contents: str) -> None:
    for name, content in contents.items():
        (folder / name).write_text(content)


def test_an_apps_processes_are_stopped_and_no_slot_and_no_other_apps(
    tmp_path: Path, shell: Shell, supervisor: Supervisor
) -> None:
    names = {"shop": "shop", "shop-blue": "shop", "shop-worker": "shop", "shop-a-b": "shop-a", "shop-own": ""}
    for name, app in names.items():
        head = f"; provision: {app}. Something.\n" if app else "; someone's own\n"
        write(tmp_path / "etc" / "supervisor" / "conf.d", **{f"{name}.conf": f"{head}[program:{name}]\n"})
        supervisor.programs[name] = "RUNNING"
    assert shell("processes_stop shop supervisor").returncode == 0
    assert [name for name, state in supervisor.programs.items() if state == "STOPPED"] == ["shop-worker"]


def test_an_apps_units_are_stopped_but_for_what_runs_at_times(tmp_path: Path, shell: Shell, units: Units) -> None:
    folder = tmp_path / "etc" / "systemd" / "system"
    head = "# provision: shop. Something.\n[Service]\n"
    write(
        folder,
        **{
            "shop@.service": f"{head}Restart=always\n",
            "shop-worker.service": f"{head}Restart=always\n",
            "shop-tidy.service": f"{head}Type=oneshot\n",
            "shop-a-b.service": f"{head}Restart=always\n".replace("shop", "shop-a"),
            "shop-own.service": "[Service]\nRestart=always\n",
        },
    )
    assert shell("processes_stop shop systemd").returncode == 0
    assert units.calls == ["disable --quiet --now shop-worker.service"]


def test_a_log_is_told_from_where_it_was(tmp_path: Path, supervised: Path, shell: Shell) -> None:
    log = tmp_path / "log" / "shop" / "green.log"
    assert shell("log_end /var/log/supervisor/shop/green.log; slot_log shop green '' 0").stdout == "0\n"
    log.write_text("of before\n")
    assert shell("log_end /var/log/supervisor/shop/green.log").stdout == "10\n"
    log.write_text("of before\n" + "".join(f"line {number}\n" for number in range(40)))
    assert shell("slot_log shop green '' 10").stdout == "".join(f"line {number}\n" for number in range(10, 40))
    log.write_text("of before\none\n")
    assert shell("slot_log shop green '' 10").stdout == "one\n"


def test_workers_are_a_processs_children(shell: Shell) -> None:
    ran = shell("sleep 5 & one=$!; sleep 5 & two=$!; echo $one $two; workers_of $$; echo; kill $one $two; workers_of 0")
    expected, found, *_ = ran.stdout.splitlines()
    assert set(expected.split()) <= set(found.split())


def loaded(observe: Observe, places: dict[str, object], *programs: Program) -> list[str]:
    return [state[0][0] for state in observe(*programs, places=places)]


def test_a_program_that_was_loaded_is_loaded_until_its_file_is_replaced(
    tmp_path: Path,
    observe: Observe,
    places: dict[str, object],
    keep: Callable[[Resource], Ran],
    supervisor: Supervisor,
) -> None:
    path = tmp_path / "etc" / "supervisor" / "conf.d" / "shop-worker.conf"
    path.write_text("[program:shop-worker]\n")
    other = Program("shop-other")
    assert loaded(observe, places, PROGRAM, other) == ["changed", "changed"]
    assert keep(PROGRAM).returncode == 0
    assert supervisor.programs == {"shop-worker": "STOPPED"}
    assert loaded(observe, places, PROGRAM, other) == ["loaded", "changed"]
    (tmp_path / "new").write_text("[program:shop-worker]\n")
    (tmp_path / "new").rename(path)
    assert loaded(observe, places, PROGRAM) == ["changed"]


def test_a_program_that_supervisor_has_lost_is_loaded_again(
    tmp_path: Path,
    observe: Observe,
    places: dict[str, object],
    keep: Callable[[Resource], Ran],
    supervisor: Supervisor,
) -> None:
    write(tmp_path / "etc" / "supervisor" / "conf.d", **{"shop-worker.conf": "[program:shop-worker]\n"})
    keep(PROGRAM)
    supervisor.programs.clear()
    assert loaded(observe, places, PROGRAM) == ["changed"]
    supervisor.programs["shop-worker-2"] = "RUNNING"
    assert loaded(observe, places, PROGRAM) == ["changed"]


def test_without_supervisor_no_program_is_loaded(observe: Observe, places: dict[str, object]) -> None:
    assert loaded(observe, places, PROGRAM) == ["changed"]


def test_a_cron_job_that_is_retired_is_gone(tmp_path: Path, shell: Shell, units: Units) -> None:
    write(tmp_path / "etc" / "cron.d", **{"shop-tidy": "", "shop-tell": ""})
    assert shell("retire /etc/cron.d/shop-tidy").returncode == 0
    assert [path.name for path in (tmp_path / "etc" / "cron.d").iterdir()] == ["shop-tell"]
    assert units.calls == []
    assert shell("retire /etc/cron.d/shop-tidy").returncode == 0


def test_a_program_that_is_retired_is_stopped_and_its_stamp_goes_too(
    tmp_path: Path, shell: Shell, keep: Callable[[Resource], Ran], supervisor: Supervisor
) -> None:
    folder = tmp_path / "etc" / "supervisor" / "conf.d"
    write(folder, **{"shop-worker.conf": "[program:shop-worker]\n"})
    keep(PROGRAM)
    supervisor.programs["shop-worker"] = "RUNNING"
    supervisor.asked.clear()
    assert shell("retire /etc/supervisor/conf.d/shop-worker.conf").returncode == 0
    assert ("stopProcess", "shop-worker") in supervisor.asked
    assert supervisor.programs == {}
    assert not list(folder.iterdir())
    assert not list((tmp_path / "lib" / "stamps").iterdir())


def test_a_program_is_retired_where_supervisor_is_gone_too(tmp_path: Path, shell: Shell) -> None:
    write(tmp_path / "etc" / "supervisor" / "conf.d", **{"shop-worker.conf": "[program:shop-worker]\n"})
    assert shell("retire /etc/supervisor/conf.d/shop-worker.conf").returncode == 0
    assert not list((tmp_path / "etc" / "supervisor" / "conf.d").iterdir())


def test_a_unit_that_is_retired_is_stopped_and_both_slots_are(tmp_path: Path, shell: Shell, units: Units) -> None:
    folder = tmp_path / "etc" / "systemd" / "system"
    write(folder, **{"shop-tidy.timer": "", "shop@.service": ""})
    (tmp_path / "lib" / "stamps").mkdir()
    write(tmp_path / "lib" / "stamps", **{"shop-tidy.timer": ""})
    units.start("shop-tidy.timer", "shop@blue", "shop@green", "blog@blue")
    assert shell("retire /etc/systemd/system/shop-tidy.timer").returncode == 0
    assert shell("retire /etc/systemd/system/shop@.service").returncode == 0
    assert not list(folder.iterdir())
    assert not list((tmp_path / "lib" / "stamps").iterdir())
    assert [path.name for path in (units.folder / "running").iterdir()] == ["blog@blue"]
    assert units.calls.count("daemon-reload") == 2
