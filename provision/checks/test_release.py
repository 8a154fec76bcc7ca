"""The active release."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from provision.release import shell
from provision.release.layout import Layout

if TYPE_CHECKING:
    from provision.checks.processes import Process
    from provision.checks.slot import Slot
    from provision.inventory import App

pytestmark = pytest.mark.role("app")


def test_the_active_release_names_its_commit(host: Any, app: App) -> None:
    layout = Layout(app.name)
    path = host.check_output("readlink -f %s", layout.current)
    assert path.startswith(f"{layout.releases}/")
    commit, folder, *links = host.check_output("cat %s", f"{path}/.release").split("\t")
    assert re.fullmatch("[0-9a-f]{40}", commit)
    assert path.endswith(f"-{commit[:7]}")
    assert folder == app.source.folder
    for each in filter(None, ":".join(links).split(":")):
        assert host.check_output("readlink %s", f"{path}/{folder}/{each}") == f"{layout.shared}/{each}"


def test_the_slot_runs_the_active_release(host: Any, app: App, slot: Slot, release: str) -> None:
    tree = Layout(app.name).release(release).folder
    assert host.check_output("readlink -f %s", Layout(app.name).slot(slot.name).release) == tree
    main = f"/proc/{slot.main_process()}"
    shown = host.check_output("tr '\\0' '\\n' <%s | grep ^PROVISION_", f"{main}/environ").splitlines()
    assert f"PROVISION_RELEASE={release}" in shown
    assert f"PROVISION_SLOT={slot.name}" in shown
    folder = host.check_output("readlink %s", f"{main}/cwd")
    assert f"{folder}/".startswith(f"{tree}/"), f"{slot.program} runs in {folder}"


def test_the_app_is_loaded_from_its_release(host: Any, app: App, slot: Slot, release: str) -> None:
    """Its module, and whatever else of the commit is installed, with the folder, environment and Python of the main process."""
    tree = Layout(app.name).release(release)
    main = f"/proc/{slot.main_process()}"
    words = "cd %s && setpriv --reuid=%s --regid=%s --clear-groups env -i %s -I -c %s %s %s %s %s <%s"
    venv = Layout(app.name).slot(slot.name).venv
    commit = host.check_output("cut -f1 %s", tree.stamp)
    told = (shell.ORIGIN, app.module, tree.folder, commit, shell.ORIGIN, f"{main}/environ")
    done = host.run(words, f"{main}/cwd", app.name, app.name, f"{venv}/bin/python", *told)
    assert done.rc == 0, done.stderr.strip().rpartition("because ")[2]


def test_only_one_slot_runs(host: Any, app: App, slot: Slot) -> None:
    assert host.check_output("readlink %s", Layout(app.name).active_slot) == slot.name
    # The previous slot may still be answering its last requests.
    deadline = time.monotonic() + app.timeout + 5
    while not slot.manager.has_ended(slot.other) and not slot.manager.runs(slot.other) and time.monotonic() < deadline:
        time.sleep(0.5)
    state = slot.manager.state(slot.other)
    assert slot.manager.has_ended(slot.other), f"{slot.other} is {state}"
    assert not slot.manager.starts_at_boot(slot.other), f"{slot.other} would start at boot"


def test_the_last_activation_was_finished(host: Any, app: App) -> None:
    mark = host.file(Layout(app.name).unfinished)
    assert not mark.exists, (
        f"the activation of {mark.content_string.strip()} was not finished: invoke deploy finishes it"
    )


def test_nothing_runs_as_the_apps_user_but_its_active_release(
    app: App, slot: Slot, release: str, processes: list[Process]
) -> None:
    manager = slot.manager
    own = filter(None, (slot.program, manager.beside(slot.name)))
    programs = manager.of((*own, *map(manager.process, app.processes)), processes)
    # A job that began before the release became active ends with the release that it began with.
    jobs = manager.of(map(manager.process, app.schedules), processes)

    def belongs(process: Process) -> bool:
        if process.id in programs:
            return process.release in ("", release)
        # Each command of invoke run has a unit of its own.
        run = process.unit.startswith("run-") and process.unit.endswith(".service")
        return process.id in jobs or (run and process.release == release)

    assert [process for process in processes if not belongs(process)] == []
