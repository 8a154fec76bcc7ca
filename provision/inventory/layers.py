"""An inventory's layers as they are written: YAML that knows its file and line, and what lies over what."""

from __future__ import annotations

import os
import re
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import yaml

from provision.inventory.models import (
    MODELS,
    TLS,
    App,
    Health,
    Hooks,
    Host,
    InventoryFile,
    Mirrors,
    Model,
    Python,
    Rollout,
    Source,
    display,
    expanded,
    suggestion,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Place(NamedTuple):
    """Where something was written: file, line (from 1), and dotted path from the file's top."""

    file: Path
    line: int
    path: str


class Problem(NamedTuple):
    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.line else f"{self.file}: {self.text}"


@dataclass(slots=True)
class Node:
    """A YAML value that knows where it was written. `data` is a dict or list of Nodes, or a plain value."""

    place: Place
    data: Any
    text: str = ""

    def plain(self) -> Any:
        """The value itself; keys whose value is null are left out, so that the default holds."""
        if isinstance(self.data, dict):
            return {key: node.plain() for key, node in self.data.items() if node.data is not None}
        if isinstance(self.data, list):
            return [node.plain() for node in self.data]
        return self.data

    def items(self) -> Iterator[tuple[str, Node]]:
        return iter(self.data.items() if isinstance(self.data, dict) else ())


class Problems:
    """All that is wrong so far, each thing once."""

    def __init__(self) -> None:
        self.found: dict[Problem, None] = {}

    def add(self, place: Place, message: str) -> None:
        text = f"{place.path}: {message}" if place.path else message
        self.found[Problem(str(place.file), place.line, re.sub(r"[\x00-\x1f\x7f]+", " ", text))] = None

    def lines(self) -> list[str]:
        return [str(problem) for problem in sorted(self.found)]


Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _scalar(node: yaml.ScalarNode) -> Any:
    text: str = node.value
    kind = node.tag.rpartition(":")[2]
    if kind == "null":
        return None
    if kind == "bool" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind == "int" and re.fullmatch(r"[-+]?(0|[1-9]\d{0,17})", text):
        return int(text)
    if kind == "float" and re.fullmatch(r"[-+]?\d*\.\d+|[-+]?\d+\.\d*", text):
        return float(text)
    return text


def _tree(node: yaml.Node, place: Place, problems: Problems, above: tuple[yaml.Node, ...] = ()) -> Node:
    if node in above:
        problems.add(place, "an alias inside its own anchor; write the value out")
        return Node(place, None)
    if not node.tag.startswith("tag:yaml.org,2002:"):
        problems.add(place, "a value that begins with ! is a YAML tag, which means nothing here; quote the value")
    above = (*above, node)
    if isinstance(node, yaml.ScalarNode):
        return Node(place, _scalar(node), node.value)
    if isinstance(node, yaml.SequenceNode):
        return Node(
            place,
            [
                _tree(
                    item,
                    Place(place.file, item.start_mark.line + 1, f"{place.path}[{index}]"),
                    problems,
                    above,
                )
                for index, item in enumerate(node.value)
            ],
        )
    inherited: dict[str, Node] = {}
    data: dict[str, Node] = {}
    for key, value in node.value:
        line = (value if isinstance(value, yaml.ScalarNode) and value.value else key).start_mark.line + 1
        if key.tag == "tag:yaml.org,2002:merge":
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                for name, child in _tree(source, Place(place.file, line, place.path), problems, above).items():
                    inherited.setdefault(name, child)
            continue
        if not isinstance(key, yaml.ScalarNode):
            problems.add(Place(place.file, line, place.path), "a key must be one word; quote what begins with { or [")
            continue
        name = key.value
        path = f"{place.path}.{name}" if place.path else name
        if name in data:
            problems.add(
                Place(place.file, key.start_mark.line + 1, path),
                f"written twice, first in line {data[name].place.line}; keep one",
            )
            continue
        data[name] = _tree(value, Place(place.file, line, path), problems, above)
    return Node(place, inherited | data)


def merge(base: Node, over: Node) -> Node:
    if not isinstance(base.data, dict) or not isinstance(over.data, dict):
        return over
    data = dict(base.data)
    for key, node in over.data.items():
        data[key] = merge(data[key], node) if key in data else node
    return Node(base.place, data)


class Shape(NamedTuple):
    """What a key holds, as far as layers must know it to be merged."""

    kind: Literal["model", "models", "file", "text", "other"]
    model: type[Model] = Model
    words: frozenset[str] = frozenset()  # which are no paths, where a file is meant


def _leaves(annotation: Any) -> set[Any]:
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _leaves(args[0])
    if origin in (typing.Union, types.UnionType):
        return set().union(*map(_leaves, args))
    if origin in (list, dict):
        return _leaves(args[-1])
    return set(args) if origin is Literal else {annotation}


def _shape(annotation: Any) -> Shape:
    leaves = _leaves(annotation) - {type(None)}
    words = frozenset(leaf for leaf in leaves if isinstance(leaf, str))
    leaves = leaves - words | ({str} if words else set())
    if Path in leaves:
        return Shape("file", words=words)
    leaf = next(iter(leaves))
    if isinstance(leaf, type) and issubclass(leaf, Model):
        return Shape("models" if typing.get_origin(annotation) is dict else "model", leaf)
    return Shape("text" if leaves == {str} else "other")


SHAPES = {
    model: {name: _shape(item.annotation) for name, item in model.model_fields.items() if name != "name"}
    for model in MODELS
}
OWNERS = {
    name: f"{prefix}{name}"
    for model, prefix in (
        (Mirrors, "mirrors."),
        (Health, "apps.NAME.health."),
        (Python, "apps.NAME.python."),
        (Source, "apps.NAME.source."),
        (TLS, "tls."),
        (Rollout, "rollout."),
        (Hooks, "apps.NAME.hooks."),
        (App, "apps.NAME."),
    )
    for name in SHAPES[model]
}
HOST_KEYS = frozenset(SHAPES[Host])
SHARED_KEYS = HOST_KEYS - {"address", "groups"}
GROUP_KEYS = SHARED_KEYS | {"hosts"}
TOP_KEYS = SHARED_KEYS | InventoryFile.model_fields.keys()


def _unknown(key: str, known: Iterable[str]) -> str:
    if key in ("address", "groups", "name"):
        return f'"{key}" belongs to one host; write it under hosts.NAME'
    near = suggestion(key, known)
    if key in OWNERS:
        near = f'; did you mean "{OWNERS[key]}"?'
    return f"unknown key{near or '; known are: ' + ', '.join(sorted(known))}"


def _normal(node: Node, model: type[Model], problems: Problems, known: Iterable[str] = ()) -> Node:
    """One layer, with shorthands written out, paths made absolute, and unknown keys reported and left out."""
    if model.shorthand and not isinstance(node.data, dict | list | bool | None):
        node = Node(node.place, {model.shorthand: node})
    if not isinstance(node.data, dict):
        return node
    shapes = SHAPES[model]
    keys = known or shapes
    data = {}
    for key, child in node.data.items():
        if key not in keys:
            place = child.place
            problems.add(place, _unknown(key, keys))
        elif key not in shapes:
            data[key] = child
        else:
            data[key] = _shaped(child, shapes[key], problems)
    return Node(node.place, data)


def _shaped(node: Node, shape: Shape, problems: Problems) -> Node:
    if shape.kind == "model":
        return _normal(node, shape.model, problems)
    if shape.kind == "models" and isinstance(node.data, dict):
        return Node(node.place, {key: _normal(child, shape.model, problems) for key, child in node.items()})
    if shape.kind == "file" and isinstance(node.data, str) and node.data and node.data not in shape.words:
        path = node.place.file.parent.absolute() / expanded(node.data)
        return Node(node.place, os.path.normpath(path), node.text)
    return _as_written(node) if shape.kind == "text" else node


def _as_written(node: Node) -> Node:
    if isinstance(node.data, dict):
        return Node(node.place, {key: _as_written(child) for key, child in node.data.items()})
    if isinstance(node.data, list):
        return Node(node.place, [_as_written(child) for child in node.data])
    return (
        Node(node.place, node.text, node.text)
        if isinstance(node.data, int | float) and not isinstance(node.data, bool)
        else node
    )


def _syntax(error: yaml.YAMLError, source: str) -> tuple[int, str]:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", "") or "not YAML")
    line = mark.line + 1 if mark else 1 + source[: getattr(error, "position", 0)].count("\n")
    lines = source.splitlines()
    written = lines[line - 1] if line <= len(lines) else ""
    if "\t" in written[: len(written) - len(written.lstrip())]:
        return line, "a tab, which YAML does not allow for indentation; use spaces"
    if "single document" in str(error):
        return line, 'a second document begins here; remove the "---"'
    if "undefined alias" in problem:
        return line, "a value that begins with * means an alias, and there is no such anchor; quote the value"
    if "mapping values are not allowed" in problem:
        return (
            line,
            'not YAML: a ":" where none can be; check the indentation, and quote values with ": " in them',
        )
    if "cannot start any token" in problem:
        return line, "not YAML: a value cannot begin with this character; quote the value"
    return line, f"not YAML: {problem}; check the indentation, quotes and brackets"


def parse(file: Path, problems: Problems) -> Node | None:
    """One file as written, or None and the reason in `problems`."""
    top = Place(file, 1, "")
    try:
        source = file.read_text(encoding="utf-8")
        root = yaml.compose(source, Loader=Loader)
    except UnicodeDecodeError:
        problems.add(top, "not UTF-8 text; save it as UTF-8")
    except OSError as error:
        problems.add(top, f"cannot be read: {error.strerror}")
    except yaml.YAMLError as error:
        line, message = _syntax(error, source)
        problems.add(Place(file, line, ""), message)
    except RecursionError:
        problems.add(top, "nested too deeply")
    else:
        if root is None or (isinstance(root, yaml.ScalarNode) and not root.value.strip()):
            problems.add(top, "the file is empty; begin with hosts:")
        elif not isinstance(root, yaml.MappingNode):
            problems.add(top, "not a mapping; begin with hosts:")
        else:
            return _tree(root, top, problems)
    return None


def _included(node: Node | None, problems: Problems) -> Iterator[Node]:
    if node is None or node.data is None:
        return
    for item in node.data if isinstance(node.data, list) else [node]:
        if isinstance(item.data, str) and item.data:
            yield item
        else:
            problems.add(item.place, "not a path; write the path of another inventory, or a list of them")


class Layers(NamedTuple):
    """A file with all that it includes: their trees, lowest first, and the includes that are missing."""

    documents: list[Node]
    missing: list[tuple[Place, str]]


def collect(file: Path, problems: Problems, above: tuple[Path, ...] = ()) -> Layers:
    root = parse(file, problems)
    layers = Layers([], [])
    if root is None:
        return layers
    above = (*above, file.resolve())
    for item in _included(root.data.get("include"), problems):
        path = Path(os.path.normpath(file.parent / expanded(item.data)))
        if not path.is_file():
            lab = path.parent.name == ".lab"
            hint = (
                "start the lab with `invoke lab.up`" if lab else "correct the path, which starts at this file's folder"
            )
            layers.missing.append((item.place, f"there is no file {path}; {hint}"))
        elif path.resolve() in above:
            problems.add(item.place, f"{item.data} includes this file again; remove one of the two includes")
        else:
            below = collect(path, problems, above)
            layers.documents.extend(below.documents)
            layers.missing.extend(below.missing)
    layers.documents.append(root)
    return layers


def _host_layer(node: Node, problems: Problems) -> Node:
    if isinstance(node.data, str | int | float) and not isinstance(node.data, bool):
        address = Node(node.place._replace(path=f"{node.place.path}.address"), node.text, node.text)
        node = Node(node.place, {"address": address})
    return _section(node, problems, HOST_KEYS)


def _section(node: Node, problems: Problems, keys: Iterable[str]) -> Node:
    if node.data is None:
        return Node(node.place, {})
    if not isinstance(node.data, dict):
        problems.add(node.place, f"{display(node.data)} is not a mapping; write keys and values below it")
        return Node(node.place, None)
    return _normal(node, Host, problems, keys)


def normalized(root: Node, problems: Problems) -> Node:
    """A file's tree with every layer in it made normal."""
    sections = {key: node for key, node in root.items() if key in ("hosts", "groups")}
    rest = Node(root.place, {key: node for key, node in root.items() if key not in (*sections, "include")})
    document = _normal(rest, Host, problems, TOP_KEYS)
    document.data.update(sections)
    for key, layer in (("hosts", _host_layer), ("groups", lambda n, p: _section(n, p, GROUP_KEYS))):
        node = document.data.get(key)
        if node is None or node.data is None:
            document.data.pop(key, None)
        elif not isinstance(node.data, dict):
            problems.add(node.place, f"{display(node.data)} is not a mapping; write names and what belongs to them")
            document.data.pop(key)
        else:
            layers = {name: layer(child, problems) for name, child in node.items()}
            valid = {name: child for name, child in layers.items() if child.data is not None}
            document.data[key] = Node(node.place, valid)
    return document


def names(node: Node | None) -> list[Node]:
    data = node.data if node else None
    return [item for item in data if isinstance(item.data, str)] if isinstance(data, list) else []


class Outline(NamedTuple):
    """What a file speaks of, valid or not: its groups, its hosts, and the files that it includes."""

    groups: set[str]
    hosts: set[str]
    includes: set[Path]


def outline(file: Path, problems: Problems) -> Outline:
    found = Outline(set(), set(), set())
    for root in collect(file, problems).documents:
        found.includes.add(root.place.file)
        for name, _ in root.data["groups"].items() if "groups" in root.data else ():
            found.groups.add(name)
        for name, host in root.data["hosts"].items() if "hosts" in root.data else ():
            found.hosts.add(name)
            listed = host.data.get("groups") if isinstance(host.data, dict) else None
            found.groups.update(item.text for item in names(listed))
    return found._replace(includes=found.includes - {file})
