"""Which keys there are, and what each holds, as far as layers must know it to be merged."""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from provision.inventory.app import App
from provision.inventory.backups import Backups
from provision.inventory.build import Build
from provision.inventory.cache import Cache
from provision.inventory.database import Database
from provision.inventory.dns_challenge import DnsChallenge
from provision.inventory.egress import Egress
from provision.inventory.hardening import Hardening
from provision.inventory.headers import Headers
from provision.inventory.health import Health
from provision.inventory.hooks import Hooks
from provision.inventory.host import Host
from provision.inventory.inventory_file import MODELS, InventoryFile
from provision.inventory.limits import Limits
from provision.inventory.mirrors import Mirrors
from provision.inventory.model import Model
from provision.inventory.postgresql import PostgreSQL
from provision.inventory.python import Python
from provision.inventory.requirements import Requirements
from provision.inventory.rollout import Rollout
from provision.inventory.source import Source
from provision.inventory.tls import TLS
from provision.inventory.wording import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable


class Shape(NamedTuple):
    """What a key holds: a model, models by name or in a list, the path of a file, text, or anything else."""

    kind: Literal["model", "models", "file", "text", "other"]
    model: type[Model] = Model
    words: frozenset[str] = frozenset()
    """Words that are not paths, although the key holds the path of a file."""


def _types(annotation: Any) -> set[Any]:
    """The types of the values in an annotation, and the words of its literals."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _types(args[0])
    if origin in (typing.Union, types.UnionType):
        return set().union(*map(_types, args))
    if origin in (list, dict):
        return _types(args[-1])
    return set(args) if origin is Literal else {annotation}


def _shape(annotation: Any) -> Shape:
    found = _types(annotation) - {type(None)}
    words = frozenset(item for item in found if isinstance(item, str))
    found = found - words | ({str} if words else set())
    if Path in found:
        return Shape("file", words=words)
    one = next(iter(found))
    if isinstance(one, type) and issubclass(one, Model):
        return Shape("models" if typing.get_origin(annotation) in (dict, list) else "model", one)
    return Shape("text" if found == {str} else "other")


SHAPES = {model: {name: _shape(item.annotation) for name, item in model.settings().items()} for model in MODELS}
FULL_NAMES = {
    name: f"{prefix}{name}"
    for model, prefix in (
        (Requirements, "apps.NAME.requirements."),
        (Backups, "backups."),
        (Mirrors, "mirrors."),
        (Health, "apps.NAME.health."),
        (Python, "apps.NAME.python."),
        (Source, "apps.NAME.source."),
        (TLS, "tls."),
        (DnsChallenge, "tls.dns."),
        (Rollout, "rollout."),
        (Hooks, "apps.NAME.hooks."),
        (Build, "apps.NAME.build."),
        (Database, "apps.NAME.database."),
        (Cache, "apps.NAME.cache."),
        (Limits, "apps.NAME.limits."),
        (Egress, "apps.NAME.egress."),
        (Headers, "apps.NAME.headers."),
        (Hardening, "hardening."),
        (PostgreSQL, "postgresql."),
        (App, "apps.NAME."),
    )
    for name in SHAPES[model]
}
"""Where the keys of other models than Host belong. If an app and another model share a key, it is the app's."""
HOST_KEYS = frozenset(SHAPES[Host])
SHARED_KEYS = HOST_KEYS - {"address", "groups"}
GROUP_KEYS = SHARED_KEYS | {"hosts"}
TOP_KEYS = SHARED_KEYS | InventoryFile.model_fields.keys()


def unknown_key(key: str, known: Iterable[str]) -> str:
    """What to say of a key that is not known here."""
    if key in ("address", "groups", "name"):
        return f'"{key}" belongs to one host; write it under hosts.NAME'
    near = suggestion(key, known)
    if key in FULL_NAMES:
        near = f'; did you mean "{FULL_NAMES[key]}"?'
    return f"unknown key{near or '; known are: ' + ', '.join(sorted(known))}"


def example(loc: tuple[int | str, ...]) -> str:
    """How to write a host's field at `loc`, by its first example."""
    shape = Shape("model", Host)
    for part in loc[:-1]:
        if shape.kind == "models":
            shape = Shape("model", shape.model)
        elif shape.kind == "model" and isinstance(part, str):
            shape = SHAPES[shape.model].get(part, Shape("other"))
    item = shape.model.model_fields.get(str(loc[-1])) if shape.kind == "model" else None
    written = item.examples[0] if item and item.examples else None
    value = f"[{written[0]}]" if isinstance(written, list) else written
    return f"; write for example {loc[-1]}: {value}" if value else ""
