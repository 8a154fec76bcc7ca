"""YAML files, parsed into nodes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from provision.inventory.nodes import Node
from provision.inventory.problems import Location, Problems
from provision.inventory.references import Reference

if TYPE_CHECKING:
    from pathlib import Path

TAGS = {"!secret": "a name, such as !secret DB_PASSWORD", "!env": "a name, such as !env DB_PASSWORD"}
TAGS["!command"] = "a list of words, such as !command [pass, show, shop/db]"
LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse(file: Path, problems: Problems) -> Node | None:
    """One file as it is written; None if it cannot be, with the reason in `problems`."""
    top = Location(file, 1, "")
    try:
        source = file.read_text(encoding="utf-8")
        root = yaml.compose(source, Loader=LOADER)
    except UnicodeDecodeError:
        problems.add(top, "not UTF-8 text; save it as UTF-8")
    except OSError as error:
        problems.add(top, f"cannot be read: {error.strerror}")
    except yaml.YAMLError as error:
        line, message = _syntax_error(error, source)
        problems.add(Location(file, line, ""), message)
    except RecursionError:
        problems.add(top, "nested too deeply")
    else:
        if root is None or (isinstance(root, yaml.ScalarNode) and not root.value.strip()):
            problems.add(top, "the file is empty; begin with hosts:")
        elif not isinstance(root, yaml.MappingNode):
            problems.add(top, "not a mapping; begin with hosts:")
        else:
            return _node(root, top, problems)
    return None


def _node(node: yaml.Node, location: Location, problems: Problems, above: tuple[yaml.Node, ...] = ()) -> Node:
    if node in above:
        problems.add(location, "an alias inside its own anchor; write the value out")
        return Node(location, None)
    if node.tag in TAGS:
        return _reference(node, location, problems)
    if not node.tag.startswith("tag:yaml.org,2002:"):
        problems.add(location, "a value that begins with ! is a YAML tag, which means nothing here; quote the value")
    above = (*above, node)
    if isinstance(node, yaml.ScalarNode):
        return Node(location, _scalar(node), node.value)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, location, problems, above)
    return Node(
        location,
        [
            _node(item, Location(location.file, _line(item), f"{location.path}[{index}]"), problems, above)
            for index, item in enumerate(node.value)
        ],
    )


def _reference(node: yaml.Node, location: Location, problems: Problems) -> Node:
    """What a tag refers to. Nothing of what is written there is repeated: it may be a secret in the wrong place."""
    words: tuple[str, ...] = ()
    if isinstance(node, yaml.SequenceNode) and node.tag == "!command":
        words = tuple(item.value if isinstance(item, yaml.ScalarNode) else "" for item in node.value)
    elif isinstance(node, yaml.ScalarNode) and node.tag != "!command":
        words = (node.value,) if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", node.value) else ()
    if not words or not all(words):
        problems.add(location, f"after {node.tag} comes {TAGS[node.tag]}")
        return Node(location, None)
    kind: Any = node.tag.removeprefix("!")
    return Node(location, Reference(kind, words))


def _mapping(node: yaml.MappingNode, location: Location, problems: Problems, above: tuple[yaml.Node, ...]) -> Node:
    inherited: dict[str, Node] = {}
    data: dict[str, Node] = {}
    for key, value in node.value:
        here = location._replace(line=_line(value if isinstance(value, yaml.ScalarNode) and value.value else key))
        if key.tag == "tag:yaml.org,2002:merge":
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                for name, child in _node(source, here, problems, above).items():
                    inherited.setdefault(name, child)
        elif not isinstance(key, yaml.ScalarNode):
            problems.add(here, "a key must be one word; quote what begins with { or [")
        elif key.value in data:
            first = data[key.value].location.line
            again = location._replace(line=_line(key)).key(key.value)
            problems.add(again, f"written twice, first in line {first}; keep one")
        else:
            data[key.value] = _node(value, here.key(key.value), problems, above)
    return Node(location, inherited | data)


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


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _syntax_error(error: yaml.YAMLError, source: str) -> tuple[int, str]:
    """The line of a mistake in the syntax, and what to do about it."""
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
