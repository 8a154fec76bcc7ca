"""Files, directories, symbolic links, and paths at which there must be nothing."""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from provision.engine.plan import diff
from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import heredoc, library, words
from provision.errors import PlanError

LIBRARY = library(__file__)
SHOWN = 256 * 1024  # bytes of a file's present content that a probe brings back, for the diff


@dataclass(frozen=True, slots=True)
class _Found:
    """What is at a path: its type as stat(1) names it, empty if there is nothing, and the rest of the probe's
    record.
    """

    type: str
    mode: str = ""
    owner: str = ""
    group: str = ""
    value: str = ""  # a file's SHA-256, a link's target
    content: str = ""

    @classmethod
    def of(cls, state: State) -> "_Found":
        return cls(**state.records[0]) if state else cls("")

    def attributes(self, owner: str, group: str, mode: int) -> list[str]:
        """The attributes that differ, as text."""
        found = []
        if int(self.mode, 8) != mode:
            found.append(f"mode {self.mode} -> {mode:o}")
        if (self.owner, self.group) != (owner, group):
            found.append(f"owner {self.owner}:{self.group} -> {owner}:{group}")
        return found


@dataclass(frozen=True, slots=True)
class File:
    """A file with this content.

    `check` is a command that must succeed with the new file in place (`nginx -t`); if it fails, the old file is
    restored and the change fails. The values in a `secret` file, which has the form of an environment file (KEY=VALUE),
    are never shown. If it `keeps`, what the server had there is put back when this toolkit leaves.
    """

    path: str
    content: str = field(repr=False)
    owner: str = "root"
    group: str = "root"
    mode: int = 0o644
    secret: bool = False
    check: str = ""
    keeps: bool = False

    @staticmethod
    def ref_to(path: str) -> Ref:
        """The name of the file at a path."""
        return Ref("file", path)

    @property
    def ref(self) -> Ref:
        return self.ref_to(self.path)

    @property
    def sha256(self) -> str:
        """The content's SHA-256, in hexadecimal."""
        return hashlib.sha256(self.content.encode()).hexdigest()

    def probe(self) -> Probe:
        return Probe("file_probe", LIBRARY, (self.path, self.sha256))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        found = _Found.of(state)
        attributes = found.attributes(self.owner, self.group, self.mode) if found.type.startswith("regular") else []
        if found.type.startswith("regular") and found.value == self.sha256:
            if not attributes:
                return None
            summary = f"{self.path}: {', '.join(attributes)}"
            script = _attributes(self.path, self.owner, self.group, self.mode)
            return Change(self.ref, summary, _kept(self.path, self.keeps, script), LIBRARY)
        seen = base64.b64decode(found.content)
        old, new = seen.decode(errors="replace"), self.content
        if len(seen) >= SHOWN:
            new = new.encode()[:SHOWN].decode(errors="replace")
        if self.secret:
            old, new = _masked(old, new)
        what = "write" if found.type else "create"
        summary = f"{what} {self.path}" + (f" ({', '.join(attributes)})" if attributes else "")
        summary += f" (compared: its first {SHOWN // 1024} KB)" if len(seen) >= SHOWN else ""
        command = words("file_write", self.path, self.owner, self.group, f"{self.mode:o}", self.check)
        script = _kept(self.path, self.keeps, heredoc(command, self.content.encode()))
        return Change(self.ref, summary, script, LIBRARY, diff(self.path, old, new))


def _masked(old: str, new: str) -> tuple[str, str]:
    """Both texts with their values masked; a changed value still shows as changed."""
    values = dict(_entries(old))

    def mask(text: str, note: str) -> str:
        lines = []
        for key, value in _entries(text):
            changed = note and key in values and values[key] != value
            lines.append(f"{key}=********{note if changed else ''}" if key else value)
        return "\n".join(lines) + "\n" if lines else ""

    return mask(old, ""), mask(new, " (changed)")


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """The names and values of a file of KEY=VALUE; a value in double quotes may go on over lines.

    A comment has no name, and neither has what cannot be read, which is masked.
    """
    key, value = "", ""
    for line in text.split("\n"):
        if not key:
            found = re.match(r"([A-Za-z_]\w*)=", line)
            if not found:
                if line:
                    yield "", line if line.startswith("#") else "********"
                continue
            key, line = found[1], line[found.end() :]
        value += f"{line}\n"
        if re.sub(r"\\.", "", value, flags=re.DOTALL).count('"') % 2 == 0:
            yield key, value
            key, value = "", ""
    if key:
        yield key, value


def _kept(path: str, keeps: bool, script: str) -> str:
    """The script that changes a path; what the server has there is kept before, if it is to be put back one day."""
    return f"{words('found_keep', 'settings', path)}\n{script}" if keeps else script


def _attributes(path: str, owner: str, group: str, mode: int) -> str:
    return f"{words('chown', f'{owner}:{group}', path)}\n{words('chmod', f'{mode:o}', path)}"


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory, whatever is in it."""

    path: str
    owner: str = "root"
    group: str = "root"
    mode: int = 0o755

    @staticmethod
    def ref_to(path: str) -> Ref:
        """The name of the directory at a path."""
        return Ref("directory", path)

    @property
    def ref(self) -> Ref:
        return self.ref_to(self.path)

    def probe(self) -> Probe:
        return Probe("file_probe", LIBRARY, (self.path, "-"))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        found = _Found.of(state)
        if found.type == "symbolic link":
            raise PlanError(
                f"{self.path} is a link to {found.value}, and a directory is wanted: remove the link, "
                "or mount what it leads to there"
            )
        attributes = found.attributes(self.owner, self.group, self.mode) if found.type == "directory" else []
        if found.type == "directory" and not attributes:
            return None
        summary = f"{self.path}: {', '.join(attributes)}" if attributes else f"create {self.path}/"
        script = words("file_make_directory", self.path, self.owner, self.group, f"{self.mode:o}")
        return Change(self.ref, summary, script, LIBRARY)


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link to `target`. If it `keeps`, what the server had there is put back when this toolkit leaves."""

    path: str
    target: str
    keeps: bool = False

    @staticmethod
    def ref_to(path: str) -> Ref:
        """The name of the link at a path."""
        return Ref("link", path)

    @property
    def ref(self) -> Ref:
        return self.ref_to(self.path)

    def probe(self) -> Probe:
        return Probe("file_probe", LIBRARY, (self.path, "-"))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        found = _Found.of(state)
        if found.type == "symbolic link" and found.value == self.target:
            return None
        script = _kept(self.path, self.keeps, words("file_make_link", self.path, self.target))
        return Change(self.ref, f"link {self.path} -> {self.target}", script, LIBRARY)


@dataclass(frozen=True, slots=True)
class Absent:
    """Nothing at this path. A directory is removed with everything in it. A change of the resource `after` would put something there."""

    path: str
    after: Ref | None = None

    @property
    def ref(self) -> Ref:
        return Ref("absent", self.path)

    def probe(self) -> Probe:
        return Probe("file_probe", LIBRARY, (self.path, "-"))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if not _Found.of(state).type and self.after not in earlier:
            return None
        return Change(self.ref, f"remove {self.path}", words("rm", "-rf", "--", self.path), LIBRARY)
