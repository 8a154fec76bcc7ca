"""System users and their groups."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import library, words

LIBRARY = library(__file__)


@dataclass(frozen=True, slots=True)
class Group:
    """A system group."""

    name: str

    @property
    def ref(self) -> Ref:
        return Ref("group", self.name)

    def probe(self) -> Probe:
        return Probe("user_probe_groups", LIBRARY, (self.name,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state:
            return None
        return Change(self.ref, f"create group {self.name}", words("groupadd", "--system", self.name))


@dataclass(frozen=True, slots=True)
class User:
    """A system user with a group of the same name and no way to log in."""

    name: str
    home: str
    shell: str = "/usr/sbin/nologin"

    @property
    def ref(self) -> Ref:
        return Ref("user", self.name)

    def probe(self) -> Probe:
        return Probe("user_probe", LIBRARY, (self.name,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if not state:
            script = words("useradd", "--system", "-g", self.name, "-M", "-d", self.home, "-s", self.shell, self.name)
            return Change(self.ref, f"create user {self.name}", script)
        wrong = [
            f"{what} {found} -> {wanted}"
            for what, found, wanted in (
                ("group", state["group"], self.name),
                ("home", state["home"], self.home),
                ("shell", state["shell"], self.shell),
            )
            if found != wanted
        ]
        if not wrong:
            return None
        script = words("usermod", "-g", self.name, "-d", self.home, "-s", self.shell, self.name)
        return Change(self.ref, f"user {self.name}: {', '.join(wrong)}", script)
