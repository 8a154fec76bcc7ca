"""An app's place on the server, and its releases."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from provision.engine.facts import SYSTEM, Facts
from provision.engine.resource import Resource
from provision.engine.shell import quote
from provision.errors import PlanError
from provision.inventory import GENERATE, App, Host
from provision.release.activation import Activation, NoPreview, Preview, Promotion, Slot
from provision.release.facts import MANAGED, PREVIEWS, RELEASES, ServerRelease
from provision.release.manager import JOBS, PROGRAMS, UNITS, Program, RemovedUnit
from provision.release.template import render
from provision.release.tree import Check, Migration, Release
from provision.release.venv import UV, Venv
from provision.resources.file import Directory, File
from provision.resources.git import PUSHED, Access, DeployKey, Mirror
from provision.resources.package import Packages
from provision.resources.service import Service
from provision.roles.python import home
from provision.roles.wanted import Wanted


def app(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    apps = host.apps.values()
    return (
        *_supervisor(apps),
        *(resource for one in apps for resource in (*_place(one, facts), *_deploy_key(host, one))),
    )


def releases(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    return tuple(resource for one in host.apps.values() for resource in _release(host, facts, wanted, one))


def _place(app: App, facts: Facts) -> Iterator[Resource]:
    yield Directory(f"/srv/{app.name}")
    yield Directory(f"/srv/{app.name}/releases")
    yield Directory(f"/srv/{app.name}/venvs")
    yield Directory(f"/srv/{app.name}/shared", app.name, app.name, 0o750)
    yield Directory(f"/etc/{app.name}", "root", app.name, 0o750)
    yield File(f"/etc/tmpfiles.d/{app.name}.conf", f"d /run/{app.name} 2750 {app.name} www-data -\n")
    yield from _managed(app, facts)


def _deploy_key(host: Host, app: App) -> Iterator[Resource]:
    if app.source.deploy_key == GENERATE:
        yield DeployKey(app.name, f"{app.name}@{host.name}", app.source.location)


def _access(host: Host, app: App) -> Access | None:
    """How the server reads the app's repository, where that is over SSH."""
    source, who = app.source, f"{app.name}@{host.name}"
    if source.ssh is None:
        return None
    if source.private_key:
        return Access(app.name, who, "sent", source.private_key)
    return Access(app.name, who, "own" if source.deploy_key else "agent" if source.forward_agent else "root")


def _supervisor(apps: Iterable[App]) -> Iterator[Resource]:
    """Supervisor itself, for the apps that it runs, and cron for their schedules."""
    supervised = [app for app in apps if app.process_manager == "supervisor"]
    if supervised:
        schedules = any(app.schedules for app in supervised)
        yield Packages("supervisor", ("supervisor", *(("cron",) if schedules else ())))
        yield Service("supervisor")


def _managed(app: App, facts: Facts) -> Iterator[Resource]:
    """What the app's process manager reads."""
    supervised = app.process_manager == "supervisor"
    if supervised:
        yield Directory(f"/var/log/supervisor/{app.name}", "root", "adm", 0o750)
        yield _start(app)
        yield _slot(app)
    yield from _retired(app, facts)
    yield from _files(app)
    if supervised:
        yield Program(app.name)
        yield from (Program(f"{app.name}-{name}") for name in app.schedules)


def _files(app: App) -> Iterator[File]:
    """The files that systemd, or Supervisor and cron, read of the app; its slots' own come with an activation."""
    commands = _commands(app)
    if app.process_manager == "supervisor":
        yield File(f"{PROGRAMS}/{app.name}.conf", render("supervisor/boot.conf.j2", app=app))
        for name, command in commands.items():
            content = render("supervisor/process.conf.j2", app=app, name=name, **_kind(app, name, command))
            yield File(f"{PROGRAMS}/{app.name}-{name}.conf", content)
        for name, schedule in app.schedules.items():
            yield File(f"{JOBS}/{app.name}-{name}", render("supervisor/job.j2", app=app, name=name, schedule=schedule))
        return
    yield File(f"{UNITS}/{app.name}@.service", render("app.service.j2", app=app))
    for name, command in commands.items():
        content = render("process.service.j2", app=app, name=name, command=_word(command), **_kind(app, name, command))
        yield File(f"{UNITS}/{app.name}-{name}.service", content)
    for name, schedule in app.schedules.items():
        timer = render("schedule.timer.j2", app=app, name=name, schedule=schedule)
        check = f"systemd-analyze calendar {quote(schedule.calendar)}"
        yield File(f"{UNITS}/{app.name}-{name}.timer", timer, check=check)


