"""What a server must hold to, looked at from outside: pytest runs the checks, testinfra reaches the server over SSH."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from testinfra.backend.base import CommandResult
from testinfra.backend.ssh import SshBackend
from testinfra.host import Host as Remote

from provision.controller import become
from provision.controller.ssh import Session
from provision.engine.shell import quote
from provision.errors import AccessDenied, ConnectionLost, Unreachable
from provision.inventory import Host

CHECKS = Path(__file__).parents[1] / "checks"


@dataclass(frozen=True, slots=True)
class Check:
    """One check of one server: passed, failed or skipped, and why."""

    host: str
    id: str
    outcome: str
    seconds: float
    reason: str = ""


@dataclass(eq=False)
class Verification:
    """A pytest plugin: the hosts to check, how to reach them, and what came out."""

    hosts: Sequence[Host]
    remotes: dict[str, Remote]
    checks: list[Check] = field(default_factory=list)
    broken_off: str = ""

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self.broken_off = str(excinfo.value) or "interrupted"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        host = next((value for key, value in report.user_properties if key == "host"), "")
        reason = ""
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            reason = crash.message if crash else str(report.longrepr)
        elif report.skipped and isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
        name = report.nodeid.rpartition("::")[2]
        self.checks.append(Check(str(host), name, report.outcome, round(report.duration, 3), reason))


@dataclass(frozen=True, slots=True)
class Outcome:
    """`unreachable` says why, by host. `status` is pytest's exit status; None where no host could be reached.

    `broken_off` says why the checks ended before their end.
    """

    unreachable: dict[str, str]
    status: int | None
    checks: tuple[Check, ...] = ()
    broken_off: str = ""

    @property
    def ok(self) -> bool:
        return not self.unreachable and self.status == 0

    def document(self, seconds: float) -> dict[str, object]:
        """What --json prints."""
        hosts: dict[str, object] = {
            name: {"status": "unreachable", "checks": [], "error": reason} for name, reason in self.unreachable.items()
        }
        for name in dict.fromkeys(check.host for check in self.checks):
            checks = [check for check in self.checks if check.host == name]
            failed = sum(check.outcome == "failed" for check in checks)
            hosts[name] = {
                "status": "failed" if failed else "ok",
                "checks": [
                    {"id": check.id, "outcome": check.outcome, "seconds": check.seconds, "reason": check.reason}
                    for check in checks
                ],
                "error": f"{failed} of {len(checks)} checks failed" if failed else None,
            }
        document = {"task": "verify", "ok": self.ok, "seconds": round(seconds, 3), "hosts": hosts}
        return {**document, "errors": [self.broken_off]} if self.broken_off else document


def verify(hosts: Sequence[Host], password: str | None = None, only: str = "", quiet: bool = False) -> Outcome:
    """Run the checks on all hosts that can be reached. `only` is pytest's -k; `quiet` moves its output to stderr."""
    if not shutil.which("ssh"):
        return Outcome(
            {host.name: "ssh is not installed on this machine: install OpenSSH's client" for host in hosts}, None
        )
    with ThreadPoolExecutor(20) as pool:
        reasons = dict(
            zip((host.name for host in hosts), pool.map(lambda one: refusal(one, password), hosts), strict=True)
        )
    unreachable = {name: reason for name, reason in reasons.items() if reason}
    for name, reason in unreachable.items():
        print(f"{name}: {reason}", file=sys.stderr)
    reached = [host for host in hosts if host.name not in unreachable]
    if not reached:
        return Outcome(unreachable, None)
    with connections(reached, password) as remotes, contextlib.redirect_stdout(sys.stderr if quiet else sys.stdout):
        verification = Verification(reached, remotes)
        status = _pytest(verification, only)
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        print(f"no check is named {only}" if only else "there is nothing to check here", file=sys.stderr)
    return Outcome(unreachable, status, tuple(verification.checks), verification.broken_off)


def _pytest(verification: Verification, only: str) -> int:
    # What a project has for its own tests - its settings, its plugins - is not for these.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    options = ["-c", str(CHECKS / "pytest.ini"), "--rootdir", str(CHECKS), "--confcutdir", str(CHECKS)]
    return int(pytest.main([*options, *(["-k", only] if only else []), str(CHECKS)], plugins=[verification]))


