"""An inventory's layers: the files that it includes, and each of them with shorthands and paths written out."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from provision.inventory.app import App
from provision.inventory.backups import Backups
from provision.inventory.fields import expanded
from provision.inventory.host import Host
from provision.inventory.nodes import Node
from provision.inventory.references import Reference
from provision.inventory.shapes import GROUP_KEYS, HOST_KEYS, SHAPES, TOP_KEYS, Shape, unknown_key
from provision.inventory.source import Source
from provision.inventory.tls import TLS
from provision.inventory.wording import display

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from provision.inventory.model import Model
    from provision.inventory.problems import Location, Problems


CONTENTS = {(TLS, "certificate"), (TLS, "key"), (App, "env_file"), (Source, "deploy_key"), (Backups, "key")}
"""Keys with the path of a file of which only the content is used, so that a reference may take its place."""


class Layers(NamedTuple):
    """A file with all that it includes: their trees, lowest first, and the includes that are missing."""

    documents: list[Node]
    missing: list[tuple[Location, str]]


def collect(file: Path, problems: Problems, above: tuple[Path, ...] = ()) -> Layers:
    """Parse a file and all that it includes; `above` are the files that include it."""
    from provision.inventory.parse import parse

    root = parse(file, problems)
    layers = Layers([], [])
    if root is None:
        return layers
    above = (*above, file.resolve())
    for item in _includes(root.get("include"), problems):
        path = Path(os.path.normpath(file.parent / expanded(item.data)))
        if not path.is_file():
            lab = path.parent.name == ".lab"
            hint = (
                "start the lab with `invoke lab.up`" if lab else "correct the path, which starts at this file's folder"
            )
            layers.missing.append((item.location, f"there is no file {path}; {hint}"))
        elif path.resolve() in above:
            problems.add(item.location, f"{item.data} includes this file again; remove one of the two includes")
        else:
            below = collect(path, problems, above)
            layers.documents.extend(below.documents)
            layers.missing.extend(below.missing)
    layers.documents.append(root)
    return layers


def _includes(node: Node | None, problems: Problems) -> Iterator[Node]:
    if node is None or node.data is None:
        return
    for item in node.data if isinstance(node.data, list) else [node]:
        if isinstance(item.data, str) and item.data:
            yield item
        else:
            problems.add(item.location, "not a path; write the path of another inventory, or a list of them")


def normalize(root: Node, problems: Problems) -> Node:
    """A file's tree with shorthands written out and paths made absolute; unknown keys are reported and left out."""
    sections = {key: node for key, node in root.items() if key in ("hosts", "groups")}
    rest = Node(root.location, {key: node for key, node in root.items() if key not in (*sections, "include")})
    document = _model(rest, Host, problems, TOP_KEYS).data
    for key, layer in (("hosts", _host), ("groups", _group)):
        node = sections.get(key)
        if node is None or node.data is None:
            continue
        if not isinstance(node.data, dict):
            problems.add(node.location, f"{display(node.data)} is not a mapping; write names and what belongs to them")
            continue
        layers = {name: layer(child, problems) for name, child in node.items()}
        document[key] = Node(node.location, {name: child for name, child in layers.items() if child.data is not None})
    return Node(root.location, document)


def _host(node: Node, problems: Problems) -> Node:
    if isinstance(node.data, str | int | float) and not isinstance(node.data, bool):
        address = Node(node.location.key("address"), node.text, node.text)
        node = Node(node.location, {"address": address})
    return _section(node, problems, HOST_KEYS)


def _group(node: Node, problems: Problems) -> Node:
    return _section(node, problems, GROUP_KEYS)


def _section(node: Node, problems: Problems, keys: Iterable[str]) -> Node:
    if node.data is None:
        return Node(node.location, {})
    if not isinstance(node.data, dict):
        problems.add(node.location, f"{display(node.data)} is not a mapping; write keys and values below it")
        return Node(node.location, None)
    return _model(node, Host, problems, keys)


def _model(node: Node, model: type[Model], problems: Problems, known: Iterable[str] = ()) -> Node:
    """A model's keys; `known` are the keys that are allowed here, if not the model's own."""
    if model.short(node.data) and not isinstance(node.data, dict | list | bool | None):
        node = Node(node.location, {model.short(node.data): node})
    if not isinstance(node.data, dict):
        return node
    shapes = SHAPES[model]
    keys = known or shapes
    data = {}
    for key, child in node.items():
        if key not in keys:
            problems.add(child.location, unknown_key(key, keys))
        else:
            data[key] = _value(child, shapes[key], problems, (model, key) in CONTENTS) if key in shapes else child
    return Node(node.location, data)


def _value(node: Node, shape: Shape, problems: Problems, content: bool) -> Node:
    """What a key holds. `content` says whether, of a file, only what is in it matters."""
    if shape.kind == "model":
        return _model(node, shape.model, problems)
    if shape.kind == "models" and isinstance(node.data, dict):
        return Node(node.location, {key: _model(child, shape.model, problems) for key, child in node.items()})
    if shape.kind == "models" and isinstance(node.data, list):
        return Node(node.location, [_model(child, shape.model, problems) for child in node.data])
    if shape.kind == "file" and isinstance(node.data, Reference) and content:
        return Node(node.location, replace(node.data, for_file=True))
    if shape.kind == "file" and isinstance(node.data, Reference):
        problems.add(node.location, f"{node.data} is a value, and this is the path of a file; write the path")
        return Node(node.location, None)
    if shape.kind == "file" and isinstance(node.data, str) and node.data and node.data not in shape.words:
        path = node.location.file.parent.absolute() / expanded(node.data)
        return Node(node.location, os.path.normpath(path), node.text)
    return _as_text(node) if shape.kind == "text" else node


def _as_text(node: Node) -> Node:
    """Numbers as they are written: 1.10 stays 1.10."""
    if isinstance(node.data, dict):
        return Node(node.location, {key: _as_text(child) for key, child in node.items()})
    if isinstance(node.data, list):
        return Node(node.location, [_as_text(child) for child in node.data])
    number = isinstance(node.data, int | float) and not isinstance(node.data, bool)
    return Node(node.location, node.text, node.text) if number else node
