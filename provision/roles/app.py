"""An app's place on the server, and its releases."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from provision.engine.facts import Facts, Kept
from provision.engine.resource import Refusal, Resource
from provision.engine.shell import quote
from provision.inventory import GENERATE, App, Host
from provision.resources.file import Directory, File
from provision.resources.git import PUSHED, Access, DeployKey, Mirror
from provision.resources.release import Activation, Check, Migration, Release
from provision.resources.service import Retired, Service
from provision.resources.venv import UV, Venv
from provision.roles.python import cpython
from provision.template import render

UNITS = "/etc/systemd/system"


def app(host: Host, facts: Facts) -> tuple[Resource, ...]:
    return tuple(resource for one in host.apps.values() for resource in (*_place(one, facts), *_deploy_key(host, one)))


def releases(host: Host, facts: Facts) -> tuple[Resource, ...]:
    return tuple(resource for one in host.apps.values() for resource in _release(host, facts, one))


def _place(app: App, facts: Facts) -> Iterator[Resource]:
    yield Directory(f"/srv/{app.name}")
    yield Directory(f"/srv/{app.name}/releases")
    yield Directory(f"/srv/{app.name}/venvs")
    yield Directory(f"/srv/{app.name}/shared", app.name, app.name, 0o750)
    yield Directory(f"/etc/{app.name}", "root", app.name, 0o750)
    yield _unit(app)
    yield File(f"/etc/tmpfiles.d/{app.name}.conf", f"d /run/{app.name} 2750 {app.name} www-data -\n")
    wanted = {path.rpartition("/")[2] for path in (unit.path for unit in _units(app))}
    yield from (Retired(unit) for owner, unit in facts.units if owner == app.name and unit not in wanted)
    yield from _units(app)


def _deploy_key(host: Host, app: App) -> Iterator[Resource]:
    if app.source.deploy_key == GENERATE:
        yield DeployKey(app.name, f"{app.name}@{host.name}", app.source.place)


def _access(host: Host, app: App) -> Access | None:
    """How the server reads the app's repository, where that is over SSH."""
    source, who = app.source, f"{app.name}@{host.name}"
    if source.ssh is None:
        return None
    if source.private_key:
        return Access(app.name, who, "sent", source.private_key)
    return Access(app.name, who, "own" if source.deploy_key else "agent" if source.forward_agent else "root")


def _units(app: App) -> Iterator[File]:
    """The units of the app's processes and schedules."""
    commands = {**app.processes, **{name: schedule.run for name, schedule in app.schedules.items()}}
    for name, command in commands.items():
        schedule = app.schedules.get(name)
        content = render("process.service.j2", app=app, name=name, command=_word(command), oneshot=bool(schedule))
        yield File(f"{UNITS}/{app.name}-{name}.service", content)
        if schedule:
            timer = render("schedule.timer.j2", app=app, name=name, schedule=schedule)
            yield File(
                f"{UNITS}/{app.name}-{name}.timer", timer, check=f"systemd-analyze calendar {quote(schedule.calendar)}"
            )


def _word(command: str) -> str:
    """A command as one word of ExecStart (systemd.service(5), "Command lines")."""
    escaped = command.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$").replace("%", "%%")
    return f'"{escaped}"'


def _release(host: Host, facts: Facts, app: App, migrates: bool = True, again: bool = False) -> Iterator[Resource]:
    commit = facts.commits[app.name]
    release = release_id(app, facts)
    python = cpython(host, facts, app)
    tree = Release(app.name, release, commit, app.source.folder)
    venv = Venv(
        app.name,
        tree.path,
        app.source.folder,
        app.requirements,
        python.prefix,
        f"{facts.distribution} {facts.architecture}",
        f"/opt/uv/{UV}",
        host.mirrors.index or "",
    )
    environment = _environment(app, commit, release)
    configuration = File(f"/etc/{app.name}/gunicorn.conf.py", _gunicorn(app, facts), "root", app.name, 0o640)
    fingerprint = _hash(
        release,
        commit,
        app.module,
        app.source.folder,
        venv.base,
        app.requirements,
        environment.content,
        configuration.content,
        _unit(app).content,
        *(unit.content for unit in _units(app) if unit.path.endswith(".service")),
    )
    command = app.migrate if isinstance(app.migrate, str) else ""
    access = _access(host, app)
    if access and app.name in facts.host_keys:
        yield File(access.known_hosts, "".join(f"{line}\n" for line in facts.host_keys[app.name]))
    yield Mirror(
        f"/srv/{app.name}/repository.git",
        PUSHED if app.source.push else app.source.place,
        commit,
        facts.packs.get(app.name),
        facts.home,
        access,
    )
    yield tree
    yield venv
    yield environment
    yield configuration
    # nginx's group is there from here on, and with it the folder of the sockets.
    yield Directory(f"/run/{app.name}", app.name, "www-data", 0o2750)
    yield Check(app.name, release, app.source.folder, app.module, fingerprint)
    if app.migrate and migrates:
        yield Migration(
            app.name,
            release,
            app.source.folder,
            _hash(release, command, environment.content),
            command,
            app.migrate_on == "every",
        )
    yield Activation(
        app=app.name,
        release=release,
        fingerprint=fingerprint,
        environment=environment.sha256,
        configuration=configuration.sha256,
        health=app.health.path,
        timeout=app.health.timeout,
        domain=app.domains[0] if "web" in host.roles else "",
        keep=app.keep_releases,
        again=again,
        folder=app.source.folder,
        before=app.hooks.before or "",
        after=app.hooks.after or "",
        processes=tuple(app.processes),
    )
    for name in app.schedules:
        unit = f"{app.name}-{name}.timer"
        yield Service(unit, (f"{UNITS}/{unit}",))