def refusal(host: Host, password: str | None) -> str:
    """Why nobody becomes root on the host; empty where somebody does."""
    session = Session(host, password)
    try:
        output = session.run("id -u")
    except (Unreachable, AccessDenied, ConnectionLost) as error:
        return str(error)
    finally:
        session.close()
    return "" if output.stdout.strip() == "0" else f"{host.user} is not root and does not become root: set become: sudo"


@contextlib.contextmanager
def connections(hosts: Sequence[Host], password: str | None) -> Iterator[dict[str, Remote]]:
    """testinfra's hosts, by name. Each has one SSH connection, which all of its commands share, until the context ends."""
    with tempfile.TemporaryDirectory(prefix="provision-") as folder:
        backends = {}
        for number, host in enumerate(hosts):
            config = Path(folder, f"{number}.conf")
            config.touch(0o600)
            config.write_text(ssh_config(host))
            backends[host.name] = Backend(host, config, Path(folder, str(number)), password)
        try:
            yield {name: backend.get_remote() for name, backend in backends.items()}
        finally:
            for backend in backends.values():
                backend.close()


def ssh_config(host: Host) -> str:
    """What OpenSSH must know to reach the host as Fabric does; the user's own ssh_config has the rest."""
    lines = [f"User {host.user}", f"Port {host.port}"]
    if host.key:
        lines.append(f"IdentityFile {_path(host.key)}")
    if not host.agent:
        lines.append("IdentityAgent none")
    if host.proxy_jump:
        lines.append(f"ProxyJump {host.proxy_jump}")
    known = [f"UserKnownHostsFile {_path(host.known_hosts)}", "GlobalKnownHostsFile none"] if host.known_hosts else []
    return "\n".join(
        (
            f"Host {host.address}",
            *(f"    {line}" for line in lines),
            "Host *",
            *(f"    {line}" for line in known),
            "    BatchMode yes",
            "    StrictHostKeyChecking yes",
            "    LogLevel ERROR",
            f"    ConnectTimeout {host.connect_timeout}",
            "    ServerAliveInterval 5",
            "    ServerAliveCountMax 4",
            "Include ~/.ssh/config",
            "",
        )
    )


def _path(path: Path) -> str:
    return '"' + str(path.absolute()).replace("%", "%%") + '"'


class Backend(SshBackend):  # type: ignore[misc]
    """testinfra's own, with sudo's password on standard input where sudo wants one, and one line where SSH ends."""

    def __init__(self, host: Host, config: Path, control: Path, password: str | None) -> None:
        hostspec = f"[{host.address}]" if ":" in host.address else host.address
        super().__init__(
            hostspec,
            str(config),
            timeout=host.connect_timeout,
            controlpath=quote(str(control)),
            sudo=become.uses_sudo(host),
        )
        self._name = host.name
        self._config = config
        self._control = control
        self._password = password if become.needs_password(host) else None

    def get_remote(self) -> Remote:
        remote = Remote(self)
        self.set_host(remote)
        return remote

    def get_sudo_command(self, command: str, sudo_user: str | None) -> str:
        return f"{become.sudo(self._password is not None)} /bin/sh -c {quote(command)}"

    def run_local(self, command: str, *args: str) -> CommandResult:
        line = self.encode(self.quote(command, *args))
        stdin = "" if self._password is None else f"{self._password}\n"
        done = subprocess.run(line, shell=True, input=stdin.encode(), capture_output=True, check=False)
        return self.result(done.returncode, line, done.stdout, done.stderr)

    def run_ssh(self, command: str) -> CommandResult:
        try:
            return super().run_ssh(command)
        except RuntimeError as error:
            said = error.args[0].stderr.strip().splitlines() or ["the connection ended"]
            pytest.exit(f"{self._name}: ssh: {said[-1]}", returncode=1)

    def close(self) -> None:
        if self._control.exists():
            words = ["ssh", "-F", str(self._config), "-o", f"ControlPath={self._control}", "-O", "exit", self.host.name]
            subprocess.run(words, capture_output=True, check=False)
