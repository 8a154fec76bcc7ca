"""The apps' Pythons, built by pyenv or the distribution's, and Node.js for builds."""

from collections.abc import Iterable
from dataclasses import replace

from provision.engine.facts import SYSTEM, Facts
from provision.engine.resource import Resource
from provision.inventory import App, Host
from provision.release.node import DISTRIBUTION as NODE
from provision.release.node import SERIES, Node
from provision.release.uv import Uv
from provision.release.venv import python_home
from provision.resources.package import Packages
from provision.resources.python import BUILT, CPython, Pyenv
from provision.roles.wanted import Wanted

# pyenv's own list for Debian and Ubuntu (its wiki, "Suggested build environment"), without Tk.
BUILD = (
    "build-essential",
    "libbz2-dev",
    "libffi-dev",
    "liblzma-dev",
    "libncursesw5-dev",
    "libreadline-dev",
    "libsqlite3-dev",
    "libssl-dev",
    "uuid-dev",
    "xz-utils",
    "zlib1g-dev",
)

# python3-venv has the pip that uv is installed with.
DISTRIBUTION = ("python3", "python3-venv")


def cpython(host: Host, facts: Facts, wanted: Wanted, app: App) -> CPython:
    """The CPython of an app that does not use the distribution's."""
    bare = CPython(
        app.python.exact,
        app.python.optimized,
        host.mirrors.python or "",
        facts[SYSTEM].login,
        facts[SYSTEM].home,
        pyenv=host.mirrors.pyenv_revision,
    )
    if not app.python.cache:
        return bare
    return replace(bare, cached=wanted.pythons.get(bare.name), keep=wanted.archives.get(bare.name))


def python(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """What the apps' Pythons need, the Pythons, uv, and Node.js where a build wants it."""
    apps = host.apps.values()
    if not apps:
        return ()
    pythons = {app.python.name: cpython(host, facts, wanted, app) for app in apps if not app.python.system}
    missing = [python for python in pythons.values() if python.name not in facts[BUILT]]
    built = [python for python in missing if not python.cached]
    libraries = sorted({name for python in missing if python.cached for name in python.cached.packages})
    return (
        *([Packages("python", DISTRIBUTION)] if any(app.python.system for app in apps) else []),
        *([Packages("build", BUILD)] if built else []),
        *([Packages("libraries", tuple(libraries))] if libraries else []),
        *([Pyenv(host.mirrors.pyenv, host.mirrors.pyenv_revision)] if pythons else []),
        *pythons.values(),
        Uv(python_home(next(iter(apps))), host.mirrors.index or ""),
        *_node(host),
    )


def _node(host: Host) -> Iterable[Resource]:
    """For builds on the server."""
    building = [app for app in host.apps.values() if app.build and app.node and app.build_on == "server"]
    python, index = python_home(next(iter(host.apps.values()))), host.mirrors.index or ""
    if any(app.node not in SERIES for app in building):
        yield Packages("node", NODE)
    yield from (Node(series, python, index) for series in SERIES if any(app.node == series for app in building))
