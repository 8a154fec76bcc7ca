"""The toolkit leaves a server, which is then as it was before: its files, packages, users and units."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision import lab
from tests.lab.conftest import Controller, shell
from tests.lab.listing import changed, listing
from tests.lab.refusals import lab_values
from tests.lab.repository import Repository

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab3")
SHOP, TALK = "shop", "talk"
CHANGED = {"timezone": "Europe/Zurich", "locale": "de_DE.UTF-8", "packages": ["rsync"]}
MAIN = """\
from pathlib import Path
import os

from fastapi import FastAPI

app = FastAPI()
(Path(os.environ["HOME"]) / "data").write_text("of the app")


@app.get("/health")
@app.get("/")
def greeting() -> str:
    return "hello"
"""


@dataclass(frozen=True)
class Declared:
    """Inventories of the server."""

    folder: Path
    repository: Repository

    def __call__(self, *apps: str, **changes: Any) -> Controller:
        """One with these apps."""
        content = lab_values()
        content["hosts"] = {SERVER: content["hosts"][SERVER]}
        content["apps"] = {name: self._app(name) for name in apps}
        path = self.folder / f"{'-'.join(('apps', *apps))}.yml"
        path.write_text(yaml.safe_dump(content | changes, sort_keys=False))
        return Controller(path)

    def _app(self, name: str) -> dict[str, Any]:
        values: dict[str, Any] = {
            "source": self.repository.url,
            "module": "main:app",
            "python": "system",
            "workers": 1,
            "health": "/health",
            "domains": [f"{name}.{{host}}.test"],
            "processes": {"worker": "sleep 1000"},
            "schedules": {"tidy": {"at": "03:00", "run": "true"}},
        }
        return values | ({"process_manager": "supervisor"} if name == TALK else {})


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Declared]:
    """Inventories for apps of one repository."""
    made = Repository.create(f"remove-all-{SERVER}", tmp_path_factory.mktemp("repository") / "tree")
    made.commit({"main.py": MAIN, "requirements.txt": "fastapi==0.165.0\n"})
    yield Declared(tmp_path_factory.mktemp("inventory"), made)
    made.remove()
    lab.reset(SERVER)


def test_a_bare_server_is_bare_again(declared: Declared) -> None:
    lab.reset(SERVER)
    before = listing(SERVER)
    own = declared(SHOP, TALK, **CHANGED)
    own.deploy(SERVER)
    assert (
        shell(SERVER, "readlink /etc/localtime; cat /etc/timezone")
        == "/usr/share/zoneinfo/Europe/Zurich\nEurope/Zurich"
    )
    planned = own("remove", SERVER, "--plan", "--json").host(SERVER)
    removed = own("remove", SERVER, "--with-data", SERVER, "--yes", "--json")
    assert removed.status == 0, removed.stdout
    print("\n".join(change["summary"] for change in planned["changes"]))
    assert changed(SERVER, before) == ""
    again = own("remove", SERVER, "--yes")
    assert (again.status, again.stdout.splitlines()[-1]) == (0, f"{SERVER}: nothing to remove of this toolkit")
    assert changed(SERVER, before) == ""
