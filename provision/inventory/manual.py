"""The manual of the inventory, made from the models' own descriptions: `python -m provision.inventory.manual`."""

from __future__ import annotations

import json
import re
import textwrap
import types
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic_core import PydanticUndefined

from provision.inventory.app import App
from provision.inventory.host import Host
from provision.inventory.inventory_file import MODELS, InventoryFile
from provision.inventory.model import Model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic.fields import FieldInfo

ROOT = Path(__file__).parents[2]

INTRODUCTION = """\
# The inventory

Made by `python -m provision.inventory.manual` from the models in `provision/inventory/`; change those instead.

An inventory is one YAML file, `inventories/NAME.yml`. `--host NAME` means all of its hosts; a group or a host
is named in the same way. This is enough for one server and one app:

```yaml
{smallest}```

**Layers.** Keys of [Host](#host) at the top of the file hold for all hosts, those under `groups` for the
hosts of a group, those of a host for itself. A host wins over its groups, a later group over an earlier one,
and each of them over the top. Mappings are merged key by key, so `apps: {{shop: {{workers: 2}}}}` under
a host changes only that. Lists and single values replace. An empty value (`null`) goes back to the default.

**Includes.** The values of an included file lie underneath those of the file that includes it. Paths are
relative to the file in which they are written, and `~` is the home folder.

**Secrets.** Values of `env_file`, `secrets` and `environment`, and the `index` of mirrors, are never shown.

**Mistakes.** Everything is checked before any connection is made. Each mistake is one line with its place:

    inventories/prod.yml:7: hosts.web1.prot: unknown key; did you mean "port"?

`inventories/staging.example.yml` and `inventories/production.example.yml` show every key.
"""

SMALLEST = """\
hosts:
  web1: 203.0.113.10
apps:
  shop:
    source: https://git.example.com/shop.git
    module: shop.main:app
    domains: [shop.example.com]
"""

EXAMPLE = """\
# {title}. Copy this file to inventories/{name}.yml and make it yours.
# A line that begins with "#" and no space is a setting that is not in use: its default, or an example.
# The manual is docs/inventory.md, and `invoke plan --host {name}` shows what a run would change.

"""

SHARED: dict[str, Any] = {
    "apps.shop.source.repository": "https://git.example.com/shop.git",
    "apps.shop.source.revision": "main",
    "apps.shop.module": "shop.main:app",
    "apps.shop.python.version": "3.13.5",
    "apps.shop.domains": ["shop.example.com"],
    "apps.shop.environment": {"LOG_LEVEL": "info"},
    "apps.shop.static": {"/static": "static"},
    "tls.issuer": "letsencrypt",
    "tls.email": "ops@example.com",
}
EXAMPLES: dict[str, tuple[str, dict[str, Any], str]] = {
    "staging": (
        "A staging server, with certificates that browsers distrust",
        SHARED
        | {
            "apps.shop.domains": ["shop.staging.example.com"],
            "apps.shop.environment": {"LOG_LEVEL": "debug"},
            "tls.issuer": "letsencrypt-staging",
            "tls.hsts": False,
        },
        """\
  staging1: 203.0.113.20
""",
    ),
    "production": (
        "Two servers in production",
        SHARED | {"apps.shop.memory_max": "512M", "apps.shop.health.path": "/health"},
        """\
  web1:
    address: 203.0.113.10
    groups: [web]
  web2:
    address: 203.0.113.11
    groups: [web]
    apps:
      shop:
        workers: 2
""",
    ),
}
GROUPS = """\
  web:
    packages: [htop]
"""


def _type(annotation: Any) -> str:
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _type(args[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(arg) for arg in args if arg is not type(None))
    if origin is Literal:
        return ", ".join(f"`{arg}`" for arg in args)
    if origin is list:
        return f"list of {_type(args[0])}"
    if origin is dict:
        return f"name to {_type(args[1])}"
    if issubclass(annotation, Model):
        short = " or text" if annotation.shorthand else ""
        return f"[{annotation.__name__}](#{annotation.__name__.lower()}){short}"
    return {str: "text", int: "number", bool: "true or false", Path: "path"}[annotation]


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z/~.][\w./@:+~-]*[\w/]|[\w.]*[A-Za-z.][\w.]*", value):
        return value if not re.fullmatch(r"[\d.]+", value) or value == "." else json.dumps(value)
    return json.dumps(value)


def _default(item: FieldInfo) -> str:
    if item.is_required():
        return "required"
    value = item.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, Model) and value.shorthand:
        value = getattr(value, value.shorthand)
    if value is PydanticUndefined or value in (None, "", [], {}) or isinstance(value, Model):
        return ""
    return f"`{_value(value)}`"


def _table(model: type[Model]) -> Iterator[str]:
    yield f"\n## {model.__name__ if model is not InventoryFile else 'The file'}\n"
    yield f"{model.__doc__}\n"
    yield "| Key | Type | Default | Meaning |"
    yield "|---|---|---|---|"
    for name, item in model.settings().items():
        yield f"| `{name}` | {_type(item.annotation)} | {_default(item)} | {item.description} |"


def page() -> str:
    """docs/inventory.md."""
    models: tuple[type[Model], ...] = (InventoryFile, *MODELS)
    lines = [line for model in models for line in _table(model)]
    return INTRODUCTION.format(smallest=SMALLEST) + "\n".join(lines) + "\n"


def _comment(text: str, indent: str) -> Iterator[str]:
    yield from textwrap.wrap(text, 108, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _settings(model: type[Model], path: str, used: Mapping[str, Any], depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, item in model.settings().items():
        here = f"{path}{name}"
        if model is Host and name in ("address", "groups", "apps"):
            continue
        yield from _comment(item.description or "", indent)
        below = item.annotation
        if isinstance(below, type) and issubclass(below, Model):
            yield f"{indent}{name}:"
            yield from _settings(below, f"{here}.", used, depth + 1)
        elif here in used:
            yield f"{indent}{name}: {_value(used[here])}"
        else:
            default = _default(item).strip("`")
            value = default if default not in ("", "required") else _value((item.examples or [None])[0])
            yield f"{indent}#{name}: {value}"


def example(name: str) -> str:
    """inventories/NAME.example.yml, with every key there is; `name` is one of EXAMPLES."""
    title, used, hosts = EXAMPLES[name]
    layout = InventoryFile.model_fields
    lines = [
        *_comment(layout["include"].description or "", ""),
        "#include: common.yml",
        "",
        *_settings(Host, "", used, 0),
        "",
        *_comment(Host.model_fields["apps"].description or "", ""),
        "apps:",
        "  shop:",
        *_settings(App, "apps.shop.", used, 2),
        "",
        *_comment(layout["groups"].description or "", ""),
        "groups:",
    ]
    return (
        EXAMPLE.format(title=title, name=name)
        + "\n".join(lines)
        + f"\n{GROUPS}\n"
        + "\n".join([*_comment(layout["hosts"].description or "", ""), "hosts:"])
        + f"\n{hosts}"
    )


def files() -> dict[Path, str]:
    """Every file that this module makes, by its path in the project."""
    examples = {Path("inventories") / f"{name}.example.yml": example(name) for name in EXAMPLES}
    return {Path("docs/inventory.md"): page(), **examples}


if __name__ == "__main__":
    for path, text in files().items():
        (ROOT / path).write_text(text, encoding="utf-8")
        print(path)
