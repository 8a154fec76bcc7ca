"""Supervisor, asked over its socket as an activation asks it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xmlrpc.client import Fault, dumps

import pytest

from provision.engine.resource import State
from provision.release.supervisor import Program
from tests.unit.conftest import planned as earlier
from tests.unit.release.serving import SLOT, fill, unit
from tests.unit.release.supervisor import INFO, Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provision.engine.resource import Resource
    from provision.release.slot import Serving, Slot
    from tests.unit.conftest import Units
    from tests.unit.release.serving import Observe, Ran, Serve, Shell


PROGRAM = Program("shop-worker")
GREEN = ["shop-green:shop-green_0", "shop-green:shop-green_1"]


def summary(resource: Resource, state: str = "", before: tuple[str, ...] = ()) -> str | None:
    change = resource.plan(State.of({"state": state}) if state else State(), earlier(*before))
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


def test_a_member_of_an_answer_is_told_as_it_is(shell: Shell) -> None:
    answer = dumps((INFO,), methodresponse=True).replace("\n", "")
    for name in ("statename", "pid", "start", "group", "description"):
        assert shell(f"echo '{answer}' | supervisor_rpc_field {name}").stdout == f"{INFO[name]}\n"
    assert shell(f"echo '{answer}' | supervisor_rpc_field nothing").stdout == ""
    fault = dumps(Fault(10, "BAD_NAME: shop-blue")).replace("\n", "")
    assert shell(f"echo '{fault}' | supervisor_rpc_field statename").stdout == ""


@pytest.mark.parametrize(
    ("state", "how"),
    [
        ("STARTING", "it was started again"),
        ("RUNNING", "it was started again"),
        ("BACKOFF", "Exited too quickly"),
        ("EXITED", "exit status 3"),
    ],
)
def test_how_a_slot_ended_is_told_by_its_programs_state(shell: Shell, state: str, how: str) -> None:
    info = {"statename": state, "spawnerr": "Exited too quickly", "exitstatus": 3}
    answer = dumps((info,), methodresponse=True).replace("\n", "")
    asked = f"supervisor_rpc() {{ echo '{answer}'; }}; supervisor_slot_exit shop blue"
    assert shell(asked).stdout == f"{how}\n"


def test_supervisor_is_asked_in_its_own_words(shell: Shell, supervisor: Supervisor) -> None:
    shell("supervisor_rpc getState; supervisor_rpc stopProcess shop-blue; supervisor_rpc startProcess shop-blue nowait")
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
    assert shell("supervisor_state shop-blue").stdout == f"{state}\n"


def test_a_program_that_is_not_there_is_inactive_with_supervisor_and_without(
    shell: Shell, request: pytest.FixtureRequest
) -> None:
    assert shell("supervisor_state shop-blue; supervisor_is_there || echo none").stdout == "inactive\nnone\n"
    request.getfixturevalue("supervisor")
    assert shell("supervisor_state shop-blue; supervisor_is_there && echo there").stdout == "inactive\nthere\n"


def test_a_slots_manager_stands_beside_it_and_is_systemd_where_nothing_does(root: Path, shell: Shell) -> None:
    (root / "etc" / "shop" / "green").mkdir()
    (root / "etc" / "shop" / "green" / "manager").write_text("supervisor\n")
    assert shell("slot_manager_of shop blue; slot_manager_of shop green").stdout == "systemd\nsupervisor\n"


@pytest.fixture
def supervised(root: Path, server: Path) -> Path:
    """Slot green of the app shop is Supervisor's; its program's file."""
    (root / "etc" / "shop" / "green").mkdir()
    (root / "etc" / "shop" / "green" / "manager").write_text("supervisor\n")
    path = root / "etc" / "supervisor" / "conf.d" / "shop-green.conf"
    path.write_text("; provision: shop. Slot green runs one release.\n[program:shop-green]\n")
    return path


def test_each_slot_is_asked_of_its_own_manager(
    supervised: Path, shell: Shell, supervisor: Supervisor, units: Units
) -> None:
    supervisor.programs |= {"shop-green:shop-green_0": "FATAL", "shop-green:shop-green_1": "RUNNING"}
    units.serve("blue")
    assert shell("slot_state shop blue; slot_state shop green").stdout == "active\nfailed\n"
    assert shell("slot_pid shop green; echo; slot_since shop green").stdout == "4711\n1795302300"


def test_a_slot_is_started_in_its_own_manager_and_stopped_in_both(
    supervised: Path, shell: Shell, supervisor: Supervisor, units: Units
) -> None:
    assert shell("slot_start shop green; slot_start shop blue").returncode == 0
    assert supervisor.programs == dict.fromkeys(GREEN, "RUNNING")
    assert [call[1] for call in supervisor.asked if call[0] == "startProcess"] == [*reversed(GREEN)]
    assert [call for call in units.calls if call.startswith("start")] == [
        "start shop@blue.socket",
        "start shop@blue.service",
    ]
    assert shell("slot_stop shop green").returncode == 0
    assert supervisor.programs == dict.fromkeys(GREEN, "STOPPED")
    assert "stop shop@green.service shop@green.socket" in units.calls


def test_a_slot_that_an_older_toolkit_started_is_stopped_too(
    supervised: Path, shell: Shell, supervisor: Supervisor
) -> None:
    supervisor.programs["shop-green"] = "RUNNING"
    assert shell("slot_stop shop green").returncode == 0
    assert supervisor.programs == {"shop-green": "STOPPED"}


def test_a_slot_under_supervisor_is_not_active_without_what_keeps_its_socket(
    slots: Path, supervisor: Supervisor, probed: Callable[[Slot], Serving]
) -> None:
    fill(slots / "blue", manager="supervisor\n")
    supervisor.programs |= {"shop-blue:shop-blue_0": "RUNNING", "shop-blue:shop-blue_1": "FATAL"}
    assert probed(SLOT).active == "without its socket"
    supervisor.programs["shop-blue:shop-blue_1"] = "RUNNING"
    assert probed(SLOT).active == "active"


def test_a_program_is_loaded_as_its_file_says_now(shell: Shell, supervisor: Supervisor) -> None:
    supervisor.programs["shop-worker"] = "RUNNING"
    assert shell("supervisor_load shop-worker").returncode == 0
    assert [name for name, *_ in supervisor.asked] == [
        "stopProcess",
        "removeProcessGroup",
        "reloadConfig",
        "addProcessGroup",
    ]
    assert supervisor.programs == {"shop-worker": "STOPPED"}


def test_a_program_that_supervisor_does_not_take_is_one_clear_line(
    shell: Shell, supervisor: Supervisor, units: Units, root: Path
) -> None:
    supervisor.refused.add("shop-green")
    (units.folder / "supervisorctl").write_text("#!/bin/sh\necho reading\necho 'ERROR: CANT_REREAD: line 3' >&2\n")
    (units.folder / "supervisorctl").chmod(0o755)
    ran = shell("supervisor_load shop-green")
    assert (ran.returncode, ran.stdout) == (
        1,
        f"error: Supervisor does not take {root}/etc/supervisor/conf.d/shop-green.conf: ERROR: CANT_REREAD: line 3\n",
    )


def test_a_process_is_started_anew_and_one_that_cannot_is_told(
    shell: Shell, supervisor: Supervisor, units: Units
) -> None:
    supervisor.programs["shop-worker"] = "RUNNING"
    assert shell("supervisor_process_restart shop worker").returncode == 0
    assert supervisor.programs["shop-worker"] == "RUNNING"
    assert ("stopProcess", "shop-worker") in supervisor.asked
    supervisor.programs["shop-mail"] = "FATAL"
    supervisor.refused.add("shop-mail")
    assert shell("supervisor_process_restart shop mail").returncode == 1
    assert shell("systemd_process_restart shop worker").returncode == 0
    assert units.calls[-2:] == ["enable --quiet shop-worker.service", "restart shop-worker.service"]


def test_the_state_of_a_process_is_asked_of_one_manager(shell: Shell, supervisor: Supervisor, units: Units) -> None:
    supervisor.programs["shop-worker"] = "RUNNING"
    assert shell("process_state shop worker supervisor; process_state shop worker systemd").stdout == (
        "active\ninactive\n"
    )


def test_an_apps_processes_are_stopped_and_no_slot_and_no_other_apps(
    root: Path, shell: Shell, supervisor: Supervisor
) -> None:
    names = {"shop": "shop", "shop-blue": "shop", "shop-worker": "shop", "shop-a-b": "shop-a", "shop-own": ""}
    for name, app in names.items():
        head = f"; provision: {app}. Something.\n" if app else "; someone's own\n"
        fill(root / "etc" / "supervisor" / "conf.d", **{f"{name}.conf": f"{head}[program:{name}]\n"})
        supervisor.programs[name] = "RUNNING"
    jobs = root / "etc" / "cron.d"
    fill(
        jobs,
        **{f"{app}-tidy": f"# provision: {app}. When tidy runs.\n" for app in ("shop", "shop-a")},
        **{"shop-own": ""},
    )
    assert shell("supervisor_processes_stop shop").returncode == 0
    assert {path.name for path in jobs.iterdir()} == {"shop-a-tidy", "shop-own"}, "cron would start it again"
    assert [name for name, state in supervisor.programs.items() if state == "STOPPED"] == ["shop-worker"]


def test_a_log_is_told_from_where_it_was(root: Path, supervised: Path, shell: Shell) -> None:
    log = root / "var/log/supervisor/shop" / "green.log"
    assert shell("slot_log_mark shop green; slot_log shop green 0").stdout == "0\n"
    log.write_text("of before\n")
    assert shell("slot_log_mark shop green").stdout == "10\n"
    log.write_text("of before\n" + "".join(f"line {number}\n" for number in range(40)))
    assert shell("slot_log shop green 10").stdout == "".join(f"line {number}\n" for number in range(10, 40))
    log.write_text("of before\none\n")
    assert shell("slot_log shop green 10").stdout == "one\n"


def test_workers_are_a_processs_children(shell: Shell) -> None:
    ran = shell(
        "sleep 5 & one=$!; sleep 5 & two=$!; echo $one $two; slot_workers $$; echo; kill $one $two; slot_workers 0"
    )
    expected, found, *_ = ran.stdout.splitlines()
    assert set(expected.split()) <= set(found.split())


def loaded(observe: Observe, *programs: Program) -> list[str]:
    return [state["state"] for state in observe(*programs)]


def test_a_program_that_was_loaded_is_loaded_until_its_file_is_replaced(
    root: Path,
    observe: Observe,
    keep: Callable[[Resource], Ran],
    supervisor: Supervisor,
) -> None:
    path = root / "etc" / "supervisor" / "conf.d" / "shop-worker.conf"
    path.write_text("[program:shop-worker]\n")
    other = Program("shop-other")
    assert loaded(observe, PROGRAM, other) == ["changed", "changed"]
    assert keep(PROGRAM).returncode == 0
    assert supervisor.programs == {"shop-worker": "STOPPED"}
    assert loaded(observe, PROGRAM, other) == ["loaded", "changed"]
    (root / "new").write_text("[program:shop-worker]\n")
    (root / "new").rename(path)
    assert loaded(observe, PROGRAM) == ["changed"]


def test_a_program_that_supervisor_has_lost_is_loaded_again(
    root: Path,
    observe: Observe,
    keep: Callable[[Resource], Ran],
    supervisor: Supervisor,
) -> None:
    fill(root / "etc" / "supervisor" / "conf.d", **{"shop-worker.conf": "[program:shop-worker]\n"})
    keep(PROGRAM)
    supervisor.programs.clear()
    assert loaded(observe, PROGRAM) == ["changed"]
    supervisor.programs["shop-worker-2"] = "RUNNING"
    assert loaded(observe, PROGRAM) == ["changed"]


def test_without_supervisor_no_program_is_loaded(observe: Observe) -> None:
    assert loaded(observe, PROGRAM) == ["changed"]


def test_a_cron_job_that_is_retired_is_gone(root: Path, shell: Shell, units: Units) -> None:
    fill(root / "etc" / "cron.d", **{"shop-tidy": "", "shop-tell": ""})
    assert shell("supervisor_remove_job shop-tidy").returncode == 0
    assert [path.name for path in (root / "etc" / "cron.d").iterdir()] == ["shop-tell"]
    assert units.calls == []
    assert shell("supervisor_remove_job shop-tidy").returncode == 0


def test_a_program_that_is_retired_is_stopped_and_its_stamp_goes_too(
    root: Path, shell: Shell, keep: Callable[[Resource], Ran], supervisor: Supervisor
) -> None:
    folder = root / "etc" / "supervisor" / "conf.d"
    fill(folder, **{"shop-worker.conf": "[program:shop-worker]\n"})
    keep(PROGRAM)
    supervisor.programs["shop-worker"] = "RUNNING"
    supervisor.asked.clear()
    assert shell("supervisor_remove shop-worker").returncode == 0
    assert ("stopProcess", "shop-worker") in supervisor.asked
    assert supervisor.programs == {}
    assert not list(folder.iterdir())
    assert not list((root / "var/lib/provision/stamps").iterdir())


def test_a_program_is_retired_where_supervisor_is_gone_too(root: Path, shell: Shell) -> None:
    fill(root / "etc" / "supervisor" / "conf.d", **{"shop-worker.conf": "[program:shop-worker]\n"})
    assert shell("supervisor_remove shop-worker").returncode == 0
    assert not list((root / "etc" / "supervisor" / "conf.d").iterdir())


WORKER = "; provision: shop. worker of the active release.\n[program:shop-worker]\nautorestart=true\n"


def test_an_activation_goes_from_one_process_manager_to_the_other_and_back(
    slots: Path, root: Path, shell: Shell, supervisor: Supervisor, units: Units, health: Serve
) -> None:
    supervisor.pid = units.main.pid
    fill(slots, start="#!/bin/sh\n", **{"program.conf": "[fcgi-program:shop-@SLOT@]\n"})
    fill(slots / "units", **{"shop-worker.conf": WORKER}, **unit("shop-worker.service"))
    units.serve("blue")
    units.start("shop-worker.service")
    fill(root / "etc/systemd/system", **unit("shop-worker.service"))
    for slot in ("green", "blue"):
        health(root / "run" / "shop" / f"{slot}.sock")
    ran = shell(
        "manager=supervisor copies=env,gunicorn.conf.py,start,program.conf,units/shop-worker.conf; activation_run"
    )
    assert (ran.returncode, ran.stdout) == (0, "")
    assert supervisor.programs == {**dict.fromkeys(GREEN, "RUNNING"), "shop-worker": "RUNNING"}
    assert (root / "etc/supervisor/conf.d/shop-worker.conf").read_text() == WORKER
    assert not units.running
    assert str((root / "run" / "shop" / "current.sock").readlink()) == "green.sock"
    ran = shell("copies=$copies,units/shop-worker.service; activation_run")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert supervisor.programs == {**dict.fromkeys(GREEN, "STOPPED"), "shop-worker": "STOPPED"}
    assert units.running == {"shop@blue.socket", "shop@blue.service", "shop-worker.service"}
    assert str((slots / "current").readlink()) == "blue"


def test_the_processes_of_a_slot_are_those_that_run_on(slots: Path, shell: Shell) -> None:
    tidy = {"shop-tidy.conf": "[program:shop-tidy]\nautorestart=false\n", "shop-tidy": "0 3 * * * root true\n"}
    assert shell("supervisor_processes shop blue").stdout == ""
    fill(slots / "blue" / "units", **{"shop-worker.conf": WORKER, "shop-mail.conf": WORKER}, **tidy)
    assert shell("supervisor_processes shop blue").stdout == "mail\nworker\n"
    assert shell("supervisor_processes shop green").stdout == ""


def test_files_that_cannot_be_written_are_no_success(slots: Path, shell: Shell) -> None:
    fill(slots / "blue" / "units", **{"shop-worker.conf": WORKER})
    assert shell("mktemp() { return 1; }; if supervisor_processes_write shop blue; then echo written; fi").stdout == ""


def test_supervisor_and_cron_get_the_files_of_the_slot_and_lose_those_that_it_does_not_have(
    slots: Path, root: Path, shell: Shell, supervisor: Supervisor
) -> None:
    programs, jobs = root / "etc/supervisor/conf.d", root / "etc/cron.d"
    tidy = "; provision: shop. tidy of the active release.\n[program:shop-tidy]\nautorestart=false\n"
    job = "# provision: shop. When tidy runs.\n"
    fill(slots / "blue" / "units", **{"shop-worker.conf": WORKER, "shop-tidy.conf": tidy, "shop-tidy": job})
    others = {
        "shop.conf": "; provision: shop. At boot.\n",
        "shop-green.conf": "; provision: shop. Slot green.\n",
        "shop-a-b.conf": WORKER.replace("shop", "shop-a"),
        "shop-own.conf": "; someone's own\n",
    }
    fill(programs, **others, **{"shop-mail.conf": WORKER, "shop-worker.conf": WORKER.replace("true", "false")})
    fill(jobs, **{"shop-tell": job.replace("tidy", "tell"), "shop-own": "# someone's own\n"})
    supervisor.programs |= dict.fromkeys(["shop-mail", "shop-worker", "shop-own"], "RUNNING")
    assert shell("supervisor_processes_write shop blue").returncode == 0
    assert {path.name: path.read_text() for path in programs.iterdir()} == {
        **others,
        "shop-worker.conf": WORKER,
        "shop-tidy.conf": tidy,
    }
    assert {path.name for path in jobs.iterdir()} == {"shop-own", "shop-tidy"}
    assert (jobs / "shop-tidy").read_text() == job
    assert (jobs / "shop-tidy").stat().st_mode & 0o777 == 0o644
    assert supervisor.programs == {"shop-worker": "RUNNING", "shop-own": "RUNNING", "shop-tidy": "STOPPED"}
