"""The directives of an app's sandbox that the app can do without; release/sandbox.py has their values."""

from typing import Annotated

from pydantic import AfterValidator

from provision.inventory.wording import known_names

NAMES = (
    "AmbientCapabilities",
    "CapabilityBoundingSet",
    "KeyringMode",
    "LockPersonality",
    "MemoryDenyWriteExecute",
    "NoNewPrivileges",
    "PrivateDevices",
    "PrivateTmp",
    "PrivateUsers",
    "ProcSubset",
    "ProtectClock",
    "ProtectControlGroups",
    "ProtectHome",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "ProtectProc",
    "ProtectSystem",
    "RemoveIPC",
    "RestrictAddressFamilies",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "SystemCallArchitectures",
    "SystemCallErrorNumber",
    "SystemCallFilter",
    "TemporaryFileSystem",
    "UMask",
)


def _directive(value: str) -> str:
    if value not in NAMES:
        raise ValueError(f'"{value}" is not a directive of the sandbox{known_names(value, {"directives": NAMES})}')
    return value


Directive = Annotated[str, AfterValidator(_directive)]
