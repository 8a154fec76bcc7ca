"""Throw-away Debian servers on this machine, and the services that they need."""

from provision.lab.lab import Status, down, kill, reboot, reset, shell, ssh, start, status, stop, up
from provision.lab.machine import LabError

__all__ = [
    "LabError",
    "Status",
    "down",
    "kill",
    "reboot",
    "reset",
    "shell",
    "ssh",
    "start",
    "status",
    "stop",
    "up",
]
