"""Apps that know nothing of this project, each with requirements of another kind, side by side on one server."""

import base64
import json
import os
import re
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
import yaml

from provision import lab
from provision.controller import python_cache
from provision.inventory import load
from provision.release.venv import SERVER as PINNED
from tests.lab.conftest import LAB, Answer, Controller, https, seed, shell
from tests.lab.index import PACKAGE, WHEEL, Index, serving
from tests.lab.repository import Repository

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab2")
ADDRESS = f"10.213.0.{10 + int(SERVER.removeprefix('lab'))}"
CLIENT = "10.213.0.1"  # this machine, as the servers see it
MAIN = """\
from fastapi import FastAPI, Request, WebSocket
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

app = FastAPI()
# What careful apps do: no other name, and nothing but HTTPS.
app.add_middleware(TrustedHostMiddleware, allowed_hosts=["NAME.SERVER.test"])
app.add_middleware(HTTPSRedirectMiddleware)


@app.get("/")
def greeting(request: Request) -> dict[str, str]:
    return {
        "greeting": "hello from NAME",
        "client": request.client.host,
        "scheme": request.url.scheme,
        "link": str(request.url_for("greeting")),
    }


@app.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    while True:
        await socket.send_text(f"{socket.url.scheme} {socket.client.host} {await socket.receive_text()}")
""".replace("SERVER", SERVER)
PROJECT = """\
[project]
name = "NAME"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["fastapi==0.165.0"]
"""
BUILD = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
"""
OWN = ("gunicorn==23.0.0", "uvicorn==0.35.0")


@dataclass
class App:
    """An app in a repository of its own; `files` are those of its first commit."""

    name: str
    main: str
    files: dict[str, str]
    repository: Repository = field(init=False)

    def commit(self, old: str = "", new: str = "", only: str = "") -> str:
        """Commit the files, with `old` replaced in all, or in one."""
        for name in [only] if only else self.files:
            self.files[name] = self.files[name].replace("NAME", self.name).replace(old or "NAME", new)
        return self.repository.commit(self.files)

    @property
    def module(self) -> str:
        return self.main.removeprefix("src/").removesuffix(".py").replace("/", ".") + ":app"

    @property
    def domain(self) -> str:
        return f"{self.name}.{SERVER}.test"

    @property
    def venv(self) -> str:
        """The folder of the active release's environment."""
        return shell(SERVER, f"readlink -f /srv/{self.name}/current/.venv")

    def answer(self, *options: str) -> dict[str, str]:
        done = https(SERVER, "/", self.domain, *options)
        assert done.returncode == 0, done.stderr
        content: dict[str, str] = json.loads(done.stdout)
        return content

    def installed(self) -> dict[str, str]:
        """The packages in the environment, and their versions."""
        script = "import importlib.metadata as m; print(*(f'{d.name.lower()}=={d.version}' for d in m.distributions()))"
        listed = shell(SERVER, f'{self.venv}/bin/python -c "{script}"').split()
        return dict(item.partition("==")[::2] for item in listed)


def apps_of() -> dict[str, App]:
    made = (
        App(
            "built",
            "src/built/main.py",
            {"pyproject.toml": BUILD + PROJECT, "src/built/__init__.py": "", "src/built/main.py": MAIN},
        ),
        App(
            "listed",
            "main.py",
            {"requirements.txt": "\n".join(["fastapi==0.165.0", "websockets", *OWN, ""]), "main.py": MAIN},
        ),
        App("locked", "locked/main.py", {"pyproject.toml": PROJECT, "locked/main.py": MAIN}),
        App("plain", "plain.py", {"pyproject.toml": PROJECT, "plain.py": MAIN}),
    )
    return {app.name: app for app in made}


NAMES = tuple(apps_of())


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, App]]:
    made = apps_of()
    for app in made.values():
        app.repository = Repository.create(f"{app.name}-{SERVER}", tmp_path_factory.mktemp(app.name) / "tree")
        app.commit()
    yield made
    for app in made.values():
        app.repository.remove()


@dataclass(frozen=True)
class First:
    """A deploy to a bare server: the inventory, and the ids of what was changed."""

    controller: Controller
    changed: list[str]


