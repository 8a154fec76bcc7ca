"""An inventory's file, loaded and checked."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from provision.errors import InventoryError
from provision.inventory import remote
from provision.inventory.collisions import collisions
from provision.inventory.explain import discreet, explain, locate
from provision.inventory.host import Host
from provision.inventory.inventory import Inventory
from provision.inventory.layers import collect, normalize
from provision.inventory.model import Context
from provision.inventory.nodes import Node, merge
from provision.inventory.problems import Problems
from provision.inventory.references import Secrets, resolved, without
from provision.inventory.secrets_file import beside
from provision.inventory.shapes import SHARED_KEYS
from provision.inventory.wording import display, suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from provision.inventory.tls import TLS


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Inventory:
    """The inventory in a file, with the files that it includes.

    Raises InventoryError with everything that is wrong with it.
    """
    path = Path(path)
    if not path.is_file():
        raise InventoryError([f"{path}: there is no such file; correct the path"])
    problems = Problems()
    document, files = _document(path, environ, problems)
    groups = _membership(document, problems)
    nodes = {name: _host_node(name, groups[name], document) for name in document.data["hosts"].data}
    context = Context(environ, given=Secrets([*map(beside, files)], environ))
    known_values: set[str] = set()
    missing = Problems()
    nodes = {name: resolved(node, context.secrets, missing, known_values) for name, node in nodes.items()}
    problems.extend(missing)
    hidden = frozenset(known_values)
    found = {name: _validate(node, context, problems, hidden) for name, node in nodes.items()} if not missing else {}
    hosts = {name: host for name, host in found.items() if host}
    _check_together(hosts, nodes, problems, hidden)
    if problems:
        raise InventoryError(problems.lines())
    declared = [name for name, _ in _section(document, "groups")]
    known = dict.fromkeys([*declared, *(group for host in hosts.values() for group in host.groups)])
    return Inventory(
        path=path,
        name=path.stem,
        hosts=remote.acquainted(hosts),
        groups={group: tuple(name for name, host in hosts.items() if group in host.groups) for group in known},
    )


def _document(path: Path, environ: Mapping[str, str], problems: Problems) -> tuple[Node, list[Path]]:
    """All layers of a file in one, each checked by itself, and their files. Raises InventoryError if nothing more can be checked."""
    layers = collect(path, problems)
    for location, message in layers.missing:
        problems.add(location, message)
    documents = [normalize(root, problems) for root in layers.documents]
    if not documents or documents[-1].location.file != path or layers.missing:
        raise InventoryError(problems.lines())
    partial = Context(environ, partial=True)
    document = Node(documents[-1].location, {})
    for layer in documents:
        _check_layer(layer, problems, partial)
        for _, group in _section(layer, "groups"):
            _check_layer(group, problems, partial)
        document = merge(document, layer)
    if not _section(document, "hosts"):
        hosts = document.get("hosts")
        if not problems.about("hosts"):
            location = hosts.location if hosts else document.location.key("hosts")
            problems.add(location, "no hosts; write for example hosts: {web1: 203.0.113.10}")
        raise InventoryError(problems.lines())
    return document, [layer.location.file for layer in documents]


def _section(document: Node, key: str) -> list[tuple[str, Node]]:
    """The hosts or groups of a document, by name."""
    section = document.get(key)
    return [*section.items()] if section else []


def _shared(layer: Node) -> Node:
    """The keys of a layer that hold for each of its hosts."""
    return Node(layer.location, {key: node for key, node in layer.items() if key in SHARED_KEYS})


def _check_layer(layer: Node, problems: Problems, context: Context) -> None:
    shared = without(_shared(layer))
    _validate(Node(layer.location, {**shared.data, "name": Node(layer.location, "host")}), context, problems)


def _validate(node: Node, context: Context, problems: Problems, hidden: frozenset[str] = frozenset()) -> Host | None:
    try:
        return Host.model_validate(node.plain() | {"hidden": hidden}, context=context)
    except ValidationError as invalid:
        for error in invalid.errors(include_url=False):
            if not (context.partial and error["type"] == "missing"):
                problems.add(locate(node, error["loc"]), discreet(explain(error), node, error["loc"], hidden))
    return None


def _membership(document: Node, problems: Problems) -> dict[str, list[str]]:
    """The groups of each host: those that it lists, then those that list it."""
    declared, hosts = dict(_section(document, "groups")), dict(_section(document, "hosts"))
    groups: dict[str, list[str]] = {}
    for name, host in hosts.items():
        listed = host.get("groups")
        groups[name] = list(dict.fromkeys(item.data for item in listed.texts())) if listed else []
        for item in listed.texts() if listed else ():
            near = suggestion(item.data, declared) if item.data not in declared else ""
            if near and re.sub(r"\d", "", item.data) != re.sub(r"\d", "", near.split('"')[1]):
                problems.add(item.location, f'the group "{item.data}" is not under groups{near} (or add it there)')
    for name, group in declared.items():
        _add_members(name, group.get("hosts"), groups, problems)
    for name in {*declared, *(group for listed in groups.values() for group in listed)} & hosts.keys():
        location = declared[name].location if name in declared else hosts[name].location
        problems.add(location, f'"{name}" is a host and a group; rename one of them')
    return groups


def _add_members(name: str, members: Node | None, groups: dict[str, list[str]], problems: Problems) -> None:
    """Add a group to the hosts that it lists."""
    if members is None:
        return
    if members.data is not None and not isinstance(members.data, list):
        problems.add(members.location, f"{display(members.data)} is not a list; write [HOST, HOST]")
    for item in members.texts():
        if item.data not in groups:
            hint = suggestion(item.data, groups) or "; add it under hosts"
            problems.add(item.location, f'there is no host "{item.data}"{hint}')
        elif name not in groups[item.data]:
            groups[item.data].append(name)


def _host_node(name: str, groups: Sequence[str], document: Node) -> Node:
    """A host's own values over those of its groups, and those over the top's."""
    own = document.data["hosts"].data[name]
    node = _shared(document)
    declared = dict(_section(document, "groups"))
    for group in groups:
        if group in declared:
            node = merge(node, _shared(declared[group]))
    data = {**merge(node, own).data, "name": Node(own.location, name, name)}
    written = data.get("groups")
    if written is None or written.data is None or isinstance(written.data, list):
        known = {item.data: item for item in written.texts()} if written else {}
        odd = [item for item in written.data if not isinstance(item.data, str)] if written and written.data else []
        items = [known.get(group) or Node(own.location, group, group) for group in groups] + odd
        data["groups"] = Node(written.location if written else own.location, items)
    return Node(own.location, data)


def _check_together(
    hosts: Mapping[str, Host], nodes: Mapping[str, Node], problems: Problems, hidden: frozenset[str]
) -> None:
    for collision in (*collisions(hosts.values()), *remote.problems(hosts)):
        node, path = nodes[collision.host], collision.path
        problems.add(locate(node, path), discreet(collision.message, node, path, hidden))
    for name, host in hosts.items():
        for app in host.apps.values():
            for index, domain in enumerate(app.domains):
                if message := _unobtainable(host.tls, domain):
                    path = ("apps", app.name, "domains", index)
                    problems.add(locate(nodes[name], path), discreet(message, nodes[name], path, hidden))


def _unobtainable(tls: TLS, domain: str) -> str:
    """Why there is no certificate for a domain; empty if there is one."""
    if tls.issuer == "files" and not tls.covers(domain):
        return f"the certificate in {tls.certificate} is not for {domain}; get one that is"
    if domain.startswith("*") and tls.issuer not in ("files", "self-signed") and not tls.dns:
        return f"issuers give a certificate for {domain} by DNS only; set tls.dns, or list each name"
    return ""
