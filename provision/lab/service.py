"""A service of the lab: one detached process on the bridge's address."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from provision.lab import network, process
from provision.lab.machine import LabError, until

if TYPE_CHECKING:
    from provision.lab.folder import Folder


@dataclass(frozen=True)
class Service:
    """A command that listens on a port of the bridge's address."""

    name: str
    port: int
    command: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)


def running(folder: Folder, service: Service) -> bool:
    """Whether the process is alive and its port answers."""
    return process.alive(folder, service.name) is not None and answers(service.port)


def answers(port: int) -> bool:
    """Whether the port of the bridge's address accepts connections."""
    try:
        with socket.create_connection((network.GATEWAY, port), timeout=1):
            return True
    except OSError:
        return False


def start(folder: Folder, service: Service) -> None:
    """Start the service unless it is running. Raises LabError."""
    if running(folder, service):
        return
    process.end(folder, service.name)
    if answers(service.port):
        raise LabError(f"Port {service.port} of {network.GATEWAY} is taken by another process: ss -lptn")
    process.spawn(folder, service.name, *service.command, env=service.env)
    if not until(lambda: running(folder, service) or process.alive(folder, service.name) is None, timeout=10):
        raise LabError(f"{service.name} does not answer:\n{process.said(folder, service.name)}")
    if process.alive(folder, service.name) is None:
        raise LabError(f"{service.name} did not start:\n{process.said(folder, service.name)}")