@pytest.fixture(scope="module")
def first(apps: dict[str, App], tmp_path_factory: pytest.TempPathFactory, pythons: Path) -> First:
    values = yaml.safe_load((LAB / "lab.yml").read_text())
    mirrors = ", ".join(f"{key}: {json.dumps(value)}" for key, value in values.get("mirrors", {}).items())
    path = tmp_path_factory.mktemp("inventory") / "twelve.yml"
    path.write_text(f"""\
hosts: {{{SERVER}: {ADDRESS}}}
user: admin
key: {LAB}/id_ed25519
known_hosts: {LAB}/known_hosts
mirrors: {{{mirrors}}}
tls: {{issuer: "{values["tls"]["issuer"]}", issuer_ca: {LAB}/acme-api-ca.pem}}
apps:
  built:
    source: {apps["built"].repository.url}
    module: built.main:app
    domains: ["built.{{host}}.test"]
    health: /
""")
    seed(path, pythons)
    lab.reset(SERVER)
    controller = Controller(path)
    return First(controller, controller.deploy(SERVER).changed(SERVER))


@pytest.fixture(scope="module")
def all_four(first: First, apps: dict[str, App]) -> Controller:
    """All apps on the server that has the first one already."""
    lock(apps["locked"])
    content: dict[str, Any] = yaml.safe_load(first.controller.inventory.read_text())
    content["apps"] = {
        app.name: {
            "source": app.repository.url,
            "module": app.module,
            "domains": [app.domain],
            "health": "/",
        }
        | ({} if app.name == "built" else {"workers": 1})
        for app in apps.values()
    }
    controller = first.controller.with_text(yaml.safe_dump(content, sort_keys=False))
    answer = controller.deploy(SERVER)
    assert not [change for change in answer.changed(SERVER) if change.endswith(":built")], "the first app is right"
    return controller


def lock(app: App) -> None:
    """Commit a uv.lock, made as its author would, by the uv that is on the server."""
    encoded = base64.b64encode(app.files["pyproject.toml"].encode()).decode()
    app.files["uv.lock"] = shell(
        SERVER,
        f"work=$(mktemp -d) && cd $work && echo {encoded} | base64 -d >pyproject.toml && UV_SYSTEM_CERTS=1 "
        "/opt/uv/*/bin/uv lock --quiet --no-cache --python /opt/pyenv/versions/3.13.5/bin/python && cat uv.lock && rm -r $work",
    )
    app.commit()


def websocket(domain: str, said: str) -> str:
    """What a server answers to one text message (RFC 6455), over TLS to nginx."""
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
    assert {"packages:base", "packages:nginx", "activation:built"} <= set(first.changed)
    assert apps["built"].answer()["greeting"] == "hello from built"


