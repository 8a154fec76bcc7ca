"""An app whose front end and collected files are built for each release, on a real server."""

import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from provision import lab
from tests.lab.conftest import SUITE, Controller, https, sampled, shell
from tests.lab.front_end import FRONT, LOCK, PACKAGE
from tests.lab.refusals import APP, DOMAIN, MAIN, SERVER, Declared, lab_values, refused, untouched
from tests.lab.repository import Repository

pytest_plugins = ("tests.lab.refusals",)

COLLECT = """\
import pathlib

import fastapi

out = pathlib.Path("collected")
out.mkdir(exist_ok=True)
front = pathlib.Path("frontend/dist/index.txt").read_text()
(out / "all.txt").write_text(f"collected with fastapi {fastapi.__version__}: {front}")
"""
BUILD: list[Any] = [
    {
        "run": ["npm ci", "npm run build"],
        "folder": "frontend",
        "inputs": ["frontend"],
        "outputs": ["frontend/dist"],
        "environment": {"GREETING": "hello, it's me"},
    },
    {"run": "python -m collect", "inputs": ["collect.py"], "outputs": ["collected"]},
]
WANTED = {
    "python": "system",
    "node": "22",
    "build": BUILD,
    "static": {"/front": "frontend/dist", "/collected": "collected"},
    "environment": {"TOKEN": "a-secret-of-the-app"},
    "health": {"watch": 0},
}
FILES = {
    "main.py": MAIN,
    "requirements.txt": "fastapi==0.165.0\n",
    "collect.py": COLLECT,
    "frontend/package.json": PACKAGE,
    "frontend/package-lock.json": LOCK,
    "frontend/build.js": FRONT.replace("WORDS", "first"),
}
# By what a build leaves where its output should be: the commands, and what a deploy says.
LEFT = {
    "a link to a secret": (
        "ln -s /etc/shadow dist",
        "the build made no frontend/dist that is a file or a folder (build.outputs)",
    ),
    "a link": ("ln -s /etc dist", "the build made no frontend/dist that is a file or a folder (build.outputs)"),
    "a pipe": ("mkfifo dist", "the build made no frontend/dist that is a file or a folder (build.outputs)"),
    "a pipe in it": (
        "mkdir -p dist/deep && mkfifo dist/deep/pipe",
        "the build left something that is neither file, folder nor link: frontend/dist/deep/pipe",
    ),
    "a link above it": (
        "cd .. && mv frontend other && ln -s /etc frontend",
        "frontend is no folder, so there is no frontend/dist in it (build.outputs)",
    ),
    "nothing": ("true", "the build made no frontend/dist that is a file or a folder (build.outputs)"),
}
RECORDS = (
    "/var/lib/provision/generation",
    "/var/lib/provision/history.jsonl",
    f"/srv/{APP}/releases",
    f"/srv/{APP}/build",
    "/var/tmp",
)
Make = Callable[..., Controller]


