"""One task on one host: facts, probe, plan, apply, and what became of it."""

import getpass
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Literal, Protocol

from provision.controller import commits as revision
from provision.controller import known_hosts, python_cache
from provision.controller.redact import Mask
from provision.controller.ssh import Agent, Session, agent_has_keys
from provision.engine import apply, facts, probe
from provision.engine.apply import Event
from provision.engine.facts import Facts
from provision.engine.plan import Plan, plan
from provision.engine.probe import Lock
from provision.engine.resource import Change, Phase, Resource, Transfer
from provision.errors import AccessDenied, CacheError, ConnectionLost, PlanError, ProbeError, RunError, Unreachable
from provision.inventory import Host, Inventory
from provision.resources.python import OUTBOX
from provision.roles.app import release_id

Roles = Callable[[Host, Facts], tuple[Resource, ...]]
Status = Literal["ok", "changed", "failed", "unreachable"]
RECONNECT_SECONDS = 300
NOTICE = "notice: "


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a host. `ok`, `changed`, `failed` and `skipped` count resources; `seconds` is wall time.

    `took` has the seconds of each change that was made, by its id; `previews` the token of each app's release that is
    held; `notices` is what changes had to say to whoever reads this.
    """

    host: str
    status: Status
    ok: int = 0
    changed: int = 0
    failed: int = 0
    skipped: int = 0
    execs: int = 0
    seconds: float = 0.0
    releases: Mapping[str, str] = field(default_factory=dict)
    previews: Mapping[str, str] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    took: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    output: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


class Watcher(Protocol):
    """Who is told what happens, from many threads."""

    def planned(self, host: str, plan: Plan) -> None: ...
    def sent(self, host: str, change: Change, done: int, total: int) -> None: ...
    def happened(self, host: str, plan: Plan, event: Event) -> None: ...
    def reconnecting(self, host: str, reason: str) -> None: ...
    def finished(self, result: Result) -> None: ...


@dataclass(slots=True)
class Run:
    """One task on one host."""

    task: str
    inventory: Inventory
    host: Host
    roles: Roles
    commits: Mapping[str, Future[str]]
    applies: bool
    watcher: Watcher
    password: str | None = None
    status: Status = "ok"
    error: str | None = None
    output: tuple[str, ...] = ()
    seconds: float = 0.0
    session: Session = field(init=False)
    folder: TemporaryDirectory[str] | None = None
    plan: Plan | None = None
    run: str = ""
    done: int = 0
    failed: int = 0
    broken: Phase | None = None
    begun: float = 0.0
    took: dict[str, float] = field(default_factory=dict)
    releases: dict[str, str] = field(default_factory=dict)
    previews: dict[str, str] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session = Session(self.host, self.password)

    def __call__(self) -> Result:
        """All of it, for one host alone."""
        steps = (self.make_plan, self.apply) if self.applies else (self.make_plan,)
        all(self.attempt(step) for step in steps)
        return self.result()

    def attempt(self, step: Callable[[], None]) -> bool:
        """Take a step unless one has failed; what goes wrong becomes the result."""
        if self.error is not None:
            return False
        begun = time.monotonic()
        try:
            step()
        except Unreachable as problem:
            self.status, self.error = "unreachable", str(problem)
        except (PlanError, AccessDenied, ConnectionLost, ProbeError, CacheError) as problem:
            self.status, self.error = "failed", str(problem)
        except RunError as problem:
            self.status, self.error, self.output = "failed", str(problem), problem.output
        finally:
            self.seconds += time.monotonic() - begun
        return self.error is None

    def result(self) -> Result:
        """What has become of the host; the connection ends."""
        self.session.close()
        if self.folder is not None:
            self.folder.cleanup()
        planned = self.plan.changes if self.plan else ()
        changed = self.done if self.applies else len(planned)
        mask = Mask(self.host)
        result = Result(
            host=self.host.name,
            status="changed" if self.error is None and changed else self.status,
            ok=self.plan.total - len(planned) if self.plan else 0,
            changed=changed,
            failed=self.failed,
            skipped=len(planned) - changed - self.failed,
            execs=self.session.execs,
            seconds=round(self.seconds, 3),
            releases=self.releases,
            previews={app: token for app, token in self.previews.items() if token},
            changes=planned,
            took=self.took,
            error=mask(self.error) if self.error else None,
            output=tuple(map(mask, self.output)),
            notices=tuple(self.notices),
        )
        self.watcher.finished(result)
        return result

    def make_plan(self) -> None:
        """Facts, probe, plan: two execs, and nothing is changed."""
        known = self._facts()
        resources = self.roles(self.host, known)
        answer = self.session.run(probe.script(resources))
        try:
            seen = probe.parse(answer.stdout, len(resources))
        except ProbeError as error:
            raise ProbeError(f"{error}; {answer.stderr.strip()[-300:]}") from None
        if seen.lock and self.applies:
            raise RunError(_held(seen.lock))
        self.plan = plan(resources, seen)
        self.watcher.planned(self.host.name, self.plan)
        asks = next((one for one in self.plan.changes if one.agent), None)
        if asks and self.applies and not agent_has_keys():
            raise RunError(
                f"{asks.summary}: forward_agent is set, and there is no SSH agent with a key on this machine: "
                "start one with ssh-agent, and ssh-add a key that opens the repository"
            )

    def for_phase(self, phase: Phase | None) -> Plan:
        """What is to do in one phase, or in all. A host that could not be looked at has nothing to do."""
        return self.plan.for_phase(phase, self.run) if self.plan else Plan((), 0, "")

    def apply(self, phase: Phase | None = None, elsewhere: bool = False) -> None:
        """Make the changes of one phase, or of all, in one exec; with `elsewhere`, only what is left to do where another host did the work."""
        part = self.for_phase(phase)
        if elsewhere:
            part = replace(
                part, changes=tuple(replace(one, script=one.follower_script or one.script) for one in part.changes)
            )
        if not part.changes:
            return
        self._upload(part)
        made = len(self.took)
        try:
            self._apply(part)
        finally:
            self._fetch(one.download for one in part.changes[: len(self.took) - made] if one.download)

    def roll_back(self, reason: str = "") -> None:
        """Undo the activations that were made; the host counts as failed, for `reason` or for what failed on it."""
        undone, made = self.for_phase("activate").undone(self.took, self.run), self.done
        if not undone.changes:
            return
        error, output, failed = self.error, self.output, self.failed
        self.error = None
        if self.attempt(partial(self._apply, undone)):
            apps = " and ".join(change.id.partition(":")[2] for change in reversed(undone.changes))
            self.error = f"{error}; {apps} went back" if error else f"went back to the release before: {reason}"
            self.output = output
            self.done = made - len(undone.changes)
            self.previews = {}
        self.status, self.failed = "failed", max(failed, self.failed)

    def skip(self, reason: str) -> None:
        """The rest of the plan is not done."""
        if self.error is None and self.plan and self.done < len(self.plan.changes):
            self.status, self.error = "failed", f"not activated: {reason}"

    def _facts(self) -> Facts:
        answer = self.session.run(facts.script())
        if answer.status:
            raise RunError(
                f"the server cannot run a shell script as root: {answer.stderr.strip()[-300:] or answer.status}"
            )
        known = facts.parse(answer.stdout)
        known = replace(known, cache=python_cache.location(self.inventory))
        if known.cache and self.applies:
            packed = {name: python_cache.archive(known, name) for name in known.packed}
            self._fetch(Transfer(path, f"{OUTBOX}/{name}.tar.gz") for name, path in packed.items() if path)
        wanted = {name: app.source for name, app in self.host.apps.items() if name in self.commits}
        keys = {name: known_hosts.pinned(name, source) for name, source in wanted.items() if source.ssh}
        commits = {name: self.commits[name].result() for name in wanted}
        known = replace(known, commits=commits, host_keys=keys, cached=python_cache.read(known, self.host))
        known = replace(known, packs=self._packs(known))
        if commits:
            self.releases = {name: release_id(app, known) for name, app in self.host.apps.items() if name in commits}
        held = known.held.items()
        self.previews = {app: token for app, (release, token) in held if self.releases.get(app) == release}
        return known

    def _packs(self, known: Facts) -> dict[str, Path]:
        """The commits that are to be sent from here, packed; they go with the run."""
        packs = {}
        for name, commit in known.commits.items():
            source, there = self.host.apps[name].source, known.pushed.get(name)
            if source.push and there != commit:
                self.folder = self.folder or TemporaryDirectory(prefix="provision-")
                packs[name] = revision.pack(source, commit, there, Path(self.folder.name) / f"{name}.pack")
        return packs

    def _upload(self, plan: Plan) -> None:
        for change in plan.changes:
            if change.upload:
                told = change
                self.session.put(
                    change.upload.local,
                    change.upload.remote,
                    lambda done, total, told=told: self.watcher.sent(self.host.name, told, done, total),  # type: ignore[misc]
                )

    def _apply(self, plan: Plan) -> None:
        self.run = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{token_hex(3)}"
        script = apply.start(plan, self.run, who(), self.task)
        output: list[str] = []
        offset, mask, lost_since = 1, Mask(self.host), 0.0
        last = max((number for number, change in enumerate(plan.changes) if change.agent), default=None)
        agent = Agent() if last is not None else None
        while True:
            try:
                for event in apply.events(self.session.lines(script, agent), offset):
                    lost_since = 0.0
                    offset = event.offset + 1
                    event = replace(event, text=mask(event.text))
                    if agent and event.kind in ("done", "failed") and event.change == last:
                        agent.close()
                    self.watcher.happened(self.host.name, plan, event)
                    if self._handle(plan, event, output):
                        return
                reason = "the connection ended"
            except (ConnectionLost, Unreachable) as error:
                reason = str(error)
            if not lost_since:
                lost_since = time.monotonic()
                self.watcher.reconnecting(self.host.name, reason)
            if time.monotonic() - lost_since > RECONNECT_SECONDS:
                raise RunError(f"{reason}; the run {self.run} goes on on the server: run again to see how it ended")
            self.session.close()
            agent = None
            time.sleep(1)
            script = apply.follow(self.run, offset)

    def _handle(self, plan: Plan, event: Event, output: list[str]) -> bool:
        """Take an event in; true when it was the last one."""
        match event.kind:
            case "locked":
                who_, since, run = (*event.text.split("\t"), "", "", "")[:3]
                raise RunError(_held(Lock(who_, since, run)))
            case "stale":
                raise RunError("another run changed the server since this plan was made: run again")
            case "lost":
                raise RunError(
                    f"the run {self.run} was ended on the server (killed, or a reboot): run again to finish its work"
                )
            case "begin":
                output.clear()
                self.begun = time.monotonic()
            case "out":
                output.append(event.text)
                if event.text.startswith(NOTICE):
                    self.notices.append(event.text.removeprefix(NOTICE))
            case "done":
                change = plan.changes[event.change]
                self.done += 1
                self.previews.update(change.previews)
                self.took[change.id] = round(time.monotonic() - self.begun, 3)
            case "failed":
                self.failed, self.broken = 1, plan.changes[event.change].phase
                raise RunError(_reason(plan.changes[event.change], output, event.text), output[-30:])
            case "stopped":
                raise RunError(f"stopped on request; not done: {len(plan.changes) - self.done} changes")
            case "end":
                return True
        return False

    def _fetch(self, packed: Iterable[Transfer]) -> None:
        """Bring packed Pythons into the cache. The archive comes first: what has no description is not in the cache."""
        for transfer in packed:
            self.session.get(transfer.remote, transfer.local)
            self.session.get(f"{transfer.remote}.about", python_cache.about(transfer.local))
            python_cache.verify(transfer.local)

    def stop(self) -> None:
        """Ask the run on the server to end after its current change, over a connection of its own."""
        if self.run:
            other = Session(self.host, self.password)
            try:
                other.run(apply.stop(self.run))
            finally:
                other.close()


def _reason(change: Change, output: Sequence[str], status: str) -> str:
    """The line in which a script says what is wrong; where it does not, the last that it printed."""
    said = [line.removeprefix("error: ") for line in output if line.startswith("error: ")]
    if said:
        return said[-1]
    last = next((line.strip() for line in reversed(output) if line.strip()), f"exit status {status}")
    return f"{change.summary}: {last}"


def who() -> str:
    """Who starts a run, as USER@MACHINE."""
    return f"{os.environ.get('SUDO_USER') or getpass.getuser()}@{socket.gethostname()}"


def _held(lock: Lock) -> str:
    return f"{lock.who} has been changing this server since {lock.since} (run {lock.run}): wait for it to end, then run again"
