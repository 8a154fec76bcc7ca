"""Several servers: prepared at once, activated one after another, and back together when a release fails."""

import json

import pytest

from provision import lab
from tests.lab.conftest import Controller, https, shell
from tests.lab.repository import Repository

HOSTS = ("lab1", "lab2", "lab3")


def commits() -> list[str]:
    """What each host serves."""
    return [json.loads(https(host, "/health", f"fleet.{host}.test").stdout)["commit"] for host in HOSTS]
