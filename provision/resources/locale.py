"""Locales that have to be generated."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import library, words

LIBRARY = library(__file__)


@dataclass(frozen=True, slots=True)
class Locale:
    """A generated locale, such as de_DE.UTF-8."""

    name: str

    @property
    def ref(self) -> Ref:
        return Ref("locale", self.name)

    def probe(self) -> Probe:
        return Probe("locale_probe", LIBRARY, (self.name,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state:
            return None
        charset = self.name.partition(".")[2].partition("@")[0] or "ISO-8859-1"
        return Change(self.ref, f"generate locale {self.name}", words("locale_generate", self.name, charset), LIBRARY)
