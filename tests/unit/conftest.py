"""A host and its facts made from a real inventory, and scripts run by the real shell of this machine."""

from __future__ import annotations

import grp
import os
import pwd
import signal
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingUnixStreamServer
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from provision.engine import apply, probe
from provision.engine.facts import SYSTEM, Facts, System
from provision.engine.resource import Change, Ref
from provision.engine.shell import joined
from provision.inventory import App, Source, load
from provision.release.choice import release_id
from provision.release.database_login import DATABASES, Databases
from provision.release.facts import (
    HARDENED,
    KNOWN,
    MANAGED,
    MIGRATIONS,
    PREVIEWS,
    PUSHED,
    RELEASES,
    ManagedFile,
    PreviewedRelease,
    ServerRelease,
)
from provision.release.present import PRESENT, PresentApp
from provision.resources.nginx import NGINX, Nginx
from provision.resources.python import BUILT
from provision.resources.redis import CACHES, Found
from provision.roles.wanted import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from provision.engine.resource import Resource, State
    from provision.inventory import Host

TEN_LINES = """\
hosts:
  web1:
    address: 203.0.113.10
apps:
  shop:
    source: https://git.example.com/shop.git
    module: shop.main:app
    domains: [shop.example.com, www.example.com]
    environment:
      GREETING: hello
"""
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SERVER = System(
    system="debian",
    version="12",
    architecture="x86_64",
    cpus=2,
    memory=2 * 1024**3,
    login="root",
    home="/root",
    now=datetime(2026, 11, 21, 23, 5, tzinfo=UTC),
)


class Known(NamedTuple):
    """What roles need beside the host: what its server said, and what the controller wants there."""

    facts: Facts
    wanted: Wanted


@pytest.fixture
def make_host(tmp_path: Path) -> Callable[..., Host]:
    """The host web1 of an inventory."""

    def make(text: str = TEN_LINES, environ: Mapping[str, str] | None = None, name: str = "web1") -> Host:
        path = tmp_path / "prod.yml"
        path.write_text(text)
        return load(path, environ or {}).hosts[name]

    return make


@pytest.fixture
def make_known() -> Callable[..., Known]:
    """A Debian 12 server's facts, and the commit that is wanted there; some of it changed."""

    def make(
        pythons: Collection[str] = (),
        releases: tuple[ServerRelease, ...] = (),
        previews: Mapping[str, tuple[str, str]] | None = None,
        managed: Collection[tuple[str, str]] = (),
        pushed: Mapping[str, str] | None = None,
        present: Collection[PresentApp] = (),
        hardened: Collection[str] = (),
        nginx: Nginx | None = None,
        databases: Databases | None = None,
        caches: Mapping[str, Found] | None = None,
        commits: Mapping[str, str] | None = None,
        wanted: Mapping[str, Any] | None = None,
        **server: Any,
    ) -> Known:
        facts = Facts(
            {
                SYSTEM: replace(SERVER, **server),
                BUILT: frozenset(pythons),
                RELEASES: releases,
                PREVIEWS: {app: PreviewedRelease(*one) for app, one in (previews or {}).items()},
                MANAGED: tuple(ManagedFile(*one) for one in managed),
                PUSHED: dict(pushed or {}),
                MIGRATIONS: (),
                KNOWN: (),
                DATABASES: databases or Databases(),
                HARDENED: frozenset(hardened),
                PRESENT: tuple(present),
                NGINX: nginx or Nginx(),
                CACHES: dict(caches or {}),
            }
        )
        commits = {"shop": COMMIT} if commits is None else commits
        ids = {app: release_id(_app(app), facts, commit) for app, commit in commits.items()}
        return Known(facts, Wanted(commits=commits, releases=ids, **(wanted or {})))

    return make


def _app(name: str) -> App:
    source = Source(repository="https://git.example.com/app.git")
    return App(name=name, source=source, module="app:app", domains=["app.example.com"])


