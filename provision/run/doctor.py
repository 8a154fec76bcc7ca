"""A look at hosts before anything is changed: all that would stop a deploy or mar it, in two execs a host."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from paramiko.ssh_exception import SSHException

from provision import roles
from provision.controller.connection import reason
from provision.controller.ssh import Session
from provision.engine.facts import SYSTEM, Facts
from provision.engine.plan import examine
from provision.engine.resource import Finding
from provision.errors import PlanError, ProvisionError
from provision.inventory import Host
from provision.run import outside
from provision.run.gather import gather, with_pythons
from provision.run.introduce import introduce, needed
from provision.run.look import observe, read_facts
from provision.run.progress import locked
from provision.run.request import Request


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found on a host, or in one line why it could not be looked at."""

    host: str
    findings: tuple[Finding, ...] = ()
    error: str | None = None
    execs: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing stops a deploy."""
        return self.error is None and all(one.level != "stop" for one in self.findings)


def diagnose(request: Request) -> tuple[Diagnosis, ...]:
    """Look at all hosts of the request, side by side."""
    with ThreadPoolExecutor(max_workers=20) as workers:
        return tuple(workers.map(lambda host: _diagnosis(request, host), request.hosts))


def _diagnosis(request: Request, host: Host) -> Diagnosis:
    session = Session(host, request.password)
    try:
        with TemporaryDirectory(prefix="provision-") as folder:
            found = _findings(request, host, session, lambda: Path(folder))
        return Diagnosis(host.name, found, execs=session.execs)
    except ProvisionError as problem:
        return Diagnosis(host.name, error=str(problem), execs=session.execs)
    except (OSError, EOFError, SSHException) as problem:
        return Diagnosis(host.name, error=f"the connection failed: {reason(problem)}", execs=session.execs)
    finally:
        session.close()


def _findings(request: Request, host: Host, session: Session, folder: Callable[[], Path]) -> tuple[Finding, ...]:
    try:
        facts = read_facts(session)
        host, _ = with_pythons(host, facts, {})
        wanted = gather(request, host, facts, {}, folder)
        if needed(host, request.inventory):
            known = introduce({host.name: host}, {host.name: facts}, request.inventory)[host.name]
            host, wanted = known.host, replace(wanted, verifiers=known.verifiers)
        resources = request.roles(host, facts, wanted)
    except PlanError as error:
        return (Finding("server", "stop", error.what, error.fix),)
    seen = observe(session, resources)
    found = examine(resources, seen)
    busy = (Finding("lock", "warn", locked(seen.lock)),) if seen.lock else ()
    fine = roles.fine(resources, {one.check for one in found if one.level == "stop"})
    waits = (session.waits,) if session.waits else ()
    seen_outside = outside.look(host, roles.serving(host, facts), request.inventory.hosts.values())
    return (_server(facts), *busy, *waits, *fine, *found, *seen_outside)


def _server(facts: Facts) -> Finding:
    system = facts[SYSTEM]
    what = f"{system.system} {system.version}, {system.architecture}, {system.cpus} CPUs, {system.memory // 1024**2} MB of memory"
    return Finding("server", "ok", what)
