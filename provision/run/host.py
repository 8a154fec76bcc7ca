"""One task on one host: facts, probe, plan, apply, result."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from paramiko.ssh_exception import SSHException

from provision import roles
from provision.controller import python_cache
from provision.controller.agent import has_keys
from provision.controller.connection import reason
from provision.controller.redact import Mask
from provision.controller.ssh import Session
from provision.engine import apply
from provision.engine.facts import Facts
from provision.engine.plan import Plan, plan
from provision.engine.resource import Finding, Phase, Transfer
from provision.errors import CacheError, ProvisionError, RunError, Stranger, Unreachable
from provision.inventory import Host
from provision.release.outside import PublicName
from provision.roles.wanted import Wanted
from provision.run import access, outside
from provision.run.build import build_here
from provision.run.follow import Run, follow, new_id
from provision.run.gather import Commits, gather, inspected, with_pythons
from provision.run.hold import Hold
from provision.run.introduce import Introduction
from provision.run.look import observe, read_facts
from provision.run.progress import Progress, locked
from provision.run.request import Request, who
from provision.run.result import Result
from provision.run.transfer import upload
from provision.run.watcher import Watcher

# Of what a change prints, so many lines are kept for the case that it fails.
KEPT_LINES = 200


@dataclass(slots=True)
class HostRun:
    """A request's task on one host. `run_id` is the last run that was started on the server, `hold` a fleet's on it.

    It is long because each step that a fleet takes on its hosts is one of its methods.
    """

    request: Request
    host: Host
    commits: Commits
    watcher: Watcher
    progress: Progress = field(default_factory=Progress)
    plan: Plan | None = None
    facts: Facts | None = None
    introduction: Introduction | None = None
    wanted: Wanted = field(default_factory=Wanted)
    public: tuple[PublicName, ...] = ()
    seen_outside: tuple[Finding, ...] = ()
    run_id: str = ""
    folder: TemporaryDirectory[str] | None = None
    hold: Hold | None = None
    stranger: bool = False
    session: Session = field(init=False)
    mask: Mask = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.session = Session(self.host, self.request.password)
        self.mask = Mask(self.host)

    @property
    def ok(self) -> bool:
        """Whether nothing has failed so far."""
        return self.progress.error is None

    @property
    def unreachable(self) -> bool:
        """Whether it failed because no session was to be had."""
        return self.progress.status == "unreachable"

    def attempt(self, step: Callable[[], None]) -> bool:
        """Take a step, unless one has failed; a ProvisionError becomes the result."""
        progress = self.progress
        if progress.error is not None:
            return False
        begun = time.monotonic()
        try:
            step()
        except ProvisionError as problem:
            progress.status = "unreachable" if isinstance(problem, Unreachable) else "failed"
            self.stranger = isinstance(problem, Stranger)
            progress.error = self.mask(str(problem))
            progress.output = problem.output if isinstance(problem, RunError) else ()
        except (OSError, EOFError, SSHException) as problem:
            progress.status, progress.error = (
                "failed",
                self.mask(f"the connection or this machine failed: {reason(problem)}: run again"),
            )
        finally:
            progress.seconds += time.monotonic() - begun
        return progress.error is None

    def read_facts(self) -> None:
        """The first exec, unless it was. It changes nothing. Raises ProvisionError."""
        self.facts = self.facts or read_facts(self.session)

    def meet(self, introduction: Introduction) -> None:
        """Take in what the other hosts of the run have said. From now on, the new secrets are hidden, too."""
        self.introduction, self.host = introduction, introduction.host
        self.mask = Mask(self.host)

    def make_plan(self) -> None:
        """Read facts, probe, and plan: two execs that change nothing. Raises ProvisionError."""
        self.read_facts()
        assert self.facts is not None
        self.host, chosen = with_pythons(self.host, self.facts, self.commits)
        self.wanted = gather(self.request, self.host, self.facts, self.commits, self._folder)
        if self.introduction:
            self.wanted = self.introduction.with_(self.wanted)
        resources = self.request.roles(self.host, self.facts, self.wanted)
        self.public = roles.public(self.host, self.facts, resources)
        commits = inspected(self.host, self.facts, self.commits)
        seen = observe(self.session, resources)
        if seen.lock and self.request.applies:
            raise RunError(locked(seen.lock))
        self.plan = _discreet(plan(resources, seen), Mask(self.host, for_plans=True))
        check_agreed(self.request, self.host.name, self.plan)
        listed = self.request.inventory.hosts.get(self.host.name, self.host)
        notes = (
            *((str(self.session.waits),) if self.session.waits else ()),
            *self.wanted.notes,
            *chosen,
            *commits,
            *roles.notes(self.facts, resources),
            *roles.strangers(listed, self.facts),
        )
        self.progress.notices.extend(notes)
        self.watcher.planned(self.host.name, self.plan, notes)
        if self.request.applies:
            _check_agent(self.plan)

    def take(self, fleet: str) -> None:
        """Take the host for a fleet's run, before its first change. Raises ProvisionError."""
        assert self.plan is not None
        self.hold = Hold(self.session, self.request, fleet, self.plan.generation)
        self.hold.take()

    def confirm(self) -> None:
        """Tell the host that what was activated stays. Raises RunError."""
        if self.hold:
            self.hold.confirm()

    def let_go(self) -> None:
        """End a fleet's hold, if there is one."""
        if self.hold:
            self.hold.end()

    def for_phase(self, phase: Phase | None) -> Plan:
        """The changes of one phase, or of all; none if the host has no plan."""
        return self.plan.for_phase(phase, self.run_id) if self.plan else Plan((), 0, "")

    def apply(self, phase: Phase | None = None, follows: bool = False) -> None:
        """Make the changes of one phase, or of all, in one exec. Raises ProvisionError.

        A host that `follows` runs only what remains after another host has done the work.
        """
        part = self.for_phase(phase)
        if follows:
            left = (replace(change, script=change.follower_script or change.script) for change in part.changes)
            part = replace(part, changes=tuple(left))
        if not part.changes:
            return
        build_here(self.request.inventory, self.host, self.wanted, part)
        upload(self.session, part, partial(self.watcher.sent, self.host.name))
        made = len(self.progress.took)
        try:
            self._apply(part)
        finally:
            count = len(self.progress.took) - made
            self._take([change.download for change in part.changes[:count] if change.download])

    def _take(self, built: Sequence[Transfer]) -> None:
        """Keep what this run has seen the server build; what cannot be kept is noted."""
        for each in built:
            try:
                python_cache.take(self.session, self.request.inventory, each)
            except CacheError as error:
                self.progress.notices.append(str(error))

    def roll_back(self, reason: str = "") -> None:
        """Undo the changes of the phase `rolling`. The host counts as failed, because of `reason` or of its own
        failure. In a fleet, that includes a change of which nothing is known any more.
        """
        progress, part = self.progress, self.for_phase("rolling")
        made = [change.ref for change in part.changes] if self.hold else progress.took
        undone, before = part.undone(made, "" if self.hold else self.run_id), replace(progress)
        if not undone.changes:
            return
        progress.error = None
        went_back = self.attempt(partial(self._apply, undone, undoes=True))
        if went_back:
            progress.done = before.done - sum(change.ref in before.took for change in undone.changes)
            progress.rolled_back = True
        progress.error = _undone(before, undone, progress.error, reason)
        progress.output = before.output or progress.output
        progress.status, progress.failed = "failed", max(before.failed, progress.failed)

    def look_from_outside(self) -> None:
        """Ask for what was activated as its clients do. Raises RunError where something else answers for it."""
        made = [one for one in self.public if one.ref in self.progress.took]
        found = outside.look(self.host, made, self.request.inventory.hosts.values(), strict=True)
        self.seen_outside = tuple(one for one in found if one.level == "warn")
        wrong = next((one for one in found if one.level == "stop"), None)
        if wrong:
            raise RunError(f"the release is activated, and not all of its clients get it: {wrong}")

    def skip(self, reason: str) -> None:
        """Leave the rest of the plan undone, because of `reason`."""
        progress = self.progress
        if progress.error is None and self.plan and progress.done < len(self.plan.changes):
            progress.status, progress.error = "failed", reason

    def stop(self) -> None:
        """Ask the run on the server to end after its current change, over a separate connection. Raises
        ProvisionError.
        """
        if self.run_id:
            other = Session(self.host, self.request.password)
            try:
                other.run(apply.stop(self.run_id))
            finally:
                other.close()

    def result(self) -> Result:
        """Close the connection and return what became of the host."""
        self.session.close()
        if self.folder is not None:
            self.folder.cleanup()
        result = _result(self)
        self.watcher.finished(result)
        return result

    def _folder(self) -> Path:
        self.folder = self.folder or TemporaryDirectory(prefix="provision-")
        return Path(self.folder.name)

    def _apply(self, plan: Plan, undoes: bool = False) -> None:
        self.run_id = new_id()
        fleet = self.hold.fleet if self.hold else ""
        run = Run(self.run_id, who(), self.request.task, fleet, undoes, self.mask.values)
        reconnecting = partial(self.watcher.reconnecting, self.host.name)
        output: deque[str] = deque(maxlen=KEPT_LINES)
        begun = time.monotonic()
        for event in follow(self.session, plan, run, reconnecting):
            event = replace(event, text=self.mask(event.text))
            self.watcher.happened(self.host.name, plan, event)
            if event.kind == "begin":
                output.clear()
                begun = time.monotonic()
            elif event.kind == "asks":
                output.extend(access.log_in(self.host, self.request.password, event.text))
            elif event.kind in ("out", "error"):
                output.append(f"error: {event.text}" if event.kind == "error" else event.text)
            self.progress.handle(plan, self.run_id, event, output, time.monotonic() - begun)