@pytest.fixture(scope="module")
def make(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Inventories for the app, on a server that was bare."""
    repository.commit(FILES)
    lab.reset(SERVER, SUITE, used=True)
    declared = Declared(tmp_path_factory.mktemp("inventory"), repository)
    return lambda top=None, **changes: declared(WANTED | changes, **(top or {}))


def front() -> str:
    """What nginx serves of the front end."""
    return https(SERVER, "/front/index.txt", DOMAIN).stdout


def collected() -> str:
    """What nginx serves of the collected files."""
    return https(SERVER, "/collected/all.txt", DOMAIN).stdout


def builds() -> set[str]:
    """The keys of what the server keeps."""
    return set(shell(SERVER, f"ls /srv/{APP}/builds").split())


def test_the_first_deploy_builds_and_the_next_changes_nothing(make: Make) -> None:
    answer = make().deploy(SERVER)
    assert f"build:{APP}" in answer.changed(SERVER)
    assert front() == "first hello, it's me 42"
    assert collected() == "collected with fastapi 0.165.0: first hello, it's me 42"
    tree = f"/srv/{APP}/current/frontend/dist"
    assert shell(SERVER, f"stat -c '%U:%G %a' {tree} {tree}/index.txt").split() == [
        "root:root",
        "755",
        "root:root",
        "644",
    ]
    assert (
        shell(SERVER, f"ls -A /srv/{APP}/build; ls -d /srv/{APP}/current/frontend/node_modules 2>/dev/null || true")
        == ""
    )
    again = make()("deploy", SERVER, "--json").host(SERVER)
    assert (again["changed"], again["execs"]) == (0, 2)


def test_a_commit_that_leaves_the_inputs_alone_builds_nothing_again(make: Make, repository: Repository) -> None:
    before = builds()
    repository.commit({"notes.txt": "nothing that a build reads"})
    assert f"build:{APP}" in make().deploy(SERVER).changed(SERVER)
    assert builds() == before
    assert front() == "first hello, it's me 42"


@pytest.mark.long
def test_another_front_end_is_built_and_a_rollback_serves_the_old_one(make: Make, repository: Repository) -> None:
    before = builds()
    repository.commit({"frontend/build.js": FRONT.replace("WORDS", "second")})
    make().deploy(SERVER)
    assert front() == "second hello, it's me 42"
    assert collected().endswith(": second hello, it's me 42")
    # The collected files have the front end in them, so both were made again, and the older releases keep theirs.
    assert (len(builds() - before), before <= builds()) == (2, True)
    answer = make()("rollback", SERVER, "--json")
    assert answer.status == 0, answer.stdout
    assert f"build:{APP}" not in answer.changed(SERVER)
    assert front() == "first hello, it's me 42"
    assert f"build:{APP}" not in make().deploy(SERVER).changed(SERVER)
    assert front() == "second hello, it's me 42"


@pytest.mark.long
def test_what_somebody_changed_in_the_built_files_is_put_back_without_a_build(make: Make) -> None:
    before = builds()
    shell(SERVER, f"echo changed > /srv/{APP}/current/frontend/dist/index.txt")
    changed = make().deploy(SERVER).changed(SERVER)
    assert {f"release:{APP}", f"build:{APP}"} <= {*changed}
    assert (front(), builds()) == ("second hello, it's me 42", before)
    assert make().plan(SERVER).status == 0


def test_a_build_that_fails_says_why_and_leaves_nothing(make: Make, repository: Repository) -> None:
    broken = 'console.log("before"); throw new Error("no such colour")\n'
    repository.commit({"frontend/build.js": broken}, branch="broken")
    with untouched("/var/lib/provision", *RECORDS):
        answer = make()("deploy", SERVER, "--json", "--revision", "broken")
    error = refused(answer)
    assert error.startswith(f"{APP}: the build failed at `npm run build`: "), error
    assert any("no such colour" in line for line in answer.host(SERVER)["output"])


def test_a_build_has_no_secret_and_no_way_to_the_app(make: Make, repository: Repository) -> None:
    """What is in its environment, what it can read, and which sockets it can use."""
    look = """\
const fs = require("fs");
const tried = (what) => { try { return what() } catch (error) { return error.code } };
const said = {
  environment: Object.keys(process.env).sort(),
  env: tried(() => fs.readFileSync("/etc/refusals/env", "utf8")),
  shadow: tried(() => fs.readFileSync("/etc/shadow", "utf8")),
  shared: tried(() => fs.readdirSync("/srv/refusals/shared")),
  releases: tried(() => fs.readdirSync("/srv/refusals/releases")),
  uv: tried(() => fs.readdirSync("/var/cache/provision/build-refusals")),
  state: tried(() => fs.readdirSync("/var/lib/provision")),
  run: fs.readdirSync("/run"),
  write: tried(() => fs.writeFileSync("/opt/provision/node/x", "")),
  venv: tried(() => fs.writeFileSync(`${process.env.VIRTUAL_ENV}/lib/x`, "")),
  other: fs.readdirSync(".."),
};
fs.mkdirSync("dist");
fs.writeFileSync("dist/index.txt", JSON.stringify(said));
"""
    repository.commit({"frontend/build.js": look}, branch="looks")
    make(build=BUILD[:1]).deploy(SERVER, "--revision", "looks")
    said = json.loads(front())
    assert not {"TOKEN", "PROVISION_COMMIT", "DATABASE_URL"} & {*said["environment"]}
    assert "GREETING" in said["environment"]
    assert (said["env"], said["shadow"], said["uv"], said["state"]) == ("EACCES",) * 4
    assert (said["shared"], said["releases"]) == ("ENOENT",) * 2
    assert {*said["run"]} <= {"systemd", "resolvconf", "NetworkManager"}
    assert (said["write"], said["venv"]) == ("EROFS",) * 2
    assert said["other"] == ["frontend"]
    assert "a-secret-of-the-app" not in json.dumps(said)


@pytest.mark.parametrize("leaves", sampled([*LEFT], 4))
def test_root_takes_nothing_from_a_build_but_files_and_folders(make: Make, repository: Repository, leaves: str) -> None:
    script, reason = LEFT[leaves]
    repository.commit(
        {"frontend/build.js": f"const {{ execSync }} = require('child_process'); execSync(`{script}`)\n"},
        branch="hostile",
    )
    with untouched("/var/lib/provision", *RECORDS):
        error = refused(make(build=BUILD[:1])("deploy", SERVER, "--json", "--revision", "hostile"))
    assert error == f"{APP}: {reason}"
    assert shell(SERVER, "grep -rl root:.*:0: /srv 2>/dev/null || true") == ""


@pytest.mark.long
def test_a_link_inside_stays_a_link_and_is_not_published(make: Make, repository: Repository) -> None:
    before = front()
    script = "mkdir dist && ln -s /etc/shadow dist/shadow && ln -s /etc/shadow dist/index.txt"
    repository.commit({"frontend/build.js": f"require('child_process').execSync(`{script}`)\n"}, branch="hostile")
    error = refused(make(build=BUILD[:1])("deploy", SERVER, "--json", "--revision", "hostile"))
    assert "is a link that leads out of the commit, and its files would be published" in error
    assert shell(SERVER, f"find /srv/{APP}/static/current/ -name shadow -o -type l") == ""
    assert front() == before


@pytest.mark.long
def test_a_commit_whose_folder_is_a_link_gets_no_output_behind_it(make: Make, repository: Repository) -> None:
    (repository.folder / "out").symlink_to("/etc")
    repository.commit({}, branch="linked")
    (repository.folder / "out").unlink(missing_ok=True)
    build = [{"run": "echo made > frontend/made", "inputs": ["frontend"], "outputs": ["frontend/made"]}]
    made = [*build, {"run": "rm -rf out; mkdir out; echo x > out/made", "outputs": ["out/made"]}]
    error = refused(make(build=made, node=None, static={})("deploy", SERVER, "--json", "--revision", "linked"))
    assert error == f"{APP}: out is no folder, so there is no out/made in it (build.outputs)"
    assert shell(SERVER, "ls /etc/made 2>/dev/null || true") == ""


class _Registry(BaseHTTPRequestHandler):
    """Sends npm on to the registry that it would ask otherwise, and notes what it was asked for."""

    upstream = ""
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(302)
        self.send_header("Location", f"{self.upstream}{self.path}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.long
def test_npm_asks_the_mirror_and_another_node_builds(make: Make, repository: Repository) -> None:
    npm = "PATH=$(echo /opt/provision/node/22.*/bin):$PATH npm"
    _Registry.upstream = shell(SERVER, f"{npm} config get registry").rstrip("/")
    repository.commit({"frontend/build.js": FRONT.replace("WORDS", "third")})
    shell(SERVER, f"rm -rf /var/cache/provision/npm-{APP}")
    with ThreadingHTTPServer(("10.213.0.1", 0), _Registry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://10.213.0.1:{server.server_address[1]}"
        make(top={"mirrors": lab_values()["mirrors"] | {"npm": place}}, node="24").deploy(SERVER)
        server.shutdown()
    assert "/picocolors/-/picocolors-1.1.1.tgz" in _Registry.asked
    assert shell(SERVER, "/opt/provision/node/24.*/bin/node --version").startswith("v24.")
    assert front() == "third hello, it's me 42"


@pytest.mark.long
def test_this_machine_builds_and_sends_what_it_built(make: Make, repository: Repository, tmp_path: Path) -> None:
    """Once for all commits with the same inputs; what a hand changed is put back from what the server got."""
    count = tmp_path / "count"
    program = [f"echo run >>{count}", "mkdir dist", "uname -n >dist/index.txt", "env >dist/env.txt"]
    here = {"run": program, "folder": "frontend", "inputs": ["frontend"], "outputs": ["frontend/dist"]}
    made = make(build=[here], build_on="controller", static={"/front": "frontend/dist"})
    controller = replace(made, environ={"XDG_CACHE_HOME": str(tmp_path / "cache"), "TOKEN": "a-secret-of-the-app"})
    repository.commit({"notes.txt": "built here"})
    planned = controller.plan(SERVER)
    (said,) = (one["summary"] for one in planned.host(SERVER)["changes"] if one["id"] == f"build:{APP}")
    assert said.startswith(f"{APP}: build on this machine, and send: echo run")
    assert not count.exists()
    controller.deploy(SERVER)
    assert (front(), count.read_text()) == (f"{socket.gethostname()}\n", "run\n")
    assert "a-secret-of-the-app" not in https(SERVER, "/front/env.txt", DOMAIN).stdout
    repository.commit({"notes.txt": "built here, and not again"})
    controller.deploy(SERVER)
    assert (front(), count.read_text()) == (f"{socket.gethostname()}\n", "run\n")
    assert shell(SERVER, "find /home /root -name '.provision*'") == ""
    shell(SERVER, f"echo changed > /srv/{APP}/current/frontend/dist/index.txt")
    controller.deploy(SERVER)
    assert (front(), controller.plan(SERVER).status) == (f"{socket.gethostname()}\n", 0)


def test_a_build_that_fails_here_changes_nothing_there(make: Make, repository: Repository) -> None:
    here = {"run": ["echo looks good", "echo no such file >&2; exit 4"], "outputs": ["out"]}
    repository.commit({"notes.txt": "fails"}, branch="fails")
    with untouched():
        answer = make(build=[here], build_on="controller", static={})("deploy", SERVER, "--json", "--revision", "fails")
    error = refused(answer)
    assert error == f"{APP}: the build on this machine failed at `echo no such file >&2; exit 4`: no such file"


@pytest.mark.long
def test_taking_the_key_out_leaves_no_build(make: Make, repository: Repository) -> None:
    for note in ("no build", "and none in the other slot"):
        repository.commit({"notes.txt": note})
        answer = make(build=[], node=None, static={}, keep_releases=1).deploy(SERVER)
        assert f"build:{APP}" not in answer.changed(SERVER)
    assert builds() == set()
    assert shell(SERVER, f"ls -A /srv/{APP}/current/frontend").split() == [
        "build.js",
        "package-lock.json",
        "package.json",
    ]


@pytest.mark.long
def test_after_a_power_cut_during_a_build_the_next_deploy_finds_its_way(make: Make, repository: Repository) -> None:
    repository.commit({"frontend/build.js": "setTimeout(() => {}, 600000)\n"}, branch="slow")
    process = make().start("deploy", SERVER, "--json", "--revision", "slow")
    deadline = time.monotonic() + 300
    while not shell(SERVER, "pgrep -f '^node build.js' || true"):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.5)
    lab.kill(SERVER)
    process.kill()
    process.communicate()
    lab.start(SERVER)
    repository.commit({"frontend/build.js": FRONT.replace("WORDS", "after")})
    make().deploy(SERVER)
    assert front() == "after hello, it's me 42"
    assert (
        shell(SERVER, f"ls -A /srv/{APP}/build; find /srv/{APP}/releases -name '.provision*' -o -name '.new-*'") == ""
    )
    assert make().plan(SERVER).status == 0
