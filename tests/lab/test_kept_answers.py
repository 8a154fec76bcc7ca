"""Answers that nginx keeps, because the app lets anybody have them, on a real server."""

import re
from pathlib import Path
from subprocess import run

import pytest

from provision import lab
from provision.release.layout import Layout
from tests.lab.conftest import SUITE, Controller, shell
from tests.lab.refusals import ADDRESS, APP, DOMAIN, REQUIREMENTS, SERVER, Declared
from tests.lab.repository import Repository

pytest_plugins = ("tests.lab.refusals",)

KEPT = Layout(APP).answers
MAIN = """\
import itertools
import os

from fastapi import FastAPI, Response

app = FastAPI()
count = itertools.count()
WORDS = "first"
SAYS = {
    "public": "public, max-age=60",
    "shared": "s-maxage=60",
    "own": "max-age=60",
    "secret": "private, max-age=60",
    "never": "public, no-store",
    "short": "public, max-age=1",
    "cookie": "public, max-age=60",
}


@app.get("/health")
def health():
    return os.environ["PROVISION_RELEASE"]


@app.api_route("/{name}", methods=["GET", "POST"])
def numbered(name: str, response: Response):
    if name in SAYS:
        response.headers["Cache-Control"] = SAYS[name]
    if name == "cookie":
        response.set_cookie("who", "ann")
    return f"{WORDS} {next(count)}"
"""


@pytest.fixture(scope="module")
def keeping(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Controller:
    """The app, with a cache."""
    repository.commit({"main.py": MAIN, "requirements.txt": REQUIREMENTS})
    lab.reset(SERVER, SUITE, used=True)
    declared = Declared(tmp_path_factory.mktemp("inventory"), repository)
    controller = declared({"python": "system", "cache": "10m", "health": {"watch": 0}})
    controller.deploy(SERVER)
    assert controller.plan(SERVER).status == 0
    return controller


def ask(path: str, *options: str) -> tuple[str, str]:
    """What the site answers, and whether that came from nginx."""
    words = ("curl", "-sk", "-m", "20", "--resolve", f"{DOMAIN}:443:{ADDRESS}", "-i", *options)
    said = run((*words, f"https://{DOMAIN}{path}"), capture_output=True, text=True, check=True, timeout=30).stdout
    head, _, body = said.replace("\r\n", "\n").partition("\n\n")
    cache = "".join(re.findall(r"(?m)^x-cache: (.*)$", head))
    for name in ("strict-transport-security", "x-content-type-options"):
        assert head.count(f"\n{name}: ") == 1
    return body, cache


@pytest.mark.parametrize("path", ["/public", "/shared", "/public?page=2"])
def test_what_anybody_may_have_is_asked_of_the_app_once(keeping: Controller, path: str) -> None:
    first = ask(path)
    assert first[1] == "MISS"
    assert ask(path) == (first[0], "HIT")
    assert ask(path, "-H", "Authorization: Bearer other", "-H", "Cookie: a=b") == (first[0], "HIT")


@pytest.mark.parametrize("path", ["/own", "/secret", "/never", "/cookie", "/unsaid"])
def test_what_is_somebodys_or_says_nothing_is_asked_of_the_app_each_time(keeping: Controller, path: str) -> None:
    answers = [ask(path) for _ in range(3)]
    assert len({body for body, _ in answers}) == 3
    assert {cache for _, cache in answers} == {"MISS"}


def test_only_what_is_asked_for_with_get_is_kept(keeping: Controller) -> None:
    answers = [ask("/public", "-X", "POST") for _ in range(3)]
    assert len({body for body, _ in answers}) == 3
    assert {cache for _, cache in answers} == {""}


def test_it_is_kept_for_as_long_as_the_app_says(keeping: Controller) -> None:
    first = ask("/short")[0]
    shell(SERVER, "sleep 2.5")
    assert ask("/short")[0] != first


def test_each_release_has_its_own_and_a_held_one_answers_itself(keeping: Controller, repository: Repository) -> None:
    first = ask("/public")
    assert ask("/public") == (first[0], "HIT")
    repository.commit({"main.py": MAIN.replace('"first"', '"second"')})
    token = keeping.deploy(SERVER, "--hold").host(SERVER)["previews"][APP]
    previewed = [ask("/public", "-H", f"X-Preview: {token}") for _ in range(2)]
    assert [body.split()[0] for body, _ in previewed] == ['"second', '"second']
    assert {cache for _, cache in previewed} == {"BYPASS"}
    assert ask("/public") == (first[0], "HIT")
    assert keeping("promote", SERVER).status == 0
    assert ask("/public")[0].startswith('"second ')
    assert keeping("rollback", SERVER).status == 0
    assert ask("/public")[0].startswith('"first ')


def test_without_the_key_nothing_is_kept_and_what_was_goes(keeping: Controller, tmp_path: Path) -> None:
    assert shell(SERVER, f"stat -c '%U %a' {KEPT}") == "www-data 700"
    text = keeping.inventory.read_text()
    without = keeping.with_text(text.replace("    cache: 10m\n", ""), "without")
    assert text != without.inventory.read_text()
    without.deploy(SERVER)
    assert without.plan(SERVER).status == 0
    assert lab.shell(SERVER, f"test -e {KEPT}").returncode == 1
    keeping.deploy(SERVER)
    shell(SERVER, f"test -d {KEPT}")
    assert keeping("remove", SERVER, "--app", APP, "--yes", "--json").status == 0
    assert lab.shell(SERVER, f"test -e {KEPT}").returncode == 1