def planned(*names: str) -> dict[Ref, Change]:
    """Changes that are planned already, by what their resources are called (KIND:NAME)."""
    refs = [Ref(*name.split(":", 1)) for name in names]
    return {ref: Change(ref, "", "") for ref in refs}


@pytest.fixture
def me() -> tuple[str, str]:
    """The user and group that the tests run as."""
    return pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name


Run = subprocess.CompletedProcess[str]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What stands for a server's root folder in scripts; commands in its bin/ come first."""
    return tmp_path


@pytest.fixture
def stand_in(root: Path) -> Callable[[str, str], Path]:
    """Puts a script in place of a command."""

    def put(name: str, script: str) -> Path:
        path = root / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return put


@pytest.fixture
def owners(root: Path, stand_in: Callable[[str, str], Path]) -> Callable[[], list[str]]:
    """The calls of chown, as the users of a server are not there in a test."""
    stand_in("chown", f"echo \"$*\" >>'{root}/owners'")
    stand_in("install", 'mkdir -p "$8" && chmod "$3" "$8"; echo "$5:$7 $8" >>\'' + f"{root}/owners'")
    return lambda: (root / "owners").read_text().splitlines()


@pytest.fixture
def sh(root: Path) -> Callable[..., Run]:
    """A script run by sh, with `root` for the server's root folder."""

    def run(script: str, **options: Any) -> Run:
        return subprocess.run(
            ("sh", "-s"),
            input=script,
            capture_output=True,
            text=True,
            timeout=20,
            env={**os.environ, "PROVISION_ROOT": str(root)},
            **options,
        )

    return run


@pytest.fixture
def call(sh: Callable[..., Run]) -> Callable[..., Run]:
    """Shell functions of resource modules, called as in a change."""

    def run(modules: list[Any], script: str) -> Run:
        libraries = joined(*(module.LIBRARY for module in (apply, *modules)))
        return sh(f"{libraries}set -eu\nmain() {{\n{script}\n}}\nmain </dev/null\n")

    return run


@pytest.fixture
def make(sh: Callable[..., Run]) -> Callable[..., Run]:
    """A change, made for real."""

    def run(change: Change | None) -> Run:
        assert change is not None
        return sh(f"{joined(apply.LIBRARY, change.library)}set -eu\nmain() {{\n{change.script}\n}}\nmain </dev/null\n")

    return run


@pytest.fixture
def observe(sh: Callable[..., Run]) -> Callable[..., tuple[State, ...]]:
    """The states of resources, probed for real."""

    def run(*resources: Resource, **options: Any) -> tuple[State, ...]:
        ran = sh(probe.script(resources), **options)
        assert ran.returncode == 0
        return probe.parse(ran.stdout, len(resources)).states

    return run


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """git, with no configuration but its own; returns what it prints."""
    for name, value in {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "test",
        "GIT_AUTHOR_EMAIL": "test@example.com",
        "GIT_COMMITTER_NAME": "test",
        "GIT_COMMITTER_EMAIL": "test@example.com",
    }.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str, folder: Path) -> str:
        ran = subprocess.run(("git", *arguments), cwd=folder, capture_output=True, text=True, check=True, timeout=20)
        return ran.stdout.strip()

    return run


@pytest.fixture
def repository(tmp_path: Path, git: Callable[..., str]) -> Path:
    """A repository with one commit on the branch main."""
    folder = tmp_path / "repository"
    (folder / "app").mkdir(parents=True)
    (folder / "app" / "main.py").write_text("app = None\n")
    git("init", "--quiet", "--initial-branch=main", folder=folder)
    git("add", ".", folder=folder)
    git("commit", "--quiet", "--message=first", folder=folder)
    return folder


