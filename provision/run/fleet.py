"""Many hosts: planned and prepared side by side, migrated once, activated in batches; one result per host."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial

from provision.controller import commits
from provision.controller.commit_files import Commit
from provision.inventory import Source
from provision.release.commit import is_read
from provision.run.follow import new_id
from provision.run.host import HostRun
from provision.run.introduce import introduce, needed
from provision.run.request import Request
from provision.run.result import Result
from provision.run.watcher import Watcher

PARALLEL = 20
Interrupted = Callable[[Sequence[HostRun], Callable[[], bool]], None]
Agrees = Callable[[Sequence[HostRun]], None]


def run(
    request: Request, watcher: Watcher, interrupted: Interrupted | None = None, agrees: Agrees | None = None
) -> tuple[Result, ...]:
    """Run the request on all its hosts, at most 20 at a time; return the results in the order of the hosts.

    A revision is resolved once, so that all hosts get the same commit. On Ctrl-C, `interrupted` decides what
    happens; it is told how to see that the run has ended meanwhile. Where something is to be changed, `agrees` is called once
    all hosts have their plans: it raises what ends the run before the first change.
    """
    with (
        ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="resolve") as resolvers,
        ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="host") as workers,
    ):
        found = _commits(resolvers, request) if request.resolves else {}
        runs = [HostRun(request, host, found.get(host.name, {}), watcher) for host in request.hosts]
        if agrees:
            _plan(request, runs)
            if any(one.plan and one.plan.changes for one in runs):
                agrees(runs)
        steps = workers.submit(_all, request, runs)
        while not steps.done():
            try:
                wait([steps])
            except KeyboardInterrupt:
                if interrupted is None or threading.current_thread() is not threading.main_thread():
                    raise
                interrupted(runs, steps.done)
        steps.result()
        return tuple(one.result() for one in runs)


def _commits(resolvers: ThreadPoolExecutor, request: Request) -> dict[str, dict[str, Future[Commit]]]:
    found: dict[str, dict[str, Future[Commit]]] = {}
    shared: dict[tuple[str, str], Future[Commit]] = {}
    for host in request.hosts:
        for name, app in host.apps.items():
            if request.app not in ("", name):
                continue
            key = (app.source.location, request.revision or app.source.revision)
            if key not in shared:
                shared[key] = resolvers.submit(_commit, name, app.source, request.revision)
            found.setdefault(host.name, {})[name] = shared[key]
    return found


def _commit(app: str, source: Source, revision: str | None) -> Commit:
    return Commit(source, commits.resolve(app, source, revision), is_read)


def _all(request: Request, runs: Sequence[HostRun]) -> None:
    _steps(request, runs)
    if request.applies:
        _each(runs, HostRun.look_from_outside)


def _plan(request: Request, runs: Sequence[HostRun]) -> None:
    """Plan all hosts. Those that have apps and databases for each other say all what they have before one of them is planned."""
    meeting = [one for one in runs if needed(one.host, request.inventory)]
    if meeting:
        _each(meeting, HostRun.read_facts)
        said = {one.host.name: one.facts for one in meeting if one.facts}
        introduced = introduce({one.host.name: one.host for one in meeting}, said, request.inventory)
        for one in meeting:
            if one.host.name in introduced:
                one.meet(introduced[one.host.name])
    _each(runs, HostRun.make_plan)


def _steps(request: Request, runs: Sequence[HostRun]) -> None:
    _plan(request, [one for one in runs if not one.plan])
    if not request.applies:
        return
    if len(runs) == 1:
        _alone(runs)
        return
    able = [one for one in runs if one.ok or not (request.skips_unreachable and one.unreachable)]
    refused = next((one for one in able if not one.ok), None)
    if not refused and any(one.plan and one.plan.changes for one in able):
        try:
            refused = _held(able)
            if not refused:
                _made(request, able)
        finally:
            _each_in_any_case(able, HostRun.let_go)
    if refused:
        way_out = "; --skip-unreachable goes on without it" if refused.unreachable else ""
        for one in able:
            one.skip(f"nothing was changed: {refused.host.name}: {refused.progress.error}{way_out}")


def _held(runs: Sequence[HostRun]) -> HostRun | None:
    """Take all hosts, one after another in the order of their names, so that of two fleets one gets all that both
    want. Return the host that could not be taken, if any.
    """
    fleet = new_id()
    for one in sorted(runs, key=lambda run: run.host.name):
        if not one.attempt(partial(one.take, fleet)):
            return one
    return None


def _made(request: Request, runs: Sequence[HostRun]) -> None:
    """Make all changes on hosts that are held, phase by phase."""
    # A release may ask for its database as soon as it is prepared, so whoever has that comes first.
    serving = [one for one in runs if one.wanted.clients]
    _each(serving, lambda one: one.apply("prepare"))
    broken = next((one for one in serving if not one.ok), None)
    if not broken:
        _each([one for one in runs if not one.wanted.clients], lambda one: one.apply("prepare"))
    broken = broken or next((one for one in runs if not one.ok), None) or _once(runs) or _rolling(request, runs)
    if broken:
        for one in runs:
            one.skip(f"not activated: the release failed on {broken.host.name}")
        return
    _each(runs, lambda one: one.apply("finish"))


def _alone(runs: Sequence[HostRun]) -> None:
    """A single host makes all changes in one exec."""
    _each(runs, HostRun.apply)
    for one in runs:
        if one.progress.broken == "rolling" and one.host.rollout.on_failure == "rollback":
            one.roll_back()


def _each(runs: Sequence[HostRun], step: Callable[[HostRun], None]) -> None:
    if not runs:
        return
    with ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="host") as workers:
        list(workers.map(lambda one: one.attempt(partial(step, one)), runs))


def _once(runs: Sequence[HostRun]) -> HostRun | None:
    """Make the changes of the phase `once` on the first host that has any; the others follow. Return the host
    that failed, if any.
    """
    waiting = [one for one in runs if one.for_phase("once").changes]
    for first in waiting[:1]:
        if not first.attempt(partial(first.apply, "once")):
            return first
        _each(waiting[1:], lambda one: one.apply("once", follows=True))
    return next((one for one in waiting if not one.ok), None)


def _rolling(request: Request, runs: Sequence[HostRun]) -> HostRun | None:
    """Activate batch by batch, then confirm. If a host fails, those already changed go back, unless the inventory says
    stop. Return the host that failed, if any.
    """
    rollout = request.hosts[0].rollout
    waiting = [one for one in runs if one.for_phase("rolling").changes]
    size = rollout.size(len(waiting))
    for start in range(0, len(waiting), size):
        _each(waiting[start : start + size], lambda one: one.apply("rolling"))
        if not all(one.ok for one in waiting):
            return _broken(waiting[: start + size], rollout.on_failure)
    _each(waiting, HostRun.confirm)
    return _broken(waiting, rollout.on_failure)


def _broken(runs: Sequence[HostRun], on_failure: str) -> HostRun | None:
    """The host that failed, if any; then all go back, or those that did not fail keep what they have."""
    broken = next((one for one in runs if not one.ok), None)
    if broken and on_failure == "rollback":
        reason = f"the release failed on {broken.host.name}"
        _each_in_any_case(runs, lambda one: one.roll_back(reason))
    elif broken:
        _each(runs, HostRun.confirm)
    return broken


def _each_in_any_case(runs: Sequence[HostRun], step: Callable[[HostRun], None]) -> None:
    with ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="host") as workers:
        list(workers.map(step, runs))
