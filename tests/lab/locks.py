"""Locks of Poetry and PDM for small projects, as these tools write them."""

import hashlib
import json
import tomllib
from typing import Any

FILES = {
    "idna": ("3.4", "idna-3.4-py3-none-any.whl", "90b77e79eaa3eba6de819a0c442c0b4ceefc341a7a2ab77d7562bf49f425c5c2"),
    "iniconfig": (
        "2.0.0",
        "iniconfig-2.0.0-py3-none-any.whl",
        "b6a85871a79d2e3b22d2d1b94ac2824226a63c6b741c88f7ae975f18b6778374",
    ),
    "six": (
        "1.16.0",
        "six-1.16.0-py2.py3-none-any.whl",
        "8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254",
    ),
    "sniffio": (
        "1.3.0",
        "sniffio-1.3.0-py3-none-any.whl",
        "eecefdce1e5bbfb7ad2eeaabf7c1eeb404d7757c379bd1f7e5cce9d8bf425384",
    ),
    "tomli": (
        "2.0.1",
        "tomli-2.0.1-py3-none-any.whl",
        "939de3e7a6161af0c887ef91b7d41a53e7c5a1ca976325f429cb46ea9bc30ecc",
    ),
}
"""Packages without dependencies: a version that is not their newest, its wheel, and that wheel's SHA-256."""


def files(name: str) -> str:
    """A package's entry for its files, as both tools write it."""
    _, file, digest = FILES[name]
    return f'files = [\n    {{file = "{file}", hash = "sha256:{digest}"}},\n]\n'


def poetry_package(name: str, group: str = "main", more: str = "", old: bool = False) -> str:
    """A package's entry in a poetry.lock; `old`: as Poetry 1 writes it, which notes no groups."""
    optional = "true" if more.startswith("markers = ") and "extra" in more else "false"
    groups = "" if old else f'groups = ["{group}"]\n{more}'
    return (
        f'[[package]]\nname = "{name}"\nversion = "{FILES[name][0]}"\ndescription = ""\noptional = {optional}\n'
        f'python-versions = "*"\n{groups}{files(name)}\n'
    )


def poetry_sourced(name: str, version: str, files: str, source: str) -> str:
    """A package's entry in a poetry.lock that does not come from the public index."""
    return (
        f'[[package]]\nname = "{name}"\nversion = "{version}"\ndescription = ""\noptional = false\npython-versions = "*"\n'
        f'groups = ["main"]\nfiles = [{files}]\n\n[package.source]\n{source}\n'
    )


def poetry_lock(project: str, packages: str, tail: str = "", version: str = "2.1") -> str:
    """A poetry.lock for a pyproject.toml with [tool.poetry] alone."""
    poetry = tomllib.loads(project)["tool"]["poetry"]
    keys = ("dependencies", "source", "extras", "dev-dependencies")
    content: dict[str, Any] = {key: poetry.get(key) for key in keys} | {
        key: poetry[key] for key in ("group",) if key in poetry
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    python = poetry["dependencies"]["python"]
    return f'{packages}{tail}[metadata]\nlock-version = "{version}"\npython-versions = "{python}"\ncontent-hash = "{digest}"\n'


def pdm_package(name: str, group: str = "default", more: str = "") -> str:
    """A package's entry in a pdm.lock."""
    return f'[[package]]\nname = "{name}"\nversion = "{FILES[name][0]}"\nsummary = ""\ngroups = ["{group}"]\n{more}{files(name)}\n'


def pdm_lock(project: str, packages: str, groups: tuple[str, ...]) -> str:
    """A pdm.lock for a pyproject.toml."""
    content = tomllib.loads(project)
    declared = content["project"]
    hashed = {
        "sources": content.get("tool", {}).get("pdm", {}).get("source", []),
        "dependencies": declared["dependencies"],
        "dev-dependencies": content.get("dependency-groups", {}),
        "optional-dependencies": declared.get("optional-dependencies", {}),
        "requires-python": declared["requires-python"],
        "resolution": {},
    }
    digest = hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()
    return (
        f'[metadata]\ngroups = {json.dumps(["default", *groups])}\nstrategy = ["inherit_metadata"]\nlock_version = "4.5.0"\n'
        f'content_hash = "sha256:{digest}"\n\n[[metadata.targets]]\nrequires_python = "{declared["requires-python"]}"\n\n{packages}'
    )
