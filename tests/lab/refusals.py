"""A small app whose deploys are refused, and what shows that a refusal left the server as it was."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision import lab
from tests.lab import again
from tests.lab.conftest import LAB, Answer, Controller, seed, shell
from tests.lab.repository import Repository

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab3")
ADDRESS = f"10.213.0.{10 + int(SERVER.removeprefix('lab'))}"
APP = "refusals"
DOMAIN = f"refusals.{SERVER}.test"
REQUIREMENTS = "fastapi==0.165.0\n"
MAIN = """\
import os

from fastapi import FastAPI

app = FastAPI()


@app.get("/health")
@app.get("/")
def greeting() -> dict[str, str]:
    return {"greeting": "hello", "release": os.environ["PROVISION_RELEASE"]}
"""
# What preparing a release may leave: its own files, the run's record, and the folders where files came and went.
PREPARED = (
    f"/etc/{APP}",
    f"/etc/{APP}/env",
    f"/etc/{APP}/gunicorn.conf.py",
    f"/etc/{APP}/units",
    *(f"/etc/{APP}/units/{APP}@.{kind}" for kind in ("service", "socket")),
    f"/srv/{APP}/releases",
    f"/srv/{APP}/build",
    f"/srv/{APP}/venvs",
    "/var/lib/provision",
    "/var/lib/provision/generation",
    "/var/lib/provision/history.jsonl",
    "/var/tmp",
)


@dataclass(frozen=True)
class Declared:
    """Inventories for a small app on the server, each wrong in the one way that a test is about."""

    folder: Path
    repository: Repository

    def __call__(self, app: dict[str, Any] | None = None, **changes: Any) -> Controller:
        """An inventory in which `app` changes the app's values, and `changes` those at the top."""
        content = lab_values()
        content["hosts"] = {SERVER: content["hosts"][SERVER]}
        values = {
            "source": self.repository.url,
            "module": "main:app",
            "domains": ["refusals.{host}.test"],
            "workers": 1,
        }
        content["apps"] = {APP: values | (app or {})}
        path = self.folder / "refusals.yml"
        path.write_text(yaml.safe_dump(content | changes, sort_keys=False))
        return Controller(path)


def lab_values() -> dict[str, Any]:
    """The lab's own inventory, with absolute paths."""
    content: dict[str, Any] = yaml.safe_load((LAB / "lab.yml").read_text())
    for place, name in (
        (content, "known_hosts"),
        (content, "key"),
        (content["tls"], "issuer_ca"),
        (content["tls"], "root_ca"),
    ):
        place[name] = str(LAB / place[name])
    return content


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """The app's repository, which tests commit to."""
    made = Repository.create(f"refusals-{SERVER}", tmp_path_factory.mktemp("repository") / "tree")
    made.commit({"main.py": MAIN, "requirements.txt": REQUIREMENTS})
    yield made
    made.remove()


@pytest.fixture(scope="module")
def bare(repository: Repository, tmp_path_factory: pytest.TempPathFactory, pythons: Path) -> Declared:
    """Inventories for the server, which has just been reset."""
    declared = Declared(tmp_path_factory.mktemp("inventory"), repository)
    seed(declared().inventory, pythons)
    lab.reset(SERVER, used=True)
    return declared


@pytest.fixture(scope="module")
def deployed(bare: Declared) -> Declared:
    """Inventories for the server, with the app serving."""
    bare().deploy(SERVER)
    return bare


def refused(answer: Answer, host: str = SERVER, status: str = "failed") -> str:
    """The error of a host that was refused: one line."""
    assert answer.status == 1, answer.stdout + answer.stderr
    # What a build or an import said is in the document's output, with a traceback where it had one.
    assert "Traceback" not in answer.stderr
    assert answer.host(host)["status"] == status
    error: str = answer.host(host)["error"]
    assert "\n" not in error
    assert "Traceback" not in error
    return error


def tree() -> dict[str, str]:
    """The files that provisioning may touch, and the app's processes: by path, what a change would alter."""
    listed = shell(
        SERVER,
        "find /etc /srv /opt /usr /var/lib/provision /var/cache/provision /var/tmp /var/www "
        "'(' -path '/var/cache/provision/build-*' -o -path '/var/cache/provision/npm-*' -o -path '/srv/*/repository.git' ')' -prune -o "
        "-printf '%p\\t%y %m %u:%g %s %T@ %l\\n' 2>/dev/null; "
        "find /run/provision /home /root -name '.provision*' -o -name 'check.*' 2>/dev/null; "
        f'for slot in blue green; do systemctl show -p MainPID {APP}@$slot | sed "s/^/$slot\\t/"; done',
    )
    return dict(line.partition("\t")[::2] for line in listed.splitlines())


def answer() -> str:
    """What the site answers on the server itself, which no firewall keeps waiting; empty if nothing serves."""
    return lab.shell(SERVER, f"curl -sk -m 20 --resolve {DOMAIN}:443:127.0.0.1 https://{DOMAIN}/").stdout


@contextmanager
def untouched(*but: str) -> Iterator[None]:
    """Nothing on the server has changed afterwards except these paths, and the same release answers as before."""
    with again.comparing("the server's files"):
        before, answered = tree(), answer()
        yield
        after = tree()
        differs = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} - {*but}
        assert not differs, {path: (before.get(path), after.get(path)) for path in sorted(differs)[:20]}
        assert answer() == answered