# What a shell reads as more than one program with its arguments.
COMPOUND = re.compile(
    r"[;&|(){}`\n]|^\s*(\w+=|(cd|if|while|until|for|case|eval|export|set|trap|ulimit|umask|test|\.|\[|!)\s)"
)


def _commands(app: App) -> dict[str, str]:
    """The commands of processes and schedules, for a shell. One program alone takes the shell's place, and its signals."""
    commands = {**app.processes, **{name: schedule.run for name, schedule in app.schedules.items()}}
    return {
        name: command if COMPOUND.search(command) or command.startswith("exec ") else f"exec {command}"
        for name, command in commands.items()
    }


def _kind(app: App, name: str, command: str) -> dict[str, bool]:
    """Whether it runs at times only, and whether to end it means to end all that its shell has started."""
    return {"oneshot": name in app.schedules, "group": not command.startswith("exec ")}


def _start(app: App) -> File:
    """What Supervisor runs, of which each slot has a copy."""
    quoted = {name: quote(command) for name, command in _commands(app).items()}
    content = render("supervisor/start.sh.j2", app=app, commands=quoted)
    return File(f"/etc/{app.name}/start", content, "root", app.name, 0o750)


def _slot(app: App) -> File:
    """A slot's program, with @SLOT@ for its name."""
    return File(f"/etc/{app.name}/program.conf", render("supervisor/slot.conf.j2", app=app), "root", app.name, 0o640)


def _unwanted(app: App, facts: Facts) -> Iterator[str]:
    """The files of the app that a manager reads, and that the inventory does not want (any more)."""
    wanted = {file.path for file in _files(app)}
    if app.process_manager == "supervisor":
        wanted |= {f"{PROGRAMS}/{app.name}-{slot}.conf" for slot in ("blue", "green")}
    return (file.path for file in facts[MANAGED] if file.app == app.name and file.path not in wanted)


def _manager(path: str) -> str:
    return "systemd" if path.startswith(UNITS) else "supervisor"


def _word(command: str) -> str:
    """A command as one word of ExecStart (systemd.service(5), "Command lines")."""
    escaped = command.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$").replace("%", "%%")
    return f'"{escaped}"'


