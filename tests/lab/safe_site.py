"""A small app on the server's own Python, with what an inventory can ask for so that its site is safe."""

from dataclasses import dataclass

import pytest

from provision import lab
from tests.lab import refusals
from tests.lab.conftest import SEEDED, Controller, shell
from tests.lab.refusals import SERVER, Declared
from tests.lab.repository import Repository

MAIN = """\
import os

from fastapi import FastAPI
from fastapi.responses import JSONResponse

app = FastAPI()
OWN = {"X-Frame-Options": "DENY", "Content-Security-Policy": "default-src 'none'", "Referrer-Policy": "no-referrer"}
OWN |= {"Strict-Transport-Security": "max-age=60"}


@app.get("/health")
def health():
    return {"greeting": "hello", "release": os.environ["PROVISION_RELEASE"]}


@app.get("/own")
def own():
    return JSONResponse("mine", headers=OWN)


@app.get("/broken")
def broken():
    return JSONResponse("broken", 500)
"""
POLICY = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'"
MARK = "/root/safe-site"


@dataclass
class Kept:
    """The inventory of the server that an earlier module of this session has deployed to."""

    controller: Controller | None = None


KEPT = Kept()


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Controller:
    """The app on a bare server, with static files, a policy of the inventory's and the modern profile."""
    if KEPT.controller and not lab.shell(SERVER, f"test -e {MARK}").returncode:
        return KEPT.controller
    repository = Repository.create(f"safe-{SERVER}", tmp_path_factory.mktemp("repository") / "tree")
    SEEDED.append(repository.path)
    repository.commit({"main.py": MAIN, "requirements.txt": refusals.REQUIREMENTS, "files/a.txt": "a file\n"})
    declared = Declared(tmp_path_factory.mktemp("inventory"), repository)
    tls = refusals.lab_values()["tls"] | {"hsts": "subdomains", "profile": "modern"}
    wanted = {
        "python": "system",
        "static": {"/files": "files"},
        "headers": {"content_security_policy": POLICY},
        "health": {"watch": 0},
    }
    lab.reset(SERVER, used=True)
    shell(SERVER, f"touch {MARK}")
    KEPT.controller = declared(wanted, tls=tls)
    KEPT.controller.deploy(SERVER)
    return KEPT.controller
