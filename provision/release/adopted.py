"""What has an app's name and was somebody else's, and is the app's because the inventory says so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Record, Ref, State
from provision.engine.shell import words
from provision.release import shell
from provision.release.claim import probed
from provision.untrusted import PATH, word
from provision.untrusted import line as shown

GROUPS = "([A-Za-z0-9_][A-Za-z0-9_.-]*( [A-Za-z0-9_][A-Za-z0-9_.-]*)*)?"
UNTIL = "until the app is removed"


@dataclass(frozen=True, slots=True)
class Adopted:
    """What the inventory's word `what` (user, folders) stands for is the app's. How it was is noted before it is touched.

    A user leaves the groups of the system, and is then made what an app's user is; a folder is moved aside. What may not be adopted is
    refused by `Claim`, which comes before.
    """

    app: str
    what: str
    logins: tuple[str, ...] = ()

    @property
    def ref(self) -> Ref:
        return Ref("adopted", f"{self.app}/{self.what}")

    def probe(self) -> Probe:
        return probed(self.app, self.logins)

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        things = [each for each in state.records if each.get("word") == self.what]
        if not things:
            return None
        return self._user(things[0]) if self.what == "user" else self._folders(things)

    def _user(self, thing: Record) -> Change:
        groups = word(thing, "leaves", GROUPS).split()
        leaves = f", who leaves the groups {', '.join(groups)} {UNTIL}" if groups else ""
        script = words("adopted_user", self.app, *groups)
        return Change(self.ref, f"{self.app}: adopts {shown(thing['foreign'], 200)}{leaves}", script, shell.LIBRARY)

    def _folders(self, things: Sequence[Record]) -> Change:
        paths = tuple(word(each, "path", PATH) for each in things)
        said = "; ".join(_moved(path, each["used"]) for path, each in zip(paths, things, strict=True))
        script = words("adopted_folders", self.app, *paths)
        return Change(self.ref, f"{self.app}: adopts {said}", script, shell.LIBRARY, empties=paths)


def _moved(path: str, used: str) -> str:
    uses = f", though {shown(used, 60)} uses it" if used else ""
    return f"{path}, moved to {path}.before-provision {UNTIL}{uses}"
