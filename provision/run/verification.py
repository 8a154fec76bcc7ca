"""Checks of running servers, from outside: pytest runs them, testinfra reaches the servers over SSH."""

import contextlib
import os
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from testinfra.host import Host as Remote

from provision.controller.ssh import Session
from provision.errors import ProvisionError
from provision.inventory import Host
from provision.run.remote import connections

CHECKS = Path(__file__).parents[1] / "checks"


@dataclass(frozen=True, slots=True)
class Check:
    """One check of one server; `outcome` is passed, failed or skipped, `seconds` wall time."""

    host: str
    id: str
    outcome: str
    seconds: float
    reason: str = ""


@dataclass(eq=False)
class Verification:
    """A pytest plugin: the hosts to check, how to reach them, whether checks may kill, and the checks that have run."""

    hosts: Sequence[Host]
    remotes: dict[str, Remote]
    disruptive: bool = False
    checks: list[Check] = field(default_factory=list)
    broken_off: str = ""

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note why the checks ended early."""
        self.broken_off = str(excinfo.value) or "interrupted"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what came of a check."""
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
    """What came of all checks.

    `unreachable` says by host why it could not be checked. `status` is pytest's exit status, None where no host could be
    reached. `broken_off` says why the checks ended early.
    """

    unreachable: dict[str, str]
    status: int | None
    checks: tuple[Check, ...] = ()
    broken_off: str = ""

    @property
    def ok(self) -> bool:
        """Whether every host was reached and passed every check."""
        return not self.unreachable and self.status == 0


def verify(
    hosts: Sequence[Host],
    password: str | None = None,
    only: str = "",
    *,
    disruptive: bool = False,
    quiet: bool = False,
) -> Outcome:
    """Run the checks on all hosts that can be reached; those that kill processes only if they may be `disruptive`.

    `only` is pytest's -k; `quiet` sends pytest's output to stderr.
    """
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
        verification = Verification(reached, remotes, disruptive)
        status = _pytest(verification, only)
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        print(f"no check is named {only}" if only else "there is nothing to check here", file=sys.stderr)
    return Outcome(unreachable, status, tuple(verification.checks), verification.broken_off)


def _pytest(verification: Verification, only: str) -> int:
    # A project's own pytest settings and plugins do not apply here.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    options = ["-c", str(CHECKS / "pytest.ini"), "--rootdir", str(CHECKS), "--confcutdir", str(CHECKS)]
    return int(pytest.main([*options, *(["-k", only] if only else []), str(CHECKS)], plugins=[verification]))


def refusal(host: Host, password: str | None) -> str:
    """Why the login does not become root on the host; empty where it does."""
    session = Session(host, password)
    try:
        output = session.run("id -u")
    except ProvisionError as error:
        return str(error)
    finally:
        session.close()
    return "" if output.stdout.strip() == "0" else f"{host.user} is not root and does not become root: set become: sudo"
