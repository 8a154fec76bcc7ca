"""Apps that know nothing of this project, each with requirements of another kind, side by side on one server."""

import base64
import os
import re
import socket
import ssl
from typing import Any

import pytest
import yaml

from provision import lab
from provision.release.venv import SERVER as PINNED
from tests.lab.apps import ADDRESS, CLIENT, NAMES, OWN, SERVER, App, First
from tests.lab.conftest import LAB, Controller, seed, shell

pytest_plugins = ("tests.lab.apps",)


def websocket(domain: str, said: str) -> str:
    """Send one text message over a websocket (RFC 6455) through nginx, and return the answer."""
    context = ssl.create_default_context(cafile=str(LAB / "acme-root.pem"))
    with (
        socket.create_connection((ADDRESS, 443), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=domain) as connection,
        connection.makefile("rb") as answers,
    ):
        key = base64.b64encode(os.urandom(16)).decode()
        connection.sendall(
            f"GET /echo HTTP/1.1\r\nHost: {domain}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert answers.readline().startswith(b"HTTP/1.1 101 ")
        while answers.readline() != b"\r\n":
            pass
        mask, payload = os.urandom(4), said.encode()
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        connection.sendall(bytes((0x81, 0x80 | len(payload))) + mask + masked)
        opcode, length = answers.read(2)
        assert opcode == 0x81
        return answers.read(length).decode()


def test_an_app_with_nothing_but_a_pyproject_goes_to_a_bare_server_from_twelve_lines(
    first: First, apps: dict[str, App]
) -> None:
    assert len(first.controller.inventory.read_text().splitlines()) <= 12
    assert not {"gunicorn", "uvicorn"} & set(re.findall(r"\w+", " ".join(apps["built"].files.values())))
    assert {"packages:nginx", "activation:built"} <= set(first.changed)
    assert apps["built"].answer()["greeting"] == "hello from built"


@pytest.mark.parametrize("name", NAMES)
def test_each_app_sees_the_clients_address_and_https_and_not_what_the_client_says_of_itself(
    every_app: Controller, apps: dict[str, App], name: str
) -> None:
    forged = ("-H", "X-Forwarded-For: 203.0.113.9", "-H", "X-Forwarded-Proto: http", "-H", "X-Real-IP: 203.0.113.9")
    assert apps[name].answer(*forged) == {
        "greeting": f"hello from {name}",
        "client": CLIENT,
        "scheme": "https",
        "link": f"https://{apps[name].domain}/",
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_websocket_echoes_through_nginx(every_app: Controller, apps: dict[str, App], name: str) -> None:
    assert websocket(apps[name].domain, "is anyone there?") == f"wss {CLIENT} is anyone there?"


def test_each_app_runs_as_its_own_user_who_cannot_read_what_is_anothers(every_app: Controller) -> None:
    for name in NAMES:
        users = shell(
            SERVER,
            f"ps -o user:32= -p $(cat /sys/fs/cgroup/systemd/system.slice/system-{name}.slice/*/cgroup.procs | paste -sd,)",
        )
        assert set(users.split()) == {name}
    assert lab.shell(SERVER, "runuser -u plain -- cat /etc/locked/env").returncode != 0
    assert lab.shell(SERVER, "runuser -u plain -- ls /srv/locked/shared").returncode != 0


def test_an_apps_own_versions_of_the_server_are_kept_and_others_get_the_pinned_ones(
    every_app: Controller, apps: dict[str, App]
) -> None:
    own = apps["listed"].installed()
    assert {f"{name}=={own[name]}" for name in ("gunicorn", "uvicorn")} == set(OWN)
    pinned = {requirement.replace("[standard]", "") for requirement in PINNED}
    for name in ("built", "locked", "plain"):
        installed = {f"{package}=={version}" for package, version in apps[name].installed().items()}
        assert pinned <= {item.replace("uvicorn_worker", "uvicorn-worker") for item in installed}


def test_a_lock_says_what_is_installed(every_app: Controller, apps: dict[str, App]) -> None:
    locked = dict(
        re.findall(
            r'^name = "([\w-]+)"\nversion = "([\w.]+)"\nsource = \{ registry',
            apps["locked"].files["uv.lock"],
            re.MULTILINE,
        )
    )
    installed = apps["locked"].installed()
    assert {"fastapi", "starlette", "pydantic"} <= locked.keys()
    assert {name: installed[name] for name in ("fastapi", "starlette", "pydantic")}.items() <= locked.items()


def test_a_second_deploy_of_all_apps_changes_nothing(every_app: Controller) -> None:
    answer = every_app.deploy(SERVER)
    assert (answer.host(SERVER)["status"], answer.changed(SERVER), answer.host(SERVER)["execs"]) == ("ok", [], 2)
    assert every_app.plan(SERVER).status == 0


def test_verify_asks_apps_that_lead_to_https_as_nginx_asks_them(every_app: Controller) -> None:
    assert every_app("verify", SERVER, "--json", "--only", "service").failing(SERVER) == set()


@pytest.mark.long
def test_a_new_commit_changes_the_answers_and_shares_the_venvs_of_the_same_requirements(
    every_app: Controller, apps: dict[str, App]
) -> None:
    before = {name: app.venv for name, app in apps.items()}
    commits = {name: app.commit("hello from", "good morning from", app.main) for name, app in apps.items()}
    releases = every_app.deploy(SERVER).host(SERVER)["releases"]
    for name, app in apps.items():
        assert app.answer()["greeting"] == f"good morning from {name}"
        assert releases[name].endswith(commits[name][:7])
        # A project that is built is installed into its own environment.
        assert (app.venv == before[name]) == (name != "built")


@pytest.mark.long
def test_a_changed_requirement_builds_another_venv_for_that_app_alone(
    every_app: Controller, apps: dict[str, App]
) -> None:
    before = {name: app.venv for name, app in apps.items()}
    apps["listed"].commit("websockets", "websockets\nitsdangerous", "requirements.txt")
    apps["plain"].commit('fastapi==0.165.0"', 'fastapi==0.165.0", "itsdangerous"', "pyproject.toml")
    changed = every_app.deploy(SERVER).changed(SERVER)
    assert {change for change in changed if change.startswith("activation:")} == {
        "activation:listed",
        "activation:plain",
    }
    for name, app in apps.items():
        assert (app.venv == before[name]) == (name not in ("listed", "plain"))
        assert ("itsdangerous" in app.installed()) == (name in ("listed", "plain"))
        assert app.answer()["greeting"] == f"good morning from {name}"


@pytest.mark.long
def test_when_one_apps_release_fails_those_that_were_switched_in_the_same_deploy_go_back(
    every_app: Controller, apps: dict[str, App]
) -> None:
    content: dict[str, Any] = yaml.safe_load(every_app.inventory.read_text())
    content["apps"]["plain"]["health"] = {"path": "/", "timeout": 4}
    impatient = every_app.with_text(yaml.safe_dump(content, sort_keys=False), "impatient")
    seed(impatient.inventory, every_app.inventory)
    apps["built"].commit("good morning from", "good evening from", apps["built"].main)
    apps["plain"].commit(apps["plain"].domain, "elsewhere.test", apps["plain"].main)
    answer = impatient("deploy", SERVER, "--json")
    assert answer.status == 1
    error = answer.host(SERVER)["error"]
    assert "was not healthy within 4s (/ answered 400)" in error
    assert error.endswith("; built went back")
    changed = answer.changed(SERVER)
    assert changed.index("check:plain") < changed.index("activation:built") < changed.index("activation:plain")
    for name in ("built", "plain"):
        assert apps[name].answer()["greeting"] == f"good morning from {name}"
    apps["plain"].commit("elsewhere.test", apps["plain"].domain, apps["plain"].main)
    every_app.deploy(SERVER)
    assert apps["built"].answer()["greeting"] == "good evening from built"
