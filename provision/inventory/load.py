"""An inventory's file: loaded, checked, and found by the name of a host or group in it."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from provision.errors import InventoryError
from provision.inventory.layers import (
    SHAPES,
    SHARED_KEYS,
    Node,
    Place,
    Problems,
    Shape,
    collect,
    merge,
    names,
    normalized,
    outline,
)
from provision.inventory.models import Context, Host, Inventory, Model, display, known_names, suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

log = logging.getLogger(__name__)

QUIET = frozenset({"environment", "secrets", "index", "repository", "pyenv"})
MAPPING = ("is not a mapping", "write keys and values below it")
BOOLEAN = ("is not true or false", "write true or false")
KINDS = {
    "string_type": ("is not text", "put it in quotes if it is meant as text"),
    "list_type": ("is not a list", "write [ONE, TWO]"),
    "dict_type": MAPPING,
    "model_type": MAPPING,
    "bool_type": BOOLEAN,
    "bool_parsing": BOOLEAN,
    "path_type": ("is not a path", "write the path of a file"),
}


def _example(model: type[BaseModel], loc: Sequence[int | str]) -> str:
    """How to write the field at `loc`, taken from its first example."""
    shape = Shape("model", Host if model is Host else Model)
    for part in loc[:-1]:
        if shape.kind == "models":
            shape = Shape("model", shape.model)
        elif shape.kind == "model" and isinstance(part, str):
            shape = SHAPES[shape.model].get(part, Shape("other"))
    item = shape.model.model_fields.get(str(loc[-1])) if shape.kind == "model" else None
    example = item.examples[0] if item and item.examples else None
    value = f"[{example[0]}]" if isinstance(example, list) else example
    return f"; write for example {loc[-1]}: {value}" if value else ""


def _explain(error: Mapping[str, Any]) -> str:
    """A Pydantic error in the words of whoever writes an inventory."""
    kind, context = error["type"], error.get("ctx", {})
    quiet = QUIET.intersection(map(str, error["loc"]))
    value = "the value" if quiet else display(error["input"])
    if kind == "value_error":
        return str(context["error"])
    if kind == "missing":
        return f"missing{_example(Host, error['loc'])}"
    if kind == "literal_error":
        choices = [choice.strip("' ") for choice in re.split(r", | or ", context["expected"])]
        near = suggestion(str(error["input"]), choices)
        return f"{value} is not known; write {' or '.join(choices)}" if not near else f"{value} is not known{near}"
    if kind == "greater_than_equal":
        return f"{value} is too small; at least {context['ge']}"
    if kind == "less_than_equal":
        return f"{value} is too large; at most {context['le']}"
    if kind == "too_short":
        return "the list is empty; name at least one"
    if kind in KINDS:
        if error["input"] is None:
            return "the value is empty; write one, or remove the line"
        what, fix = KINDS[kind]
        if kind == "list_type" and isinstance(error["input"], str) and not quiet:
            fix = f"write [{error['input']}]"
        return f"{value} {what}; {fix}"
    return f"{value} is not valid: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _locate(root: Node, loc: Sequence[int | str]) -> Place:
    """Where the value at `loc` was written; for one that was not, the mapping that lacks it."""
    node = root
    for part in loc:
        if part == "[key]":
            break
        held = dict(enumerate(node.data)) if isinstance(node.data, list) else node.data
        if isinstance(held, dict) and part in held:
            node = held[part]
        elif isinstance(node.data, dict) and isinstance(part, str):
            path = f"{node.place.path}.{part}" if node.place.path else part
            return node.place._replace(path=path)
        else:
            break
    return node.place


def _validate(node: Node, context: Context, problems: Problems) -> Host | None:
    try:
        return Host.model_validate(node.plain(), context=context)
    except ValidationError as invalid:
        for error in invalid.errors(include_url=False):
            if not (context.partial and error["type"] == "missing"):
                problems.add(_locate(node, error["loc"]), _explain(error))
    return None


def _check_layer(layer: Node, problems: Problems, context: Context) -> None:
    data = {key: node for key, node in layer.data.items() if key in SHARED_KEYS}
    data["name"] = Node(layer.place, "host")
    _validate(Node(layer.place, data), context, problems)


def _membership(document: Node, problems: Problems) -> dict[str, list[str]]:
    """The groups of each host: those that it lists, then those that list it."""
    declared = dict(document.data["groups"].items()) if "groups" in document.data else {}
    hosts = dict(document.data["hosts"].items()) if "hosts" in document.data else {}
    groups: dict[str, list[str]] = {}
    for name, host in hosts.items():
        listed = names(host.data.get("groups"))
        groups[name] = list(dict.fromkeys(item.data for item in listed))
        for item in listed:
            near = suggestion(item.data, declared) if item.data not in declared else ""
            if near and re.sub(r"\d", "", item.data) != re.sub(r"\d", "", near.split('"')[1]):
                problems.add(item.place, f'the group "{item.data}" is not under groups{near} (or add it there)')
    for name, group in declared.items():
        members = group.data.get("hosts")
        if members is not None and members.data is not None and not isinstance(members.data, list):
            problems.add(members.place, f"{display(members.data)} is not a list; write [HOST, HOST]")
        for item in names(members):
            if item.data not in hosts:
                hint = suggestion(item.data, hosts) or "; add it under hosts"
                problems.add(item.place, f'there is no host "{item.data}"{hint}')
            elif name not in groups[item.data]:
                groups[item.data].append(name)
    for name in {*declared, *(group for listed in groups.values() for group in listed)} & hosts.keys():
        place = declared[name].place if name in declared else hosts[name].place
        problems.add(place, f'"{name}" is a host and a group; rename one of them')
    return groups


def _host_node(name: str, groups: Sequence[str], document: Node) -> Node:
    own = document.data["hosts"].data[name]
    node = Node(document.place, {key: item for key, item in document.data.items() if key in SHARED_KEYS})
    declared = document.data["groups"].data if "groups" in document.data else {}
    for group in groups:
        if group in declared:
            layer = declared[group]
            shared = {key: item for key, item in layer.items() if key in SHARED_KEYS}
            node = merge(node, Node(layer.place, shared))
    node = Node(own.place, merge(node, own).data)
    node.data["name"] = Node(own.place, name, name)
    written = node.data.get("groups")
    if written is None or written.data is None or isinstance(written.data, list):
        known = {item.data: item for item in names(written)}
        odd = [item for item in written.data if not isinstance(item.data, str)] if written and written.data else []
        items = [known.get(group) or Node(own.place, group, group) for group in groups] + odd
        node.data["groups"] = Node(written.place if written else own.place, items)
    return node


def _check_together(hosts: Mapping[str, Host], nodes: Mapping[str, Node], problems: Problems) -> None:
    addresses: dict[tuple[str, int, str | None], str] = {}
    for name, host in hosts.items():
        first = addresses.setdefault((host.address.lower(), host.port, host.proxy_jump), name)
        if host.address and first != name:
            place = _locate(nodes[name], ["address"])
            problems.add(place, f"hosts {first} and {name} have the same address; correct one, or remove it")
        units: dict[str, str] = {}
        for app_name, app in host.apps.items():
            for kind in ("processes", "schedules"):
                for process in getattr(app, kind):
                    other = units.setdefault(f"{app_name}-{process}", app_name)
                    if other != app_name:
                        place = _locate(nodes[name], ["apps", app_name, kind, process])
                        problems.add(
                            place, f"the apps {other} and {app_name} would both have a unit {app_name}-{process}"
                        )
        domains: dict[str, str] = {}
        for app_name, app in host.apps.items():
            for index, domain in enumerate(app.domains):
                other = domains.setdefault(domain, app_name)
                if other != app_name:
                    place = _locate(nodes[name], ["apps", app_name, "domains", index])
                    problems.add(place, f"the apps {other} and {app_name} of host {name} have the same domain {domain}")
                if host.tls.issuer == "files" and not host.tls.covers(domain):
                    place = _locate(nodes[name], ["apps", app_name, "domains", index])
                    problems.add(
                        place, f"the certificate in {host.tls.certificate} is not for {domain}; get one that is"
                    )


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Inventory:
    """The inventory in a file, with the files that it includes.

    Raises InventoryError with everything that is wrong with it.
    """
    path = Path(path)
    if not path.is_file():
        raise InventoryError([f"{path}: there is no such file; correct the path"])
    problems = Problems()
    layers = collect(path, problems)
    for place, message in layers.missing:
        problems.add(place, message)
    documents = [normalized(root, problems) for root in layers.documents]
    if not documents or documents[-1].place.file != path or layers.missing:
        raise InventoryError(problems.lines())

    partial = Context(environ, partial=True)
    document = Node(documents[-1].place, {})
    for layer in documents:
        _check_layer(layer, problems, partial)
        for _, group in layer.data["groups"].items() if "groups" in layer.data else ():
            _check_layer(group, problems, partial)
        document = merge(document, layer)
    if "hosts" not in document.data or not document.data["hosts"].data:
        place = document.data["hosts"].place if "hosts" in document.data else document.place._replace(path="hosts")
        if not any(problem.text.startswith("hosts") for problem in problems.found):
            problems.add(place, "no hosts; write for example hosts: {web1: 203.0.113.10}")
        raise InventoryError(problems.lines())

    groups = _membership(document, problems)
    nodes = {name: _host_node(name, groups[name], document) for name in document.data["hosts"].data}
    context = Context(environ)
    hosts = {name: host for name, node in nodes.items() if (host := _validate(node, context, problems))}
    _check_together(hosts, nodes, problems)
    if problems.found:
        raise InventoryError(problems.lines())
    declared = [*document.data["groups"].data] if "groups" in document.data else []
    known = dict.fromkeys([*declared, *(group for host in hosts.values() for group in host.groups)])
    return Inventory(
        path=path,
        name=path.stem,
        hosts=hosts,
        groups={group: tuple(name for name, host in hosts.items() if group in host.groups) for group in known},
    )


def find(
    name: str,
    folder: Path = Path("inventories"),
    file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> tuple[Inventory, tuple[Host, ...]]:
    """The inventory and hosts that `name` means: an inventory in `folder`, or a group or host in one.

    With `file`, only that one is looked at. Raises InventoryError for a name that is unknown or ambiguous and
    for an inventory that is invalid; one that cannot be read and need not be is only mentioned in the log.
    """
    own = folder / f"{name}.yml"
    if file is not None or own.is_file():
        inventory = load(file or own, environ)
        return inventory, inventory.select(name)
    files = sorted(path for path in folder.glob("*.yml") if not path.name.endswith(".example.yml"))
    problems = Problems()
    outlines = {path: outline(path, problems) for path in files}
    found = {path: each for path, each in outlines.items() if name in each.groups | each.hosts}
    included = set().union(*(each.includes for each in found.values()))
    found = {path: each for path, each in found.items() if path not in included}
    if len(found) > 1:
        places = " and ".join(map(str, found))
        raise InventoryError([f'"{name}" is ambiguous: in {places}; choose one with --inventory FILE'])
    if not files:
        raise InventoryError([f"{folder} has no inventory; copy one of its *.example.yml files to {own}"])
    if not found:
        known = {
            "inventories": [path.stem for path in files],
            "groups": sorted(set().union(*(each.groups for each in outlines.values()))),
            "hosts": sorted(set().union(*(each.hosts for each in outlines.values()))),
        }
        message = f'"{name}" is no inventory, group or host{known_names(name, known)}'
        raise InventoryError([message, *problems.lines()])
    for line in problems.lines():
        log.warning("%s", line)
    inventory = load(next(iter(found)), environ)
    return inventory, inventory.select(name)
