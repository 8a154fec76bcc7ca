"""pyenv, and the Pythons of the apps."""

from dataclasses import replace

from provision.engine.facts import Facts
from provision.engine.resource import Resource
from provision.inventory import App, Host
from provision.python_cache import archive
from provision.resources.package import Packages
from provision.resources.python import CPython, Pyenv
from provision.resources.venv import Uv

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


def cpython(host: Host, facts: Facts, app: App) -> CPython:
    bare = CPython(
        app.python.version,
        app.python.optimized,
        host.mirrors.python or "",
        facts.login,
        facts.home,
        pyenv=host.mirrors.pyenv_revision,
    )
    if not app.python.cache:
        return bare
    return replace(bare, cached=facts.cached.get(bare.name), keep=archive(facts, bare.name))


def python(host: Host, facts: Facts) -> tuple[Resource, ...]:
    pythons = {python.name: python for python in (cpython(host, facts, app) for app in host.apps.values())}
    if not pythons:
        return ()
    missing = [python for python in pythons.values() if python.name not in facts.pythons]
    built = [python for python in missing if not python.cached]
    libraries = sorted({name for python in missing if python.cached for name in python.cached.packages})
    index = host.mirrors.index or ""
    return (
        *([Packages("build", BUILD)] if built else []),
        *([Packages("libraries", tuple(libraries))] if libraries else []),
        Pyenv(host.mirrors.pyenv, host.mirrors.pyenv_revision),
        *pythons.values(),
        Uv(next(iter(pythons.values())).prefix, index),
    )
