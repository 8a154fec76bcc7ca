"""What the controller wants on a host and brings along: commits, packs, host keys, packed Pythons."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

from provision.controller import commits, known_hosts, python_cache
from provision.controller.checkout import uncommitted
from provision.controller.commit_files import Commit
from provision.engine.facts import SYSTEM, Facts
from provision.inventory import App, Host
from provision.inventory.python import AUTO, DEFAULT
from provision.inventory.remote import clients
from provision.release import python
from provision.release.artifacts import steps
from provision.release.choice import release_id
from provision.release.commit import inspect
from provision.release.facts import PUSHED, RELEASES
from provision.release.settings import was_built_as, were_checked
from provision.roles.wanted import Wanted
from provision.run.build import location
from provision.run.request import Request

Commits = Mapping[str, Future[Commit]]


def gather(request: Request, host: Host, facts: Facts, resolved: Commits, folder: Callable[[], Path]) -> Wanted:
    """Everything that roles need in addition to facts. `resolved` has the commits of the apps to deploy.

    Packs of commits to send are written to `folder()`, which is called only if there are any. Raises PlanError.
    """
    sources = {name: app.source for name, app in host.apps.items() if name in resolved}
    host_keys = {name: known_hosts.pinned(name, source) for name, source in sources.items()}
    found = {name: resolved[name].result().id for name in sources}
    keys = python_cache.keys(facts[SYSTEM], host)
    return Wanted(
        commits=found,
        releases={
            name: release_id(host.apps[name], facts, commit, request.upgrades and request.app in ("", name))
            for name, commit in found.items()
        },
        packs=_packs(host, facts, found, folder),
        built={name: location(folder(), name) for name in found if _built_here(host.apps[name])},
        host_keys=host_keys,
        pythons=python_cache.read(request.inventory, keys),
        archives={name: python_cache.location(request.inventory) / key for name, key in keys.items()},
        token=request.token,
        force=request.force,
        stops_first=request.stops_first,
        upgrades=request.upgrades,
        app=request.app,
        now=int(time.time()),
        inventory=request.inventory.name,
        clients=clients(request.inventory.hosts.values(), host.name),
        notes=tuple(
            note
            for name, commit in found.items()
            if (note := uncommitted(name, sources[name], commit, _outputs(host.apps[name])))
        ),
    )


def _outputs(app: App) -> tuple[str, ...]:
    return tuple(name for step in steps(app) for name in step.outputs)


def _built_here(app: App) -> bool:
    return bool(app.build) and app.build_on == "controller"


def inspected(host: Host, facts: Facts, resolved: Commits) -> tuple[str, ...]:
    """Lines on what the commits have; one that has run there with the same settings was looked at before.

    Raises PlanError.
    """
    return tuple(
        note
        for name, found in resolved.items()
        for note in _inspected(host.apps[name], found.result(), facts, host.packages)
    )


def _inspected(app: App, commit: Commit, facts: Facts, packages: Sequence[str]) -> tuple[str, ...]:
    files = None if _has_run(app, commit, facts) else commit.files
    return inspect(app, files.names, files.texts, packages) if files else ()


def _has_run(app: App, commit: Commit, facts: Facts) -> bool:
    """Whether the commit has run there with the same settings."""
    wanted = (app.name, commit.id, app.source.folder)
    return any(
        (one.app, one.commit, one.folder) == wanted
        and were_checked(app, one.settings)
        and was_built_as(app, one.settings)
        for one in facts[RELEASES]
    )


def with_pythons(host: Host, facts: Facts, resolved: Commits) -> tuple[Host, tuple[str, ...]]:
    """The host with a Python for each app that has none in the inventory, and a line on why it is that one for each commit that has not run
    there yet.

    An app whose commit is not asked for keeps the Python that serves it; a new one gets the default. Raises PlanError.
    """
    apps, notes = dict(host.apps), []
    for name, app in host.apps.items():
        if app.python.version != AUTO:
            continue
        serves = python.serving(app, facts[RELEASES])
        apps[name] = python.with_python(app, serves or DEFAULT)
        commit = resolved[name].result() if name in resolved else None
        if commit is None or (serves and _has_run(apps[name], commit, facts)):
            continue
        files = commit.files
        chosen = python.choose(app, files.names, files.texts, serves, host.mirrors) if files else python.unread(serves)
        apps[name] = python.with_python(app, chosen.version)
        notes.append(f"{name}: Python {chosen.version}: {chosen.why}")
    return host.model_copy(update={"apps": apps}), tuple(notes)


def _packs(host: Host, facts: Facts, wanted: Mapping[str, str], folder: Callable[[], Path]) -> dict[str, Path]:
    packs = {}
    for name, commit in wanted.items():
        source, there = host.apps[name].source, facts[PUSHED].get(name)
        if source.push and there != commit:
            packs[name] = commits.pack(source, commit, there, folder() / f"{name}.pack")
    return packs
