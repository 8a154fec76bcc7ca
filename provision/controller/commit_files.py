"""What a commit has: the names of its files, and the texts of a few."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from provision.controller.commits import SECONDS, git, pinned
from provision.inventory import Source

# A commit can name more files than any memory holds, by folders that are the same again and again, or have a file without an end. In bytes.
MOST_NAMES, MOST_TEXT = 64 * 1024**2, 64 * 1024**2


@dataclass(frozen=True, slots=True)
class CommitFiles:
    """`names` are the paths of all files from the top of the repository; `texts` has those that were wanted, by path."""

    names: frozenset[str]
    texts: Mapping[str, str]


@dataclass(frozen=True)
class Commit:
    """A commit, `id` (40 hex digits) of a source. Its files are read once, when they are first asked for."""

    source: Source
    id: str
    wanted: Callable[[str], bool]
    _read: list[CommitFiles | None] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def files(self) -> CommitFiles | None:
        """None where they cannot be read from here; the server finds out later."""
        with self._lock:
            if not self._read:
                self._read.append(read(self.source, self.id, self.wanted))
            return self._read[0]


def read(source: Source, commit: str, wanted: Callable[[str], bool]) -> CommitFiles | None:
    """The files of a commit, with the texts of those whose paths are `wanted`; None where they cannot be read from here.

    Of a repository, only the commit's folders and the wanted files are fetched, where the remote supports filters.
    """
    try:
        if source.push:
            return _files(("-C", str(source.push)), commit, wanted, lambda _: None)
        with tempfile.TemporaryDirectory(prefix="provision-") as folder, pinned(source) as environ:
            git("init", "--quiet", "--bare", folder)
            git("--git-dir", folder, "config", "remote.origin.url", source.location)
            fetch = ("--git-dir", folder, "fetch", "--quiet", "--no-tags", "--filter=blob:none")
            if git(*fetch, "--depth=1", "origin", commit, environ=environ).returncode:
                return None
            return _files(
                ("--git-dir", folder),
                commit,
                wanted,
                lambda ids: git(*fetch, "--no-write-fetch-head", "origin", *ids, environ=environ),
            )
    except subprocess.TimeoutExpired:
        return None


def _files(
    where: Sequence[str], commit: str, wanted: Callable[[str], bool], fetch: Callable[[Sequence[str]], object]
) -> CommitFiles | None:
    listed = _said((*where, "ls-tree", "-r", "-z", "--full-tree", commit), MOST_NAMES)
    if listed is None:
        return None
    # MODE TYPE ID<tab>PATH, see git-ls-tree(1). A link (120000) and a submodule (160000) have no text of their own.
    ids = {}
    # A path is bytes, in whatever encoding its author had.
    for line in listed.decode(errors="replace").split("\0"):
        about, _, path = line.partition("\t")
        # git itself checks out no path that leads out of the tree, but lists it.
        if path and not {"", ".", ".."} & set(path.split("/")):
            mode, _, ids[path] = about.split(" ")
            if mode in ("120000", "160000") or not wanted(path):
                ids[path] = ""
    asked = {path: each for path, each in ids.items() if each}
    if asked:
        fetch(tuple(asked.values()))
    texts = {
        path: text for path, text in zip(asked, _texts(where, tuple(asked.values())), strict=True) if text is not None
    }
    return CommitFiles(frozenset(ids), texts) if len(texts) == len(asked) else None


def _texts(where: Sequence[str], ids: Sequence[str]) -> tuple[str | None, ...]:
    """What the objects say; None for one that is not there, and for all if they are too large. The format is that of git-cat-file(1), --batch."""
    said = _said((*where, "cat-file", "--batch"), MOST_TEXT, "\n".join(ids))
    if said is None:
        return (None,) * len(ids)
    rest, texts = said, list[str | None]()
    for _ in ids:
        head, _, rest = rest.partition(b"\n")
        kind, _, size = head.partition(b" ")[2].partition(b" ")
        texts.append(rest[: int(size)].decode(errors="replace") if kind == b"blob" else None)
        rest = rest[int(size) + 1 :] if kind == b"blob" else rest
    return tuple(texts)


def _said(words: Sequence[str], most: int, asked: str = "") -> bytes | None:
    """What git answers; None where it fails, prints more than `most` bytes, or takes longer than it may."""
    # Left alone, git would fetch a missing object by itself, without the pinned host key, and ask for passwords.
    words = ("git", "-c", "protocol.allow=never", *words)
    with tempfile.TemporaryFile() as given:
        given.write(asked.encode())
        given.seek(0)
        with subprocess.Popen(words, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            timer = threading.Timer(SECONDS, process.kill)
            timer.start()
            try:
                said = process.stdout.read(most + 1) if process.stdout else b""
                if len(said) > most:
                    process.kill()
                return said if process.wait() == 0 and len(said) <= most else None
            finally:
                timer.cancel()
