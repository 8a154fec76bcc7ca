"""Each check once for every host, and for every app where it asks for one; what it expects is what the inventory says."""

import http.client
import socket
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from provision import inventory
from provision.inventory import App
from provision.release.manager import JOBS, PROGRAMS, UNITS
from provision.resources.certificate import link
from provision.run.verification import Verification

SECONDS = 15
As = Callable[[str, str], bool]


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Without hosts to check, nothing here is a test: `invoke verify` brings them."""
    return None if any(plugins(config)) else True


def plugins(config: pytest.Config) -> list[Verification]:
    return [plugin for plugin in config.pluginmanager.get_plugins() if isinstance(plugin, Verification)]


def verification(config: pytest.Config) -> Verification:
    return plugins(config)[0]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    roles = {marker.args[0] for marker in metafunc.definition.iter_markers("role")}
    hosts = [host for host in verification(metafunc.config).hosts if roles <= set(host.roles)]
    if "app" in metafunc.fixturenames:
        pairs = [pytest.param(host, app, id=f"{host.name}-{app.name}") for host in hosts for app in host.apps.values()]
        metafunc.parametrize(("declared", "app"), pairs)
    else:
        metafunc.parametrize("declared", [pytest.param(host, id=host.name) for host in hosts])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A check that is for no host here is left out, rather than shown as skipped."""
    if not plugins(config):
        return
    items[:] = [item for item in items if isinstance(_declared(item), inventory.Host)]
    for item in items:
        item.user_properties.append(("host", _declared(item).name))


def _declared(item: pytest.Item) -> Any:
    return (
        item.callspec.params.get("declared")
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
        else None
    )


@pytest.fixture
def host(declared: inventory.Host, request: pytest.FixtureRequest) -> Any:
    """The server, as testinfra shows it to root."""
    return verification(request.config).remotes[declared.name]


@pytest.fixture
def succeeds_as(host: Any) -> As:
    """Whether a command succeeds for a user of the server."""

    def succeeds(user: str, command: str) -> bool:
        words = 'setpriv --reuid=%s --regid="$(id -g %s)" --init-groups sh -c %s'
        done = host.run(words, user, user, f"if {command}; then echo yes; else echo no; fi")
        assert done.stdout.strip() in ("yes", "no"), f"{command}, as {user}: {done.stderr.strip()}"
        return bool(done.stdout.strip() == "yes")

    return succeeds


@dataclass(frozen=True)
class Process:
    """A process of the app's user. `unit` is systemd's that it is in, `program` Supervisor's, `release` the one that it
    was started from; "" for none. `line` is its own id, its group's, and those of all that it descends from.
    """

    id: int
    unit: str
    program: str
    release: str
    line: frozenset[int]
    command: str


# USER. A process says in its environment which release it is of; where it has overwritten that, its folder says so.
PROCESSES = r"""
user=$(id -u "$1")
cd /proc
for id in $(grep -lE "^Uid:.*[[:space:]]$user([[:space:]]|$)" [0-9]*/status | cut -d/ -f1); do
    unit=$(grep -oE '[^/]+\.(service|scope)' "$id/cgroup" | tail -n 1)
    said=$(tr '\0' '\n' <"$id/environ")
    program=$(printf '%s\n' "$said" | sed -n 's/^SUPERVISOR_PROCESS_NAME=//p' | head -n 1)
    release=$(printf '%s\n' "$said" | sed -n 's/^PROVISION_RELEASE=//p' | head -n 1)
    folder=$(readlink "$id/cwd")
    case $release$folder in "/srv/$1/releases/"*) release=${folder#"/srv/$1/releases/"} ;; esac
    line=$id one=$id
    while [ "${one:-0}" -gt 1 ]; do
        read -r one group <<END
$(sed -E 's/.*\) [A-Za-z] ([0-9]+) ([0-9]+) .*/\1 \2/' "$one/stat")
END
        if [ "$line" = "$id" ]; then line="$line $group"; fi
        line="$line $one"
    done
    command=$(tr '\0\t\n' '   ' <"$id/cmdline" | cut -c 1-80)
    if [ -n "$command" ]; then printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$id" "$unit" "$program" "${release%%[/ ]*}" "$line" "$command"; fi
done 2>/dev/null
"""


