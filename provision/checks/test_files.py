"""Who can read and write which files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from provision.release.layout import Layout

if TYPE_CHECKING:
    from provision import inventory
    from provision.checks.conftest import As
    from provision.checks.slot import Slot
    from provision.inventory import App

pytestmark = pytest.mark.role("app")


def others(declared: inventory.Host, app: App) -> list[str]:
    """Users who must have no access to the app's files."""
    return ["nobody", *(name for name in declared.apps if name != app.name)]


def test_the_app_cannot_write_its_code_its_python_or_its_configuration(host: Any, app: App) -> None:
    layout = Layout(app.name)
    found = host.run(
        "setpriv --reuid=%s --regid=%s --init-groups find %s /opt/pyenv /opt/uv %s -path %s -prune -o ! -type l -writable -print",
        app.name,
        app.name,
        layout.home,
        layout.configuration,
        layout.shared,
    ).stdout.splitlines()
    assert found == [], f"{len(found)} in all"


def test_the_app_can_write_what_outlives_its_releases(succeeds_as: As, app: App) -> None:
    shared = Layout(app.name).shared
    assert succeeds_as(app.name, f"test -w {shared}"), f"{app.name} cannot write {shared}"


def test_the_environment_is_readable_by_root_and_the_app_alone(
    host: Any, declared: inventory.Host, app: App, succeeds_as: As
) -> None:
    paths = host.check_output("find %s -name env", Layout(app.name).configuration).splitlines()
    assert paths, f"{Layout(app.name).configuration} has no environment file"
    for path in paths:
        file = host.file(path)
        assert (f"{file.mode:o}", file.user, file.group) == ("640", "root", app.name), path
        users = (app.name, "www-data", *others(declared, app))
        assert [user for user in users if succeeds_as(user, f"test -r {path}")] == [app.name], path


def test_the_code_is_readable_by_root_and_the_app_alone(declared: inventory.Host, app: App, succeeds_as: As) -> None:
    users = (app.name, "www-data", *others(declared, app))
    for path in (Layout(app.name).current, f"{Layout(app.name).current}/.venv"):
        assert [user for user in users if succeeds_as(user, f"test -r {path}/.")] == [app.name], path


def test_the_deploy_key_is_readable_by_root_alone(
    host: Any, declared: inventory.Host, app: App, succeeds_as: As
) -> None:
    for path in host.check_output("find %s -name deploy_key", Layout(app.name).configuration).splitlines():
        file = host.file(path)
        assert (f"{file.mode:o}", file.user, file.group) == ("600", "root", "root"), path
        users = (app.name, "www-data", *others(declared, app))
        assert not [user for user in users if succeeds_as(user, f"test -r {path}")], path


def test_the_socket_is_in_a_folder_of_roots_that_nginx_can_enter(host: Any, app: App, slot: Slot) -> None:
    folder = host.file(Layout(app.name).sockets)
    assert (f"{folder.mode:o}", folder.user, folder.group) == ("750", "root", "www-data")
    socket = host.file(Layout(app.name).slot(slot.name).socket)
    assert socket.is_socket, f"there is no socket {socket.path}"
    assert (f"{socket.mode:o}", socket.user, socket.group) == ("660", "root", "www-data")


def test_only_nginx_can_reach_the_socket(declared: inventory.Host, app: App, succeeds_as: As) -> None:
    path = Layout(app.name).current_socket
    users = (app.name, "www-data", *others(declared, app))
    assert [user for user in users if succeeds_as(user, f"test -w {path}")] == ["www-data"], path
