"""What a commit only points to: submodules, and files in Git LFS. A release has what Git itself has of the commit, which is neither."""

import re
from collections.abc import Iterator, Mapping, Set
from fnmatch import fnmatchcase
from functools import cache
from pathlib import PurePosixPath

READ = re.compile(r"\.gitmodules|(.*/)?\.gitattributes")
# In .gitmodules, see gitmodules(5).
MODULE = re.compile(r'^\s*path\s*=\s*"?(.+?)"?\s*$', re.MULTILINE)
SHOWN = 3


def notes(app: str, names: Set[str], texts: Mapping[str, str]) -> Iterator[str]:
    """Lines on what is missing in a release, by the paths of all files of a commit and the texts of those that are READ."""
    modules = sorted(names & {*MODULE.findall(texts.get(".gitmodules", ""))})
    if modules:
        yield (
            f"{app}: not fetched, as submodules are not: {_some(modules)} is empty in the release: require it as a package (git+https://), let"
            " `build` fetch it, or commit its files"
        )
    large = sorted({name for path, text in texts.items() for name in _large(path, text, names)})
    if large:
        yield (
            f"{app}: not fetched, as what is in Git LFS is not: {_some(large)} is a pointer of a few lines in the release: let `build` fetch the"
            " file, or commit it without LFS"
        )


def _large(path: str, text: str, names: Set[str]) -> Iterator[str]:
    """The files that a .gitattributes leaves to Git LFS."""
    if PurePosixPath(path).name != ".gitattributes":
        return
    above = path.removesuffix(".gitattributes")
    for line in text.splitlines():
        pattern, *attributes = line.split() or [""]
        if "filter=lfs" in attributes:
            yield from (
                name for name in names if name.startswith(above) and _matches(name.removeprefix(above), pattern)
            )


def _matches(name: str, pattern: str) -> bool:
    """Whether a pattern means a file, both relative to the folder of the .gitattributes (gitignore(5))."""
    if "/" not in pattern:
        return fnmatchcase(PurePosixPath(name).name, pattern)
    parts, patterns = name.split("/"), pattern.strip("/").split("/")

    @cache
    def meets(part: int, at: int) -> bool:
        if at == len(patterns) or part == len(parts):
            return (part, at) == (len(parts), len(patterns)) or (part == len(parts) and patterns[at:] == ["**"])
        if patterns[at] == "**":
            return meets(part, at + 1) or meets(part + 1, at)
        return fnmatchcase(parts[part], patterns[at]) and meets(part + 1, at + 1)

    return meets(0, 0)


def _some(paths: list[str]) -> str:
    more = f" (and {len(paths) - SHOWN} more)" if len(paths) > SHOWN else ""
    return f"{', '.join(paths[:SHOWN])}{more}"
