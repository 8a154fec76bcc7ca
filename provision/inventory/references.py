"""Values that an inventory does not have itself: !secret NAME, !env NAME and !command [WORD, ...]."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from provision.inventory import secrets_file
from provision.inventory.nodes import Node
from provision.inventory.wording import suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from provision.inventory.problems import Problems

COMMAND_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a value is to be had: a name among the secrets or in the environment, or a command that prints it.

    The value of one `for_file` stands in place of a file: it is what the file would have.
    """

    kind: Literal["secret", "env", "command"]
    words: tuple[str, ...]
    for_file: bool = False

    def __str__(self) -> str:
        return f"!{self.kind} {self.words[0]}"


@dataclass(slots=True)
class Secrets:
    """What references lead to. Files are decrypted, and commands run, when something asks for them, and once.

    Later files override earlier ones.
    """

    files: Sequence[Path]
    environ: Mapping[str, str]
    contents: dict[Path, bytes] = field(default_factory=dict, repr=False)
    """What stands in place of files, by the paths that are used for them."""
    _named: dict[str, str] | None = field(default=None, repr=False)
    _printed: dict[tuple[str, ...], str | ValueError] = field(default_factory=dict, repr=False)

    def value(self, reference: Reference) -> str:
        """The value itself. Raises ValueError, and InventoryError for a file that cannot be used."""
        name = reference.words[0]
        if reference.kind == "command":
            found = self._command(reference.words)
        elif reference.kind == "env":
            found = self._of_environment(name)
        elif name in self.named():
            found = self.named()[name]
        else:
            raise ValueError(self._unknown(name))
        if why := secrets_file.unfit(f"the value of {reference}", found):
            raise ValueError(why)
        return found

    def file(self, reference: Reference) -> Path:
        """A path by which the value is found in `contents`. Raises like `value`."""
        content = self.value(reference).encode() + b"\n"
        path = Path(str(reference))
        while self.contents.setdefault(path, content) != content:
            path = path.with_name(f"{path.name}'")
        return path

    def variable(self, name: str) -> str:
        """A secret, or else a variable of this machine's environment. Raises like `value`."""
        if name in self.named():
            return self.named()[name]
        if name not in self.environ and any(file.is_file() for file in self.files):
            hint = suggestion(name, self.named()) or f"; add it with `invoke secrets.set --key {name}`"
            raise ValueError(f"{name} is neither in {self.files[-1]} nor set in the environment of this machine{hint}")
        found = self._of_environment(name)
        if why := secrets_file.unfit(name, found):
            raise ValueError(why)
        return found

    def named(self) -> dict[str, str]:
        """The secrets in the files."""
        if self._named is None:
            found: dict[str, str] = {}
            for file in self.files:
                if file.is_file():
                    found |= secrets_file.read(file, self.environ)
            self._named = found
        return self._named

    def _of_environment(self, name: str) -> str:
        if name not in self.environ:
            raise ValueError(f"{name} is not set in the environment of this machine; export {name}=...")
        return self.environ[name]

    def _unknown(self, name: str) -> str:
        """What to say of a name that no file has: the name alone, never a value."""
        last = self.files[-1] if self.files else "a secrets file"
        add = f"add it with `invoke secrets.set --key {name}`"
        if not any(file.is_file() for file in self.files):
            return f"there is no {name}, because there is no file {last}; {add}"
        return f"there is no {name} in {last}{suggestion(name, self.named()) or f'; {add}'}"

    def _command(self, words: tuple[str, ...]) -> str:
        if words not in self._printed:
            try:
                self._printed[words] = _output(words)
            except ValueError as error:
                self._printed[words] = error
        found = self._printed[words]
        if isinstance(found, ValueError):
            raise found
        return found


def _output(words: tuple[str, ...]) -> str:
    """What a command prints, without the last newline. Raises ValueError, without anything that it printed."""
    name, see = words[0], "run it by itself to see why"
    try:
        ran = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ValueError(f"the command {name} has not ended after {COMMAND_SECONDS} seconds; {see}") from None
    except (OSError, ValueError):
        raise ValueError(f"the command {name} cannot be run; install it, or correct its name") from None
    if ran.returncode:
        raise ValueError(f"the command {name} failed (exit status {ran.returncode}); {see}")
    try:
        return ran.stdout.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError(f"the command {name} printed what is not UTF-8 text; let it print text") from None


def without(node: Node) -> Node:
    """A tree without what refers to something, and without lists that have such items."""
    if isinstance(node.data, Reference):
        return Node(node.location, None)
    if isinstance(node.data, dict):
        return Node(node.location, {key: without(child) for key, child in node.data.items()}, node.text)
    if isinstance(node.data, list):
        items = [without(item) for item in node.data]
        referring = any(isinstance(item.data, Reference) for item in node.data)
        return Node(node.location, None if referring else items, node.text)
    return node


def resolved(node: Node, secrets: Secrets, problems: Problems, values: set[str]) -> Node:
    """A tree with values in place of what refers to them; they are added to `values`, and what is wrong to `problems`."""
    if isinstance(node.data, Reference):
        try:
            if node.data.for_file:
                return Node(node.location, str(secrets.file(node.data)))
            value = secrets.value(node.data)
        except ValueError as error:
            problems.add(node.location, str(error))
            return Node(node.location, None)
        values.add(value)
        return Node(node.location, value, value, str(node.data))
    if isinstance(node.data, dict):
        below = {key: resolved(child, secrets, problems, values) for key, child in node.data.items()}
        return Node(node.location, below, node.text)
    if isinstance(node.data, list):
        return Node(node.location, [resolved(item, secrets, problems, values) for item in node.data], node.text)
    return node