@dataclass
class Units:
    """What stands for systemctl: a unit is active once it is in `running`, and each call is a line of `calls`.

    Each service that runs has the same main process, with one worker. What else `show` says is in `properties`.
    """

    folder: Path
    main: subprocess.Popen[str]
    worker: int

    def start(self, *names: str) -> None:
        for name in names:
            (self.folder / "running" / name).touch()

    def serve(self, slot: str) -> None:
        """Start a slot of the app shop, with its socket."""
        self.start(f"shop@{slot}.socket", f"shop@{slot}.service")

    @property
    def running(self) -> set[str]:
        return {path.name for path in (self.folder / "running").iterdir()}

    @property
    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []


SYSTEMCTL = """\
#!/bin/sh
cd "${0%/*}"
echo "$*" >>calls
verb=$1 quiet= now= value= asked= names= last=
shift
for word; do
    case $last,$word in
    -p,*) asked="$asked $word" ;;
    *,--quiet) quiet=yes ;;
    *,--now) now=yes ;;
    *,--value) value=yes ;;
    *,-*) ;;
    *) names="$names $word" ;;
    esac
    last=$word
done
for unit in $names; do
    state=inactive enabled=enabled main=0
    if [ -e "running/$unit" ]; then state=active main=$(cat main); fi
    if [ -e "disabled/$unit" ]; then enabled=disabled; fi
    case $verb in
    is-active) if [ -z "$quiet" ]; then echo "$state"; fi; [ "$state" = active ] || exit 3 ;;
    is-enabled) [ "$enabled" = enabled ] || exit 1 ;;
    start | restart) : >"running/$unit" ;;
    stop) rm -f "running/$unit" ;;
    enable) rm -f "disabled/$unit" ;;
    disable) : >"disabled/$unit"; if [ -n "$now" ]; then rm -f "running/$unit"; fi ;;
    show)
        for property in $asked; do
            case $property in
            Id) found=$unit ;;
            ActiveState) found=$state ;;
            UnitFileState) found=$enabled ;;
            NeedDaemonReload) found=no ;;
            MainPID) found=$main ;;
            *) found=$(cat "properties/$property" 2>/dev/null) ;;
            esac
            if [ -n "$value" ]; then echo "$found"; else echo "$property=$found"; fi
        done
        ;;
    esac
done
"""


@pytest.fixture
def units(root: Path) -> Iterator[Units]:
    """systemd is not asked in these tests: what stands for systemctl answers as it does. journalctl has no lines."""
    main = subprocess.Popen(("sh", "-c", "sleep 60 & echo $!; wait"), stdout=subprocess.PIPE, text=True)
    assert main.stdout
    found = Units(root / "bin", main, int(main.stdout.readline()))
    for name in ("running", "disabled", "properties"):
        (found.folder / name).mkdir(parents=True)
    (found.folder / "main").write_text(f"{main.pid}\n")
    for name, script in (("systemctl", SYSTEMCTL), ("journalctl", "#!/bin/sh\n")):
        (found.folder / name).write_text(script)
        (found.folder / name).chmod(0o755)
    yield found
    for process in (found.worker, main.pid):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    main.communicate()


@dataclass
class Health:
    """An app that answers over a socket: the statuses in turn, the last one for ever. `asked` are the requests' heads."""

    path: Path
    statuses: list[int]
    asked: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def health() -> Iterator[Callable[..., Health]]:
    """Apps that answer over sockets of the test's own."""
    begun: list[ThreadingUnixStreamServer] = []

    def start(path: Path, *statuses: int) -> Health:
        app = Health(path, list(statuses or (200,)))

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                app.asked.append({"path": self.path, **{name.lower(): value for name, value in self.headers.items()}})
                self.send_response(app.statuses.pop(0) if len(app.statuses) > 1 else app.statuses[0])
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None: ...

        path.parent.mkdir(parents=True, exist_ok=True)
        begun.append(server := ThreadingUnixStreamServer(str(path), Handler))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return app

    yield start
    for server in begun:
        server.shutdown()
        server.server_close()
