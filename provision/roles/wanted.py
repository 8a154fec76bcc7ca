"""What the controller wants on a server, and brings with it: the other half of what roles need beside facts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from provision.resources.python import CachedPython


def _none() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Wanted:
    """By app: the `commits` and the `releases` (ids) to deploy, the `packs` of commits to send, and `host_keys`, the
    lines of a known_hosts file for repositories that are read over SSH.

    `pythons` are the packed Pythons that the controller has for this server, by name, and `archives` says where it keeps
    those that the server builds; a Python that is not in it is not kept. `token` opens the previews that are to be made.
    """

    commits: Mapping[str, str] = field(default_factory=_none)
    releases: Mapping[str, str] = field(default_factory=_none)
    packs: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))
    host_keys: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    pythons: Mapping[str, CachedPython] = field(default_factory=lambda: MappingProxyType({}))
    archives: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))
    token: str = ""
