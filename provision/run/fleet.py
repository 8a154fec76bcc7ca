"""Many hosts: looked at and prepared side by side, migrated once, activated in batches; one result a host."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial

from provision.controller import commits as revision
from provision.inventory import Host, Inventory
from provision.run.host import Result, Roles, Run, Watcher

PARALLEL = 20
Interrupted = Callable[[Sequence[Run]], None]


def run(
    task: str,
    inventory: Inventory,
    hosts: Sequence[Host],
    roles: Roles,
    watcher: Watcher,
    applies: bool = True,
    revisions: bool = True,
    revision_wanted: str | None = None,
    password: str | None = None,
    interrupted: Interrupted | None = None,
) -> tuple[Result, ...]:
    """The task on all hosts, at most 20 at a time; the results in the order of the hosts.

    A revision is resolved once, so that all hosts get the same commit. On Ctrl-C, `interrupted` is asked what to do.
    """
    with (
        ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="resolve") as resolvers,
        ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="host") as workers,
    ):
        commits = _commits(resolvers, hosts, revision_wanted) if revisions else {}
        runs = [
            Run(task, inventory, host, roles, commits.get(host.name, {}), applies, watcher, password) for host in hosts
        ]
        steps = workers.submit(_steps, runs, hosts, applies)
        while not steps.done():
            try:
                wait([steps])
            except KeyboardInterrupt:
                if interrupted is None or threading.current_thread() is not threading.main_thread():
                    raise
                interrupted(runs)
        steps.result()
        return tuple(one.result() for one in runs)


def _commits(
    resolvers: ThreadPoolExecutor, hosts: Sequence[Host], wanted: str | None
) -> dict[str, dict[str, Future[str]]]:
    commits: dict[str, dict[str, Future[str]]] = {}
    shared: dict[tuple[str, str], Future[str]] = {}
    for host in hosts:
        for name, app in host.apps.items():
            key = (app.source.location, wanted or app.source.revision)
            if key not in shared:
                shared[key] = resolvers.submit(revision.resolve, name, app.source, wanted)
            commits.setdefault(host.name, {})[name] = shared[key]
    return commits


def _steps(runs: Sequence[Run], hosts: Sequence[Host], applies: bool) -> None:
    _each(runs, Run.make_plan)
    if not applies:
        return
    reached = [one for one in runs if one.error is None]
    if len(runs) == 1:
        _each(reached, Run.apply)
        for one in reached:
            if one.broken == "activate" and one.host.rollout.on_failure == "rollback":
                one.roll_back()
        return
    _each(reached, lambda one: one.apply("prepare"))
    broken = next((one for one in reached if one.error), None) or _migrate(reached) or _activate(reached, hosts)
    if broken:
        for one in reached:
            one.skip(f"the release failed on {broken.host.name}")
        return
    _each(reached, lambda one: one.apply("finish"))


def _each(runs: Sequence[Run], step: Callable[[Run], None]) -> None:
    if not runs:
        return
    with ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="host") as workers:
        list(workers.map(lambda one: one.attempt(partial(step, one)), runs))


def _migrate(runs: Sequence[Run]) -> Run | None:
    """Migrate on the first host that has to; the others then follow. The host on which it failed."""
    waiting = [one for one in runs if one.for_phase("migrate").changes]
    for first in waiting[:1]:
        if not first.attempt(partial(first.apply, "migrate")):
            return first
        _each(waiting[1:], lambda one: one.apply("migrate", elsewhere=True))
    return next((one for one in waiting if one.error), None)


def _activate(runs: Sequence[Run], hosts: Sequence[Host]) -> Run | None:
    """Activate in batches. When one fails, those that were switched go back, unless the inventory says stop."""
    rollout = hosts[0].rollout
    waiting = [one for one in runs if one.for_phase("activate").changes]
    size = rollout.size(len(waiting))
    for start in range(0, len(waiting), size):
        _each(waiting[start : start + size], lambda one: one.apply("activate"))
        broken = next((one for one in waiting if one.error), None)
        if broken:
            if rollout.on_failure == "rollback":
                for one in waiting[: start + size]:
                    one.roll_back(f"the release failed on {broken.host.name}")
            return broken
    return None
