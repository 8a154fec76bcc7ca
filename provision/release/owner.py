"""Whose an app on a server is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import words
from provision.release import shell


@dataclass(frozen=True, slots=True)
class Owner:
    """The server has a note of which inventory the app came from, and since when. The first one stays."""

    app: str
    inventory: str

    @property
    def ref(self) -> Ref:
        return Ref("owner", self.app)

    def probe(self) -> Probe:
        return Probe("mark_probe", shell.LIBRARY, (self.app, "owner"))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state["mark"]:
            return None
        name = re.sub("[^A-Za-z0-9._-]", "-", self.inventory) or "-"
        script = f'{words("mark_write", self.app, "owner")} "{name} $(date -u +%Y-%m-%dT%H:%M:%SZ)"'
        return Change(self.ref, f"{self.app}: note that it is of the inventory {name}", script, shell.LIBRARY)
