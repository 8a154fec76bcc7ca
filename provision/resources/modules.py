"""Modules that the kernel does not load."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.plan import diff
from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import heredoc, joined, library, words
from provision.resources import dropin

LIBRARY = joined(dropin.LIBRARY, library(__file__))
HEADER = "# Written by provision (hardening: system).\n"


@dataclass(frozen=True, slots=True)
class ForbiddenModules:
    """Modules that nothing makes the kernel load, by a file of modprobe.d(5) at `path`; without names, that file is not there.

    One that is loaded is in use, and stays allowed: without it, the server might not come up again.
    """

    path: str
    names: tuple[str, ...] = ()

    @property
    def ref(self) -> Ref:
        return Ref("modules", self.path)

    def probe(self) -> Probe:
        return Probe("modules_probe", LIBRARY, (self.path, " ".join(name.replace("-", "_") for name in self.names)))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        there = base64.b64decode(state["content"]).decode(errors="replace")
        loaded = state.all("loaded")
        names = [name for name in self.names if name.replace("-", "_") not in loaded]
        wanted = HEADER + "".join(f"blacklist {name}\ninstall {name} /bin/false\n" for name in names) if names else ""
        if state["file"] == ("yes" if wanted else "no") and there == wanted:
            return None
        kept = f"; {', '.join(loaded)}: loaded, and stays" if loaded and wanted else ""
        what = f"{self.path}: modules that the kernel does not load{kept}" if wanted else f"remove {self.path}"
        return Change(
            self.ref,
            what,
            heredoc(words("modules_file", self.path), wanted.encode()),
            LIBRARY,
            diff(self.path, there, wanted),
        )
