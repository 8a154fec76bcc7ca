"""Apps that know nothing of this project, side by side on one server."""

import base64
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision import lab
from tests.lab.conftest import LAB, Controller, https, seed, shell
from tests.lab.repository import Repository

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab2")
ADDRESS = f"10.213.0.{10 + int(SERVER.removeprefix('lab'))}"
CLIENT = "10.213.0.1"  # this machine, as the servers see it
MAIN = """\
from fastapi import FastAPI, Request, WebSocket
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

app = FastAPI()
# As careful apps do: no other host name, and only HTTPS.
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
        """Commit the files, with `old` replaced in all of them or in `only` one."""
        for name in [only] if only else self.files:
            self.files[name] = self.files[name].replace("NAME", self.name).replace(old or "NAME", new)
        return self.repository.commit(self.files)

    @property
    def module(self) -> str:
        """The app's module and variable, for the inventory."""
        return self.main.removeprefix("src/").removesuffix(".py").replace("/", ".") + ":app"

    @property
    def domain(self) -> str:
        """The app's only domain."""
        return f"{self.name}.{SERVER}.test"

    @property
    def venv(self) -> str:
        """The folder of the active release's environment."""
        return shell(SERVER, f"readlink -f /srv/{self.name}/current/.venv")

    def answer(self, *options: str) -> dict[str, str]:
        """The JSON that the app answers over HTTPS."""
        done = https(SERVER, "/", self.domain, *options)
        assert done.returncode == 0, done.stderr
        content: dict[str, str] = json.loads(done.stdout)
        return content

    def installed(self) -> dict[str, str]:
        """The packages in the environment, and their versions."""
        script = "import importlib.metadata as m; print(*(f'{d.name.lower()}=={d.version}' for d in m.distributions()))"
        listed = shell(SERVER, f'{self.venv}/bin/python -c "{script}"').split()
        return dict(item.partition("==")[::2] for item in listed)


def all_apps() -> dict[str, App]:
    """The four apps, each with requirements of another kind."""
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


NAMES = tuple(all_apps())


def committed(folder: Path, names: Iterable[str] = NAMES) -> Iterator[dict[str, App]]:
    """The apps of these names, each in a repository of its own for as long as this goes on."""
    made = {name: all_apps()[name] for name in names}
    for app in made.values():
        app.repository = Repository.create(f"{app.name}-{SERVER}", folder / app.name)
        app.commit()
    yield made
    for app in made.values():
        app.repository.remove()


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, App]]:
    """All four; a test module with fewer has a fixture of its own."""
    yield from committed(tmp_path_factory.mktemp("apps"))


@dataclass(frozen=True)
class First:
    """A deploy to a server that was reset: its controller, and the ids of its changes."""

    controller: Controller
    changed: list[str]


@pytest.fixture(scope="module")
def first(apps: dict[str, App], tmp_path_factory: pytest.TempPathFactory, pythons: Path) -> First:
    """The app built, deployed from an inventory of twelve lines to a server that was reset."""
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
    lab.reset(SERVER, used=True)
    controller = Controller(path)
    return First(controller, controller.deploy(SERVER).changed(SERVER))


@pytest.fixture(scope="module")
def every_app(first: First, apps: dict[str, App]) -> Controller:
    """All the apps on the server, which has the first one already."""
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
    """Commit a uv.lock, made as its author would make it, with the server's uv."""
    encoded = base64.b64encode(app.files["pyproject.toml"].encode()).decode()
    app.files["uv.lock"] = shell(
        SERVER,
        f"work=$(mktemp -d) && cd $work && echo {encoded} | base64 -d >pyproject.toml && UV_SYSTEM_CERTS=1 "
        "/opt/uv/*/bin/uv lock --quiet --no-cache --python /opt/pyenv/versions/3.13.5/bin/python && cat uv.lock && rm -r $work",
    )
    app.commit()