@pytest.mark.parametrize("name", NAMES)
def test_each_app_sees_the_clients_address_and_https_and_not_what_the_client_says_of_itself(
    all_four: Controller, apps: dict[str, App], name: str
) -> None:
    forged = ("-H", "X-Forwarded-For: 203.0.113.9", "-H", "X-Forwarded-Proto: http", "-H", "X-Real-IP: 203.0.113.9")
    assert apps[name].answer(*forged) == {
        "greeting": f"hello from {name}",
        "client": CLIENT,
        "scheme": "https",
        "link": f"https://{apps[name].domain}/",
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_websocket_echoes_through_nginx(all_four: Controller, apps: dict[str, App], name: str) -> None:
    assert websocket(apps[name].domain, "is anyone there?") == f"wss {CLIENT} is anyone there?"


def test_each_app_runs_as_its_own_user_who_cannot_read_what_is_anothers(all_four: Controller) -> None:
    for name in NAMES:
        users = shell(
            SERVER,
            f"ps -o user:32= -p $(cat /sys/fs/cgroup/systemd/system.slice/system-{name}.slice/*/cgroup.procs | paste -sd,)",
        )
        assert set(users.split()) == {name}
    assert lab.shell(SERVER, "runuser -u plain -- cat /etc/locked/env").returncode != 0
    assert lab.shell(SERVER, "runuser -u plain -- ls /srv/locked/shared").returncode != 0


def test_an_apps_own_versions_of_the_server_are_kept_and_others_get_the_pinned_ones(
    all_four: Controller, apps: dict[str, App]
) -> None:
    own = apps["listed"].installed()
    assert {f"{name}=={own[name]}" for name in ("gunicorn", "uvicorn")} == set(OWN)
    pinned = {requirement.replace("[standard]", "") for requirement in PINNED}
    for name in ("built", "locked", "plain"):
        installed = {f"{package}=={version}" for package, version in apps[name].installed().items()}
        assert pinned <= {item.replace("uvicorn_worker", "uvicorn-worker") for item in installed}


def test_a_lock_says_what_is_installed(all_four: Controller, apps: dict[str, App]) -> None:
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


def test_a_second_deploy_of_all_apps_changes_nothing(all_four: Controller) -> None:
    answer = all_four.deploy(SERVER)
    assert (answer.host(SERVER)["status"], answer.changed(SERVER), answer.host(SERVER)["execs"]) == ("ok", [], 2)
    assert all_four.plan(SERVER).status == 0


def test_a_new_commit_changes_the_answers_and_shares_the_venvs_of_the_same_requirements(
    all_four: Controller, apps: dict[str, App]
) -> None:
    before = {name: app.venv for name, app in apps.items()}
    commits = {name: app.commit("hello from", "good morning from", app.main) for name, app in apps.items()}
    releases = all_four.deploy(SERVER).host(SERVER)["releases"]
    for name, app in apps.items():
        assert app.answer()["greeting"] == f"good morning from {name}"
        assert releases[name].endswith(commits[name][:7])
        # A project that is built is a part of its own environment.
        assert (app.venv == before[name]) == (name != "built")


def test_a_changed_requirement_builds_another_venv_for_that_app_alone(
    all_four: Controller, apps: dict[str, App]
) -> None:
    before = {name: app.venv for name, app in apps.items()}
    apps["listed"].commit("websockets", "websockets\nitsdangerous", "requirements.txt")
    apps["plain"].commit('fastapi==0.165.0"', 'fastapi==0.165.0", "itsdangerous"', "pyproject.toml")
    changed = all_four.deploy(SERVER).changed(SERVER)
    assert {change for change in changed if change.startswith("activation:")} == {
        "activation:listed",
        "activation:plain",
    }
    for name, app in apps.items():
        assert (app.venv == before[name]) == (name not in ("listed", "plain"))
        assert ("itsdangerous" in app.installed()) == (name in ("listed", "plain"))
        assert app.answer()["greeting"] == f"good morning from {name}"


def test_when_one_apps_release_fails_those_that_were_switched_in_the_same_deploy_go_back(
    all_four: Controller, apps: dict[str, App]
) -> None:
    content: dict[str, Any] = yaml.safe_load(all_four.inventory.read_text())
    content["apps"]["plain"]["health"] = {"path": "/", "timeout": 4}
    impatient = all_four.with_text(yaml.safe_dump(content, sort_keys=False), "impatient")
    seed(impatient.inventory, python_cache.location(load(all_four.inventory)))
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
    all_four.deploy(SERVER)
    assert apps["built"].answer()["greeting"] == "good evening from built"


@contextmanager
def watched(secret: str) -> Iterator[list[str]]:
    """Where the server shows a secret: meanwhile in process lists and in what anybody can read, afterwards in any file."""
    seen: list[str] = []
    encoded = base64.b64encode(secret.encode()).decode()
    shell(SERVER, f"rm -f /run/watched; echo {encoded} | base64 -d >/run/needle")
    watch = (
        "cd /; rounds=0; while [ ! -e /run/watched ]; do rounds=$((rounds + 1)); "
        "grep -lasF -f /run/needle /proc/[0-9]*/cmdline; "
        "setpriv --reuid=nobody --regid=nogroup --clear-groups "
        "grep -rlasF --exclude=needle -f /run/needle /run /tmp /var/tmp /proc/[0-9]*/environ; "
        "done; grep -rlasF --exclude=needle -f /run/needle /etc /home /opt /root /run /srv /tmp /usr/local /var; "
        "journalctl --no-pager -q | grep -F -f /run/needle; echo $rounds"
    )
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(shell, SERVER, watch)
        try:
            yield seen
        finally:
            shell(SERVER, "touch /run/watched")
    *found, rounds = watching.result().splitlines()
    shell(SERVER, "rm /run/watched /run/needle")
    assert int(rounds) > 10
    seen += found


@dataclass(frozen=True)
class Private:
    """An app with a package of a private index, deployed to a server without uv."""

    index: Index
    controller: Controller
    seen: list[str]
    said: str


@pytest.fixture(scope="module")
def private(all_four: Controller, apps: dict[str, App], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Private]:
    repository = Repository.create(f"private-{SERVER}", tmp_path_factory.mktemp("private") / "tree")
    main = MAIN.replace("from fastapi", "from lab_greeting import greeting as words\nfrom fastapi", 1)
    main = main.replace('"hello from NAME"', "words()").replace("NAME", "private")
    repository.commit({"requirements.txt": f"fastapi==0.165.0\n{PACKAGE}==1.0\n", "main.py": main})
    sealed = Repository.create(f"sealed-{SERVER}", tmp_path_factory.mktemp("sealed") / "tree")
    sealed.commit({name: out_of_reach(text) for name, text in apps["locked"].files.items()})
    shell(SERVER, "rm -r /opt/uv")
    secret = token_hex(16)
    with serving(f"p@ss/{secret}", tls=True) as index:
        content: dict[str, Any] = yaml.safe_load(all_four.inventory.read_text())
        content["mirrors"] |= {"index": index.url(), "ca_bundle": str(LAB / "acme-api-ca.pem")}
        site = {"domains": [f"private.{SERVER}.test"], "health": "/", "workers": 1}
        content["apps"] = {
            "private": {"source": repository.url, "module": "main:app", **site},
            "sealed": {
                **content["apps"]["locked"],
                "source": sealed.url,
                "domains": [f"sealed.{SERVER}.test"],
            },
        }
        controller = all_four.with_text(yaml.safe_dump(content, sort_keys=False), "private")
        planned = controller.plan(SERVER)
        with watched(secret) as seen:
            deployed = controller("deploy", SERVER)
        assert deployed.status == 0, deployed.stdout + deployed.stderr
        answers: tuple[Answer, ...] = (planned, deployed, controller.deploy(SERVER))
        said = "".join(answer.stdout + answer.stderr for answer in answers)
        yield Private(index, controller, [*seen, *(["what the tasks print"] if secret in said else [])], said)
    repository.remove()
    sealed.remove()


def out_of_reach(text: str) -> str:
    """A file of the app locked, for another name, and in a lock no file's place can be reached."""
    return re.sub('url = "[^"]*/', 'url = "https://files.invalid/', text.replace("locked", "sealed"))


def test_the_files_of_a_lock_come_from_the_private_index_and_are_those_of_the_lock(
    private: Private, apps: dict[str, App]
) -> None:
    done = https(SERVER, "/", f"sealed.{SERVER}.test")
    assert json.loads(done.stdout)["greeting"] == "good morning from sealed", done.stderr
    sealed = App("sealed", "sealed/main.py", {})
    same = ("fastapi", "starlette", "pydantic")
    assert [sealed.installed()[name] for name in same] == [apps["locked"].installed()[name] for name in same]


def test_an_app_with_a_package_that_only_a_private_index_has_is_served(private: Private) -> None:
    done = https(SERVER, "/", f"private.{SERVER}.test")
    assert json.loads(done.stdout)["greeting"] == "hello from a package of the private index", done.stderr
    assert {PACKAGE, WHEEL, "fastapi"} <= set(private.index.asked)


def test_the_pinned_tools_come_from_the_private_index_too(private: Private) -> None:
    pinned = {re.split("[=[]", requirement)[0] for requirement in PINNED}
    assert {"uv", "gunicorn", "uvicorn"} <= {"uv", *pinned} <= set(private.index.asked)


def test_the_password_of_the_index_is_in_no_process_list_no_file_and_nothing_that_is_printed(private: Private) -> None:
    assert private.seen == []
    assert "private: venv for the requirements" in private.said