def _discreet(plan: Plan, mask: Mask) -> Plan:
    """The plan with no secret in what is shown of it."""
    changes = (replace(each, summary=mask(each.summary), diff=mask.diff(each.diff)) for each in plan.changes)
    return replace(plan, changes=tuple(changes))


def _undone(before: Progress, undone: Plan, failure: str | None, reason: str) -> str:
    """What a host says that was to undo changes, and did or failed to."""
    names = " and ".join(change.ref.name for change in reversed(undone.changes))
    if failure:
        said = f"{names} could not go back at once: {failure}"
        return f"{before.error}; {said}" if before.error else f"{reason}; {said}"
    if not before.error:
        return f"went back to the release before: {reason}"
    if before.failed and not any(change.ref in before.took for change in undone.changes):
        return before.error
    return f"{before.error}; {names} went back"


def check_agreed(request: Request, host: str, plan: Plan) -> None:
    """Raises RunError if the plan is another than the one that was agreed to."""
    if request.agreed is not None and tuple(change.summary for change in plan.changes) != tuple(request.agreed[host]):
        raise RunError("the server has changed since its plan was shown: run again")


def _check_agent(plan: Plan) -> None:
    """Raises RunError if a change needs an SSH agent and there is none."""
    asks = next((change for change in plan.changes if change.agent), None)
    if asks and not has_keys():
        raise RunError(
            f"{asks.summary}: {asks.agent} is set, and there is no SSH agent with a key on this machine: "
            "start one with ssh-agent, and ssh-add a key that opens the repository"
        )


def _result(run: HostRun) -> Result:
    progress, planned = run.progress, run.plan.changes if run.plan else ()
    changed = progress.done if run.request.applies else len(planned)
    mask = run.mask
    previews = {} if progress.rolled_back else roles.previews(run.facts, run.wanted, progress.took)
    return Result(
        host=run.host.name,
        status="changed" if progress.error is None and changed else progress.status,
        ok=run.plan.total - len(planned) if run.plan else 0,
        changed=changed,
        failed=progress.failed,
        skipped=len(planned) - changed - progress.failed,
        execs=run.session.execs,
        seconds=round(progress.seconds, 3),
        releases=run.wanted.releases,
        previews=previews,
        changes=planned,
        took=progress.took,
        error=mask(progress.reason) if progress.reason else None,
        output=tuple(map(mask, progress.output)),
        notices=tuple(progress.notices),
        warnings=(*(run.plan.warnings if run.plan else ()), *map(str, run.seen_outside)),
        stranger=run.stranger,
    )
