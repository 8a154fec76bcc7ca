"""What the user declares: hosts, groups and apps, checked before any connection."""

from provision.errors import InventoryError
from provision.inventory.load import find, load
from provision.inventory.models import (
    GENERATE,
    MODELS,
    App,
    Context,
    Host,
    Inventory,
    Mirrors,
    Model,
    Python,
    Schedule,
    Source,
    display,
    host_key,
    known_as,
    known_names,
    suggestion,
)

__all__ = [
    "GENERATE",
    "MODELS",
    "App",
    "Context",
    "Host",
    "Inventory",
    "InventoryError",
    "Mirrors",
    "Model",
    "Python",
    "Schedule",
    "Source",
    "display",
    "find",
    "host_key",
    "known_as",
    "known_names",
    "load",
    "suggestion",
]
