"""A server's root folder with an app in it, and the package's shell functions, which work there."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from provision.engine.resource import State
from provision.release import shell as shell_module
from provision.release.activation import Activation
from provision.release.slot import Serving, Slot
from tests.unit.release.serving import HEALTH, ID, OTHER, SLOT, fill, unit
from tests.unit.release.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from provision.engine.resource import Resource
    from tests.unit.conftest import Units
    from tests.unit.release.serving import Observe, Ran, Shell


@pytest.fixture
def server(root: Path, units: Units, owners: Callable[[], list[str]]) -> Path:
    """The root folder of a server with the app shop, which was not deployed yet."""
    for folder in (
        "run/shop",
        "srv/shop/releases",
        "etc/shop",
        "etc/supervisor/conf.d",
        "etc/systemd/system",
        "etc/cron.d",
        "var/lib/provision",
        "run/provision",
        "var/log/supervisor/shop",
    ):
        (root / folder).mkdir(parents=True)
    return root


@pytest.fixture
def shell(call: Callable[..., Ran], server: Path) -> Shell:
    """Shell functions, called as an activation calls them; there are no processes to look into."""
    health = replace(HEALTH, domain="", passes=1, timeout=5, watch=0)
    called = replace(SLOT, health=health, drain=1, keep=2).call("true", release=ID, fingerprint="print")
    return lambda script: call([shell_module], f"{called}\norigin_of_slot() {{ :; }}\n{script}")


@pytest.fixture
def slots(server: Path) -> Path:
    """/etc/shop with what an activation copies; blue has the traffic with OTHER."""
    shop = fill(server / "etc" / "shop", env="A=1\n", **{"gunicorn.conf.py": "workers = 3\n"})
    own = {**unit("shop@.service"), **unit("shop@.socket", "")}
    fill(shop / "units", **own)
    fill(shop / "blue", env="A=0\n", fingerprint="older\n", manager="systemd\n")
    fill(shop / "blue" / "units", **own)
    written = {name.replace("@", "@blue"): content for name, content in own.items()}
    fill(server / "etc" / "systemd" / "system", **written)
    (shop / "blue" / "release").symlink_to(server / "srv" / "shop" / "releases" / OTHER)
    (shop / "current").symlink_to("blue")
    (server / "run" / "shop" / "current.sock").symlink_to("blue.sock")
    (server / "srv" / "shop" / "current").symlink_to(f"releases/{OTHER}")
    for name in (ID, OTHER):
        (server / "srv" / "shop" / "releases" / name).mkdir()
    return shop


@pytest.fixture
def probed(server: Path, observe: Observe) -> Callable[[Slot], Serving]:
    """What the probe finds of a slot."""

    def run(slot: Slot) -> Serving:
        (state,) = observe(Activation(slot, ID, ".", "print"))
        assert len(state) == 1
        found = Serving.of(state)
        assert found
        return found

    return run


@pytest.fixture
def supervisor(server: Path) -> Iterator[Supervisor]:
    """What stands for Supervisor, on its socket."""
    found = Supervisor(server / "run" / "supervisor.sock")
    threading.Thread(target=found.serve_forever, args=(0.02,), daemon=True).start()
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture
def keep(make: Callable[..., Ran], server: Path) -> Callable[[Resource], Ran]:
    """The change that a resource needs where there is nothing of it."""
    return lambda resource: make(resource.plan(State(), {}))
