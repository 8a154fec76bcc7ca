"""Git repositories for the tests' own apps, served to the lab."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.lab.conftest import LAB, SUITE

NEW, OLD = "fastapi==0.165.0", "fastapi==0.115.0"
"""What the tests' apps require, and what the Python of Debian 11 can run."""


@dataclass(frozen=True)
class Repository:
    """A bare repository that the lab's servers reach at `url`; `folder` is its work tree."""

    name: str
    folder: Path

    @classmethod
    def create(cls, name: str, folder: Path) -> "Repository":
        """Make an empty repository, in place of an earlier one of this name."""
        made = cls(name, folder)
        made.remove()
        folder.mkdir(parents=True)
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", made.path], check=True)
        return made

    @property
    def path(self) -> Path:
        """Where the bare repository is on this machine."""
        return LAB / f"git/{self.name}.git"

    @property
    def url(self) -> str:
        """Where servers find it."""
        return f"git://10.213.0.1/{self.name}.git"

    def commit(self, files: Mapping[str, str], branch: str = "main") -> str:
        """Write files, commit the whole work tree to a branch, and return the commit's hash.

        Only main keeps the commit in the work tree.
        """
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content.replace(NEW, OLD) if SUITE == "bullseye" else content)
        self._git("symbolic-ref", "HEAD", "refs/heads/main")
        self._git("add", "--all")
        self._git("-c", "user.name=tests", "-c", "user.email=tests@lab.test", "commit", "--quiet", "-m", "A commit")
        commit = self._git("rev-parse", "HEAD")
        if branch != "main":
            self._git("update-ref", f"refs/heads/{branch}", commit)
            self._git("reset", "--hard", "--quiet", "HEAD^")
        return commit

    def remove(self) -> None:
        """Remove the bare repository."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _git(self, *arguments: str) -> str:
        words = ["git", f"--git-dir={self.path}", f"--work-tree={self.folder}", *arguments]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
