"""Inventories for tests: written in the current folder, and loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from provision.errors import InventoryError
from provision.inventory import Host, Inventory, load

HOST = """\
hosts:
  web1:
    address: 203.0.113.10
"""


APP = """\
apps:
  shop:
    source: https://git.example.com/shop.git
    module: shop.main:app
    domains: [shop.example.com]
"""


HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"


CAS = (Path(__file__).parent / "unit/ca.pem").read_text()


LAYERS = """\
port: 1
user: top
timezone: Europe/Berlin
packages: [top]
apps:
  shop:
    source: https://git.example.com/shop.git
    python: "3.12.1"
    module: shop.main:app
    domains: ["{host}.example.com", shop.example.com]
    environment: {A: top, B: top, C: top}
groups:
  first: {port: 2, user: first, apps: {shop: {environment: {B: first}, health: /first}}}
  second:
    user: second
    packages: [second]
    hosts: [web2]
    apps: {shop: {python: {optimized: true}, health: {timeout: 5}, source: {revision: main}}}
hosts:
  web1:
    address: 203.0.113.10
    groups: [first, second, loose]
    timezone:
    apps: {shop: {workers: 2, environment: {C: web1, A: }}}
  web2: {address: 203.0.113.11, groups: [first]}
  web3: {address: 203.0.113.12, apps: {shop: }}
"""


def source(more: str, repository: str = "git@git.example.com:shop.git") -> str:
    """An inventory whose app has this repository, and more keys of its source."""
    return APP.replace("https://git.example.com/shop.git", f"{{repository: '{repository}', {more}}}") + HOST


def write(text: str, name: str = "prod.yml") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def inventory(text: str, environ: Mapping[str, str] | None = None) -> Inventory:
    return load(write(text), environ or {})


def host(text: str, name: str = "web1", environ: Mapping[str, str] | None = None) -> Host:
    return inventory(text, environ).hosts[name]


def errors(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(InventoryError) as caught:
        inventory(text, environ)
    assert str(caught.value) == "\n".join(caught.value.errors)
    assert caught.value.__cause__ is None
    return list(caught.value.errors)


def at(line: int, message: str) -> str:
    return f"prod.yml:{line}: {message}"