@pytest.fixture
def processes(host: Any, app: App) -> list[Process]:
    """All that runs as the app's user, whoever started it."""
    lines = host.check_output("sh -c %s sh %s", PROCESSES, app.name).splitlines()
    found = []
    for number, unit, program, its_release, ids, command in (line.split("\t") for line in lines):
        found.append(Process(int(number), unit, program, its_release, frozenset(map(int, ids.split())), command))
    return found


@pytest.fixture
def release(host: Any, app: App) -> str:
    """The id of the active release."""
    return str(host.check_output("readlink -f %s", f"/srv/{app.name}/current")).rpartition("/")[2]


@dataclass(frozen=True)
class Manager(ABC):
    """How the app's programs are named, asked after and started. Nothing else here knows what runs them."""

    host: Any
    app: App

    @abstractmethod
    def slot(self, name: str) -> str:
        """The program of a slot."""

    @abstractmethod
    def process(self, name: str) -> str:
        """The program of a process, or of what a schedule runs."""

    @abstractmethod
    def of(self, programs: Iterable[str], processes: Iterable[Process]) -> set[int]:
        """The ids of those processes that are the programs'."""

    @abstractmethod
    def state(self, program: str) -> str:
        """In the manager's own word."""

    @abstractmethod
    def runs(self, program: str) -> bool: ...

    @abstractmethod
    def has_ended(self, program: str) -> bool:
        """For good: it neither runs nor is on its way."""

    @abstractmethod
    def starts_at_boot(self, program: str) -> bool: ...

    @abstractmethod
    def main_process(self, program: str) -> int:
        """0 where none runs."""

    @abstractmethod
    def start(self, program: str) -> None: ...

    @abstractmethod
    def never(self, schedule: str) -> str:
        """Why the schedule has no next time; "" where it has one."""

    @abstractmethod
    def files(self) -> set[str]:
        """What it reads of an app that is as the inventory says."""

    def left_over(self) -> set[str]:
        """What any manager would read of the app, and the inventory no longer has."""
        own = self.app.name
        found = self.host.run(
            "grep -slE %s %s/*.service %s/*.timer %s/*.conf %s/*; find %s -path %s -xtype l",
            f"^[#;] provision: {own}\\.",
            *(UNITS, UNITS, PROGRAMS, JOBS, UNITS, f"*.wants/{own}[-@]*"),
        ).stdout.split()
        return set(found) - self.files()


class Systemd(Manager):
    def slot(self, name: str) -> str:
        return f"{self.app.name}@{name}.service"

    def process(self, name: str) -> str:
        return f"{self.app.name}-{name}.service"

    def of(self, programs: Iterable[str], processes: Iterable[Process]) -> set[int]:
        units = set(programs)
        return {process.id for process in processes if process.unit in units}

    def state(self, program: str) -> str:
        return str(self.host.run("systemctl is-active %s", program).stdout.strip())

    def runs(self, program: str) -> bool:
        return self.state(program) in ("active", "reloading")

    def has_ended(self, program: str) -> bool:
        return self.state(program) in ("inactive", "failed")

    def starts_at_boot(self, program: str) -> bool:
        return bool(self.host.run("systemctl is-enabled %s", program).stdout.strip() == "enabled")

    def main_process(self, program: str) -> int:
        return int(self.host.check_output("systemctl show -p MainPID --value %s", program))

    def start(self, program: str) -> None:
        self.host.run("systemctl reset-failed %s; systemctl start %s", program, program)

    def never(self, schedule: str) -> str:
        timer = f"{self.app.name}-{schedule}.timer"
        if not self.starts_at_boot(timer):
            return f"{timer} would not start at boot"
        if not self.runs(timer):
            return f"{timer} does not run"
        # While the job runs, the next time is not known.
        if self.state(self.process(schedule)) == "activating":
            return ""
        at = self.host.check_output("systemctl show -p NextElapseUSecRealtime --value %s", timer)
        return "" if at else f"{timer} has no next time"

    def files(self) -> set[str]:
        own = self.app.name
        names = [f"{own}@.service", *map(self.process, (*self.app.processes, *self.app.schedules))]
        return {f"{UNITS}/{name}" for name in (*names, *(f"{own}-{name}.timer" for name in self.app.schedules))}