def _release(
    host: Host,
    facts: Facts,
    wanted: Wanted,
    app: App,
    migrates: bool = True,
    again: bool = False,
    token: str = "",
) -> Iterator[Resource]:
    commit, release = wanted.commits[app.name], wanted.releases[app.name]
    tree = Release(app.name, release, commit, app.source.folder)
    venv = Venv(
        app.name,
        tree.path,
        app.source.folder,
        app.requirements,
        home(app),
        f"{facts[SYSTEM].distribution} {facts[SYSTEM].architecture}",
        f"/opt/uv/{UV}",
        host.mirrors.index or "",
    )
    environment = _environment(app, commit, release)
    configuration = File(f"/etc/{app.name}/gunicorn.conf.py", _gunicorn(app, facts), "root", app.name, 0o640)
    copied = (environment, configuration, *((_start(app), _slot(app)) if app.process_manager == "supervisor" else ()))
    fingerprint = _hash(
        release,
        commit,
        app.module,
        app.source.folder,
        venv.base,
        app.requirements,
        app.process_manager,
        *(file.content for file in copied),
        *(file.content for file in _files(app) if file.path.endswith((".service", ".conf"))),
    )
    command = app.migrate if isinstance(app.migrate, str) else ""
    access = _access(host, app)
    if access and app.name in wanted.host_keys:
        yield File(access.known_hosts, "".join(f"{line}\n" for line in wanted.host_keys[app.name]))
    yield Mirror(
        f"/srv/{app.name}/repository.git",
        PUSHED if app.source.push else app.source.location,
        commit,
        wanted.packs.get(app.name),
        facts[SYSTEM].home,
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
    slot = _serving(host, app, tuple((file.path.rpartition("/")[2], file.sha256) for file in copied))
    if token:
        yield Preview(slot, release, app.source.folder, fingerprint, token)
        return
    yield Activation(slot, release, app.source.folder, fingerprint, again)
    yield from _timers(app)
    yield from _left(app, facts)


def _timers(app: App) -> Iterator[Resource]:
    if app.process_manager == "systemd":
        for name in app.schedules:
            unit = f"{app.name}-{name}.timer"
            yield Service(unit, (f"{UNITS}/{unit}",))


def _retired(app: App, facts: Facts) -> Iterator[Resource]:
    """What the app's manager reads, and the inventory no longer has."""
    return (RemovedUnit(path) for path in _unwanted(app, facts) if _manager(path) == app.process_manager)


def _left(app: App, facts: Facts) -> Iterator[Resource]:
    """What is left of a manager that ran the app before."""
    return (RemovedUnit(path, "finish") for path in _unwanted(app, facts) if _manager(path) != app.process_manager)


def _serving(host: Host, app: App, copies: tuple[tuple[str, str], ...] = ()) -> Slot:
    return Slot(
        app=app.name,
        manager=app.process_manager,
        copies=copies,
        health=app.health.path,
        passes=app.health.passes,
        timeout=app.health.timeout,
        watch=app.health.watch,
        drain=app.drain_seconds,
        domain=app.domains[0] if "web" in host.roles else "",
        keep=app.keep_releases,
        before=app.hooks.before or "",
        after=app.hooks.after or "",
        processes=tuple(app.processes),
    )


def previewed(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """The wanted releases in their idle slots, without traffic but that of those who have the token."""
    apps = host.apps.values() if "app" in host.roles else ()
    return tuple(resource for one in apps for resource in _release(host, facts, wanted, one, token=wanted.token))


def promoted(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """The releases that are held, with all of the traffic. Raises PlanError where none is held."""
    apps = [app for app in host.apps.values() if app.name in facts[PREVIEWS] and "app" in host.roles]
    if not apps:
        raise PlanError(f"{host.name}: no release is held here: invoke deploy --hold holds one")
    folders = {(one.app, one.id): one.folder for one in facts[RELEASES]}
    found: list[Resource] = []
    for app in apps:
        release = facts[PREVIEWS][app.name].release
        found.append(Promotion(_serving(host, app), release, folders.get((app.name, release), ".")))
        found += (*_timers(app), *_retired(app, facts), *_left(app, facts))
    return tuple(found)


def rolled_back(host: Host, facts: Facts, wanted: Wanted, to: str | None = None) -> tuple[Resource, ...]:
    """Each app at the release before the active one, or at the release `to`: nothing is fetched, built or migrated.

    Where a release is held, and no other is asked for, it is dropped instead. Raises PlanError when there is no such release.
    """
    apps = host.apps.values() if "app" in host.roles else ()
    previewed = [app for app in apps if app.name in facts[PREVIEWS]]
    if previewed and not to:
        return tuple(NoPreview(_serving(host, app), facts[PREVIEWS][app.name].release) for app in previewed)
    return _kept(host, facts, wanted, [_earlier(app, facts, to) for app in apps])


def restarted(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """Each app's active release, started anew in the other slot."""
    apps = host.apps if "app" in host.roles else {}
    active = [release for release in facts[RELEASES] if release.active and release.app in apps]
    return _kept(host, facts, wanted, active, again=True)


def _kept(
    host: Host, facts: Facts, wanted: Wanted, kept: Sequence[ServerRelease], again: bool = False
) -> tuple[Resource, ...]:
    """The resources of releases that the server has, each with the app in the folder that it had then."""
    chosen = replace(wanted, commits={one.app: one.commit for one in kept}, releases={one.app: one.id for one in kept})
    apps = [
        app.model_copy(update={"source": app.source.model_copy(update={"folder": one.folder})})
        for one in kept
        for app in (host.apps[one.app],)
    ]
    placed = (
        resource
        for app in apps
        for resource in (*_managed(app, facts), *_release(host, facts, chosen, app, migrates=False, again=again))
    )
    return (*_supervisor(apps), *placed)


def _earlier(app: App, facts: Facts, to: str | None) -> ServerRelease:
    kept = [one for one in facts[RELEASES] if one.app == app.name]
    if to:
        found = [one for one in kept if one.id == to or one.id.endswith(f"-{to}")]
        if not found:
            names = ", ".join(sorted(one.id for one in kept)) or "none"
            raise PlanError(f"{app.name}: there is no release {to} on this server; there are: {names}")
        return max(found, key=lambda one: one.id)
    active = next((one.id for one in kept if one.active), "")
    good = [one for one in kept if one.state == "good" and one.id < active]
    if not good:
        raise PlanError(f"{app.name}: there is no good release before {active or 'the first one'} on this server")
    return max(good, key=lambda one: one.id)


def release_id(app: str, folder: str, facts: Facts, commit: str) -> str:
    """The release of the wanted commit: the active one, the newest one that is kept, or a new one.

    An id is the UTC time and the commit's first seven digits: 20261121T230500-abc1234.
    """
    wanted = (app, commit, folder)
    kept = [one for one in facts[RELEASES] if (one.app, one.commit, one.folder) == wanted]
    if kept:
        return max(kept, key=lambda one: (one.active, one.id)).id
    return f"{facts[SYSTEM].now:%Y%m%dT%H%M%S}-{commit[:7]}"


def _gunicorn(app: App, facts: Facts) -> str:
    # Two a core answer while one waits; more than eight pay only for those who ask for them.
    workers = min(2 * facts[SYSTEM].cpus + 1, 8) if app.workers == "auto" else app.workers
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