def rolled_back(host: Host, facts: Facts, to: str | None = None) -> tuple[Resource, ...]:
    """Each app at the release before the active one, or at the release `to`: nothing is fetched, built or migrated.

    Raises Refusal when there is no such release.
    """
    wanted = host.apps.values() if "app" in host.roles else ()
    return _kept(host, facts, [_earlier(app, facts, to) for app in wanted])


def restarted(host: Host, facts: Facts) -> tuple[Resource, ...]:
    """Each app's active release, started anew in the other slot."""
    wanted = host.apps if "app" in host.roles else {}
    return _kept(host, facts, [kept for kept in facts.releases if kept.active and kept.app in wanted], again=True)


def _kept(host: Host, facts: Facts, kept: Sequence[Kept], again: bool = False) -> tuple[Resource, ...]:
    """The resources of releases that the server has, each with the app in the folder that it had then."""
    chosen = replace(facts, commits={one.app: one.commit for one in kept}, chosen={one.app: one.id for one in kept})
    apps = [
        app.model_copy(update={"source": app.source.model_copy(update={"folder": one.folder})})
        for one in kept
        for app in (host.apps[one.app],)
    ]
    return tuple(resource for app in apps for resource in _release(host, chosen, app, migrates=False, again=again))


def _earlier(app: App, facts: Facts, to: str | None) -> Kept:
    kept = [one for one in facts.releases if one.app == app.name]
    if to:
        found = [one for one in kept if one.id == to or one.id.endswith(f"-{to}")]
        if not found:
            names = ", ".join(sorted(one.id for one in kept)) or "none"
            raise Refusal(f"{app.name}: there is no release {to} on this server; there are: {names}")
        return max(found, key=lambda one: one.id)
    active = next((one.id for one in kept if one.active), "")
    good = [one for one in kept if one.state == "good" and one.id < active]
    if not good:
        raise Refusal(f"{app.name}: there is no good release before {active or 'the first one'} on this server")
    return max(good, key=lambda one: one.id)


def release_id(app: App, facts: Facts) -> str:
    """The release of the wanted commit: the active one, the newest one that is kept, or a new one.

    An id is the UTC time and the commit's first seven digits: 20261121T230500-abc1234.
    """
    if app.name in facts.chosen:
        return facts.chosen[app.name]
    commit = facts.commits[app.name]
    kept = [one for one in facts.releases if (one.app, one.commit, one.folder) == (app.name, commit, app.source.folder)]
    if kept:
        return max(kept, key=lambda one: (one.active, one.id)).id
    return f"{facts.now:%Y%m%dT%H%M%S}-{commit[:7]}"


def _unit(app: App) -> File:
    return File(f"/etc/systemd/system/{app.name}@.service", render("app.service.j2", app=app))


def _gunicorn(app: App, facts: Facts) -> str:
    # Two a core answer while one waits; more than eight pay only for those who ask for them.
    workers = min(2 * facts.cpus + 1, 8) if app.workers == "auto" else app.workers
    return render("gunicorn.conf.py.j2", app=app, workers=workers)


def _environment(app: App, commit: str, release: str) -> File:
    values = {**app.env, "PROVISION_COMMIT": commit, "PROVISION_RELEASE": release}
    lines = [f"{key}={_quoted(value)}" for key, value in sorted(values.items())]
    content = "# Written by provision.\n" + "\n".join(lines) + "\n"
    return File(f"/etc/{app.name}/env", content, "root", app.name, 0o640, secret=True)


def _quoted(value: str) -> str:
    """A value as systemd's EnvironmentFile reads it (systemd.exec(5))."""
    for character in '\\"$`':
        value = value.replace(character, f"\\{character}")
    return f'"{value}"'


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
