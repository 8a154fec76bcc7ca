"""Each check runs once for every host, or for every app where it takes one; the inventory says what it expects."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import pytest

from provision import inventory
from provision.run.verification import Verification

pytest.register_assert_rewrite("provision.checks.managers")
pytest_plugins = (
    "provision.checks.lock",
    "provision.checks.processes",
    "provision.checks.slot",
    "provision.checks.web",
)
As = Callable[[str, str], bool]


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Without hosts to check, which `invoke verify` brings, nothing here is a test."""
    return None if any(plugins(config)) else True


def plugins(config: pytest.Config) -> list[Verification]:
    """The run of `invoke verify` that this belongs to, if any."""
    return [plugin for plugin in config.pluginmanager.get_plugins() if isinstance(plugin, Verification)]


def verification(config: pytest.Config) -> Verification:
    """The run of `invoke verify` that this belongs to."""
    return plugins(config)[0]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A check that takes `app` is for each app of each host with its roles, keys and parts of `hardening`; another one for each such host."""
    roles = {marker.args[0] for marker in metafunc.definition.iter_markers("role")}
    parts = [marker.args[0] for marker in metafunc.definition.iter_markers("hardening")]
    needed = [marker.args[0] for marker in metafunc.definition.iter_markers("host")]
    hosts = [
        host
        for host in verification(metafunc.config).hosts
        if roles <= set(host.roles)
        and all(map(host.hardening.wants, parts))
        and all(attrgetter(key)(host) for key in needed)
    ]
    if "app" in metafunc.fixturenames:
        keys = [marker.args[0] for marker in metafunc.definition.iter_markers("declares")]
        pairs = [
            pytest.param(host, app, id=f"{host.name}-{app.name}")
            for host in hosts
            for app in host.apps.values()
            if all(attrgetter(key)(app) for key in keys)
        ]
        metafunc.parametrize(("declared", "app"), pairs)
    else:
        metafunc.parametrize("declared", [pytest.param(host, id=host.name) for host in hosts])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Drop checks that apply to no host here, or would be disruptive, rather than showing them as skipped."""
    if not plugins(config):
        return
    disruptive = verification(config).disruptive
    items[:] = [
        item
        for item in items
        if isinstance(_declared(item), inventory.Host) and (disruptive or not item.get_closest_marker("disruptive"))
    ]
    for item in items:
        item.user_properties.append(("host", _declared(item).name))


def _declared(item: pytest.Item) -> Any:
    return (
        item.callspec.params.get("declared")
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
        else None
    )


@pytest.fixture
def host(declared: inventory.Host, request: pytest.FixtureRequest) -> Any:
    """The server, as testinfra shows it to root."""
    return verification(request.config).remotes[declared.name]


@pytest.fixture
def succeeds_as(host: Any) -> As:
    """Tells whether a shell command succeeds as a user of the server."""

    def succeeds(user: str, command: str) -> bool:
        words = 'setpriv --reuid=%s --regid="$(id -g %s)" --init-groups sh -c %s'
        done = host.run(words, user, user, f"if {command}; then echo yes; else echo no; fi")
        assert done.stdout.strip() in ("yes", "no"), f"{command}, as {user}: {done.stderr.strip()}"
        return bool(done.stdout.strip() == "yes")

    return succeeds
