"""uv, which installs the packages of releases."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import words
from provision.release import shell
from provision.release.layout import Tools

UV = "0.13.9"


@dataclass(frozen=True, slots=True)
class Uv:
    """The pinned installer, which reads requirements.txt, pyproject.toml and uv.lock alike.

    PYTHON/bin/python3 installs it; uv itself is a program that needs no Python to stay.
    """

    python: str
    index: str = ""
    version: str = UV

    @property
    def path(self) -> str:
        """Its folder; the program is PATH/bin/uv."""
        return Tools(self.version).uv

    @property
    def ref(self) -> Ref:
        return Ref("uv", self.version)

    def probe(self) -> Probe:
        return Probe("uv_probe", shell.LIBRARY, (self.version,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state:
            return None
        script = words("uv_install", self.version, self.python, self.index)
        return Change(self.ref, f"install uv {self.version}", script, shell.LIBRARY)
