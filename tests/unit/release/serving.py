"""An app that is served, for tests: what a probe says of it, and a server's root folder with its slots."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from provision.engine.resource import Change, State
from provision.release.activation import Activation, Promotion
from provision.release.preview import NoPreview, Preview
from provision.release.slot import Health, Previewed, Serving, Slot
from tests.unit.conftest import Health as Answering
from tests.unit.conftest import planned as earlier

if TYPE_CHECKING:
    from pathlib import Path

    from provision.engine.resource import Resource

Ran = subprocess.CompletedProcess[str]
Shell = Callable[[str], Ran]
Observe = Callable[..., tuple[State, ...]]
Serve = Callable[..., Answering]

ID, OTHER = "20261121T230500-0123456", "20261001T000000-fedcba9"
TOKEN = "0123456789abcdef0123456789abcdef"
HEALTH = Health(path="/health", passes=3, timeout=30, watch=2, domain="shop.example.com")
SLOT = Slot(
    app="shop",
    manager="systemd",
    copies=(
        ("env", "e" * 64),
        ("gunicorn.conf.py", "c" * 64),
        ("units/shop@.service", "a" * 64),
        ("units/shop@.socket", "b" * 64),
    ),
    health=HEALTH,
    drain=60,
    keep=5,
    settings='{"module": "shop.main:app"}',
)
NO_NGINX = replace(SLOT, health=replace(HEALTH, domain=""))
ACTIVATION = Activation(SLOT, ID, "app", "print")
PREVIEW = Preview(SLOT, ID, "app", "print", TOKEN)
PROMOTION = Promotion(SLOT, ID, "app")
NO_PREVIEW = NoPreview(SLOT, ID)
SERVING = Serving(
    slot="blue",
    current=ID,
    fingerprint="print",
    active="active",
    enabled="enabled",
    reload="no",
    copies="same",
    health="200",
    down="",
    unfinished="",
    idle="inactive",
)
BEFORE = replace(SERVING, current=OTHER, fingerprint="older")
PREVIEWED = replace(BEFORE, previewed=Previewed(ID, "print", "200"))


def state(serving: Serving | None) -> State:
    """As the probe prints it."""
    if serving is None:
        return State()
    record = asdict(serving)
    release, fingerprint, health = record.pop("previewed").values()
    return State.of({**record, "previewed": release, "previewed_fingerprint": fingerprint, "previewed_health": health})


def change(resource: Resource, serving: Serving | None = SERVING, before: tuple[str, ...] = ()) -> Change | None:
    """The change that is needed where an app is served in this way, and these changes come before."""
    found = resource.plan(state(serving), earlier(*before))
    assert found is None or found.id == str(resource.ref)
    return found


def planned(resource: Resource, serving: Serving | None = None) -> Change:
    """The change that there must be."""
    found = change(resource, serving)
    assert found is not None
    return found


def summary(resource: Resource, serving: Serving | None = SERVING, before: tuple[str, ...] = ()) -> str | None:
    """The change's summary."""
    found = change(resource, serving, before)
    return found.summary if found else None


def function(script: str) -> str:
    """The call itself, without what it reads."""
    return script.splitlines()[-1]


def unit(name: str, more: str = "Restart=always\n", app: str = "shop") -> dict[str, str]:
    """A unit of the app's, for `fill`."""
    return {name: f"# provision: {app}. Something.\n[Service]\n{more}"}


def fill(folder: Path, **contents: str) -> Path:
    """A folder with these files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_text(content)
    return folder
