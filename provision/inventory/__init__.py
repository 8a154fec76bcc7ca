"""What the user declares: hosts, groups and apps, checked before any connection."""

from provision.inventory.app import App
from provision.inventory.build import Build
from provision.inventory.egress import Egress
from provision.inventory.find import every, find
from provision.inventory.hardening import Hardening
from provision.inventory.headers import Headers
from provision.inventory.health import Health
from provision.inventory.hooks import Hooks
from provision.inventory.host import Host
from provision.inventory.host_keys import host_key, known_as
from provision.inventory.inventory import Inventory
from provision.inventory.inventory_file import MODELS, InventoryFile
from provision.inventory.limits import Limits
from provision.inventory.load import load
from provision.inventory.mirrors import Mirrors
from provision.inventory.model import Model
from provision.inventory.python import Python
from provision.inventory.requirements import Requirements
from provision.inventory.rollout import Rollout
from provision.inventory.schedule import Schedule
from provision.inventory.source import GENERATE, Source
from provision.inventory.tls import TLS

__all__ = [
    "GENERATE",
    "MODELS",
    "TLS",
    "App",
    "Build",
    "Egress",
    "Hardening",
    "Headers",
    "Health",
    "Hooks",
    "Host",
    "Inventory",
    "InventoryFile",
    "Limits",
    "Mirrors",
    "Model",
    "Python",
    "Requirements",
    "Rollout",
    "Schedule",
    "Source",
    "every",
    "find",
    "host_key",
    "known_as",
    "load",
]
