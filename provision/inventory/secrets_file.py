"""The secrets beside an inventory: NAME.secrets.yml.age, a flat mapping of names to text, encrypted."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import InventoryError
from provision.inventory import age
from provision.inventory.dotenv import variable_name, variable_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    import yaml

SHORTEST = 4
"""Characters; what is shorter stands in too much text to be hidden there."""


def beside(inventory: Path) -> Path:
    """Where an inventory's secrets are."""
    return inventory.with_name(f"{inventory.stem}.secrets.yml.age")


def read(file: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The secrets in a file, by name. Raises InventoryError, which quotes nothing of them."""
    return parse(age.decrypt(file, environ), file)


def write(file: Path, text: str, environ: Mapping[str, str] = os.environ) -> None:
    """Encrypt a text that parses to its recipients as they are now. Raises InventoryError; then the file is as it was.

    What the user could not read any more is not written.
    """
    recipients = age.recipients_of(file)
    parse(text, file)
    content = age.encrypt(text, recipients)
    try:
        age.opened(content, file, environ)
    except InventoryError:
        raise InventoryError(
            [f"{recipients}: none of your keys is in it, so you could not read the secrets again; add yours"]
        ) from None
    try:
        _replace(file, content)
    except OSError as error:
        raise InventoryError([f"{file}: cannot be written: {error.strerror}"]) from None


def _replace(file: Path, content: bytes) -> None:
    """Write beside and rename. A new file is for all to read: it is encrypted."""
    mode = file.stat().st_mode & 0o777 if file.exists() else 0o644
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as beside:
        try:
            beside.write(content)
            beside.flush()
            os.fsync(beside.fileno())
            Path(beside.name).chmod(mode)
            Path(beside.name).replace(file)
        except OSError:
            Path(beside.name).unlink()
            raise


def parse(text: str, file: Path) -> dict[str, str]:
    """The secrets in a decrypted text. Raises InventoryError with the line, which quotes nothing of the values."""
    found = {}
    for key, value in _entries(text, file):
        name, line = key.value, key.start_mark.line + 1
        if name in found:
            raise InventoryError([f"{file}: line {line}: {name} is written twice; keep one"])
        found[name] = _value(name, value, f"{file}: line {line}")
    return found


def changed(text: str, file: Path, name: str, value: str) -> str:
    """The text with one secret set, and the rest, comments too, as it was. Raises InventoryError."""
    variable_name(name)
    written = json.dumps(value, ensure_ascii=False)
    for key, node in _entries(text, file):
        if key.value == name:
            old = text[node.start_mark.index : node.end_mark.index]
            end = "\n" if old.endswith("\n") else ""
            return f"{text[: node.start_mark.index]}{written}{end}{text[node.end_mark.index :]}"
    gap = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{gap}{name}: {written}\n"


def unfit(name: str, value: str) -> str:
    """What to say of a value that could not be hidden, or would not arrive; empty for others."""
    if len(value.strip()) < SHORTEST:
        return f"{name} has fewer than {SHORTEST} characters, which cannot be hidden in what is printed; make it longer"
    try:
        variable_value(value)
    except ValueError as error:
        return f"{name}: {error}"
    return ""


def _entries(text: str, file: Path) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    import yaml

    from provision.inventory.parse import LOADER

    try:
        root = yaml.compose(text, Loader=LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        how = 'not YAML; write NAME: value, and quote a value that has ": ", "#" or quotes in it'
        raise InventoryError([f"{file}: {where}{how}"]) from None
    if root is None:
        return []
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise InventoryError([f"{file}: not a mapping; write NAME: value, one a line"])
    for key, _ in root.value:
        try:
            variable_name(str(key.value))
        except ValueError:
            how = "not a name and a value; write NAME: value, the name of letters, digits and _"
            raise InventoryError([f"{file}: line {key.start_mark.line + 1}: {how}"]) from None
    return list(root.value)


def _value(name: str, node: yaml.Node, where: str) -> str:
    import yaml

    if not isinstance(node, yaml.ScalarNode) or not node.tag.startswith("tag:yaml.org,2002:"):
        raise InventoryError([f"{where}: the value of {name} is not text; quote it"])
    value: str = node.value
    if why := unfit(name, value):
        raise InventoryError([f"{where}: {why}"])
    return value