class Supervisor(Manager):
    def slot(self, name: str) -> str:
        return self.process(name)

    def process(self, name: str) -> str:
        return f"{self.app.name}-{name}"

    def of(self, programs: Iterable[str], processes: Iterable[Process]) -> set[int]:
        mains = {name: self.main_process(name) for name in programs}
        # A job may have ended since they were looked at. What has outlived its main process is nobody's.
        ended = {name for name, main in mains.items() if not main}
        running = {*mains.values()} - {0}
        return {process.id for process in processes if process.line & running or process.program in ended}

    def state(self, program: str) -> str:
        """One of Supervisor's; "" where it has loaded no such program."""
        said = self.host.run("supervisorctl status %s", program).stdout.strip()
        assert said.startswith(program), f"Supervisor does not answer: {said}"
        state = str(said.split()[1])
        return state if state != "ERROR" else ""

    def runs(self, program: str) -> bool:
        return self.state(program) == "RUNNING"

    def has_ended(self, program: str) -> bool:
        return self.state(program) in ("STOPPED", "EXITED", "FATAL", "")

    def starts_at_boot(self, program: str) -> bool:
        """A slot is started by the program APP, which reads a link."""
        own = self.app.name
        slots = {self.slot(name): name for name in ("blue", "green")}
        if program not in slots:
            return self._starts(program)
        current = self.host.run("readlink %s", f"/etc/{own}/current").stdout.strip()
        return bool(current == slots[program]) and program in self._known() and self._starts(own)

    def main_process(self, program: str) -> int:
        said = self.host.run("supervisorctl pid %s", program).stdout.strip()
        return int(said) if said.isdigit() else 0

    def start(self, program: str) -> None:
        self.host.run("supervisorctl start %s", program)

    def never(self, schedule: str) -> str:
        job, program = f"{JOBS}/{self.app.name}-{schedule}", self.process(schedule)
        # cron passes over a file that others could have written.
        if not self.host.run("find %s -maxdepth 0 -type f -user root ! -perm /022", job).stdout:
            return f"{job} is not there, or not root's alone to write"
        if not (self.host.service("cron").is_enabled and self.host.service("cron").is_running):
            return "cron does not run, or would not start at boot"
        return "" if self.state(program) else f"Supervisor has not loaded {program}"

    def files(self) -> set[str]:
        own, app = self.app.name, self.app
        programs = [own, *map(self.process, ("blue", "green", *app.processes, *app.schedules))]
        return {f"{PROGRAMS}/{name}.conf" for name in programs} | {f"{JOBS}/{own}-{name}" for name in app.schedules}

    def _known(self) -> dict[str, str]:
        """What its files have now: auto or manual, by program."""
        lines = self.host.run("supervisorctl avail").stdout.splitlines()
        return {line.split()[0]: line.split()[-2] for line in lines if len(line.split()) > 3}

    def _starts(self, program: str) -> bool:
        return bool(self.host.service("supervisor").is_enabled) and self._known().get(program) == "auto"


MANAGERS: dict[str, type[Manager]] = {"systemd": Systemd, "supervisor": Supervisor}


@dataclass(frozen=True)
class Slot:
    """The slot that has the traffic."""

    host: Any
    app: App
    name: str
    manager: Manager

    @property
    def program(self) -> str:
        return self.manager.slot(self.name)

    @property
    def other(self) -> str:
        return self.manager.slot("green" if self.name == "blue" else "blue")

    @property
    def folder(self) -> str:
        return f"/etc/{self.app.name}/{self.name}"

    def main_process(self) -> int:
        found = self.manager.main_process(self.program)
        assert found, f"{self.program} has no main process"
        return found

    def health(self) -> str:
        """The HTTP status of the health check on the slot's own socket; 000 where nothing answers."""
        path = f"/run/{self.app.name}/{self.name}.sock"
        url = f"http://localhost{self.app.health.path}"
        words = "curl -s -o /dev/null -m 10 -w '%%{http_code}' --unix-socket %s %s"
        return str(self.host.run(words, path, url).stdout)

    def processes(self) -> list[tuple[int, set[str]]]:
        """The main process first, then its workers: each one's id, and the ids of the users that it runs as."""
        main = self.main_process()
        shown = self.host.check_output("cat /proc/[0-9]*/status 2>/dev/null | grep -E '^(Pid|PPid|Uid):'").split("\n")
        found = []
        for number, parent, users in zip(shown[::3], shown[1::3], shown[2::3], strict=True):
            if str(main) in (number.split()[1], parent.split()[1]):
                found.append((int(number.split()[1]), set(users.split()[1:])))
        return sorted(found, key=lambda process: process[0] != main)

    def returns(self, before: int, seconds: float) -> bool:
        """Whether another main process is there and healthy in time. One that has ended for good is not waited for."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.manager.has_ended(self.program):
                return False
            if self.manager.main_process(self.program) not in (0, before) and self.health() == "200":
                return True
            time.sleep(0.2)
        return False


@pytest.fixture
def slot(host: Any, app: App) -> Slot:
    target = host.run("readlink %s", f"/run/{app.name}/current.sock").stdout.strip()
    name = target.removesuffix(".sock")
    assert name in ("blue", "green"), f"/run/{app.name}/current.sock leads to no slot: {target or 'it is not there'}"
    manager = host.run("cat %s", f"/etc/{app.name}/{name}/manager").stdout.strip() or "systemd"
    return Slot(host, app, name, MANAGERS[manager](host, app))


@dataclass(frozen=True)
class Site:
    """A host's web server, as clients reach it. `trusted` are the certificates that end a chain: a file's text, or the system's.

    `forwarded` are the server's ports that have another number at the address.
    """

    address: str
    forwarded: dict[int, int] = field(repr=False)
    trusted: str | None = field(repr=False)

    def careful(self) -> ssl.SSLContext:
        """A client that checks the certificate."""
        context = ssl.create_default_context(cadata=self.trusted)
        if self.trusted is not None:
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    def careless(self) -> ssl.SSLContext:
        """A client that takes any certificate."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context

    def dial(self, port: int) -> socket.socket:
        port = self.forwarded.get(port, port)
        try:
            return socket.create_connection((self.address, port), SECONDS)
        except OSError as error:
            pytest.fail(f"{self.address} port {port}: {error.strerror or error}", pytrace=False)

    def connect(self, domain: str, context: ssl.SSLContext) -> ssl.SSLSocket:
        plain = self.dial(443)
        try:
            return context.wrap_socket(plain, server_hostname=domain)
        except BaseException:
            plain.close()
            raise

    def certificate(self, domain: str) -> bytes:
        """The certificate that is served, trusted or not, in DER."""
        with self.connect(domain, self.careless()) as connection:
            return connection.getpeercert(binary_form=True) or b""

    def https(self, domain: str, path: str) -> http.client.HTTPResponse:
        """The answer, to a client that takes any certificate: that one is checked on its own."""
        connection = http.client.HTTPSConnection(domain, timeout=SECONDS)
        connection.sock = self.connect(domain, self.careless())
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse()

    def http(self, domain: str, path: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(domain, timeout=SECONDS)
        connection.sock = self.dial(80)
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse()


@pytest.fixture
def acme(declared: inventory.Host) -> bool:
    """Whether certificates come from an ACME authority."""
    return declared.tls.issuer not in ("self-signed", "files") and "tls" in declared.roles


@pytest.fixture
def site(declared: inventory.Host, host: Any, app: App, acme: bool) -> Site:
    # A host behind a jump host has an address for those who jump; its clients come by name.
    address = app.domains[0] if declared.proxy_jump else declared.address
    site = partial(Site, address, declared.forwarded)
    given = declared.tls.issuer == "files" and "tls" in declared.roles
    if not acme and not given:
        return site(host.check_output("cat %s", f"/etc/ssl/provision/placeholder/{app.name}/fullchain.pem"))
    if declared.tls.root_ca:
        return site(declared.tls.root_ca.read_text())
    if declared.tls.issuer == "letsencrypt-staging":
        return site(host.check_output("cat %s", f"{link(app.name)}/fullchain.pem"))
    return site(None)
