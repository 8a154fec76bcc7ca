"""An app leaves a server, part by part: what there is of each, and how it goes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from provision.engine.layout import TOOLKIT
from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import words
from provision.errors import PlanError
from provision.release import shell
from provision.release.layout import Layout
from provision.resources import certificate, postgresql, redis
from provision.untrusted import line as shown
from provision.untrusted import word

LIBRARY = f"{certificate.LIBRARY}{postgresql.LIBRARY}{redis.LIBRARY}{shell.LIBRARY}"
OWNER = "[A-Za-z0-9._-]{1,255} [0-9TZ:-]{1,30}"
THING = "[A-Za-z0-9@:._+/-]{1,300}"


def _list(things: Sequence[str]) -> str:
    return ", ".join(things)


def _names(things: Sequence[str]) -> str:
    return _list([thing.rpartition("/")[2].replace(":", " of ") for thing in things])


def _certificates(things: Sequence[str]) -> str:
    return _list([thing.replace("certbot:", "certbot's ") for thing in things])


def _site(things: Sequence[str]) -> str:
    ours = [thing for thing in things if not thing.startswith("back:")]
    back = _list([thing.removeprefix("back:") for thing in things if thing.startswith("back:")])
    said = (f"take its site off nginx ({_list(ours)})" if ours else "", f"put back {back} as it was" if back else "")
    return "; ".join(filter(None, said))


def _adopted(things: Sequence[str]) -> str:
    passed = [thing.removeprefix("passed:") for thing in things if thing.startswith("passed:")]
    back = [thing for thing in things if not thing.startswith("passed:")]
    said = [f"pass on what it adopted ({_list(passed)})"] if passed else []
    if any(thing.startswith(f"{TOOLKIT.state}/") for thing in back):
        said.append(f"forget what it adopted ({_list(back)})")
    elif back:
        said.append(
            f"put back {'the ' if ':' in back[0] else ''}{_users(back)} as {'they were' if back[1:] else 'it was'}"
        )
    return "; ".join(said)


def _users(things: Sequence[str]) -> str:
    return _list([thing.replace(":", " ") for thing in things])


# By part, in the order in which they go: the shell function that removes it, and what a plan says of its things.
PARTS: dict[str, tuple[str, Callable[[Sequence[str]], str]]] = {
    "site": ("uninstall_site", _site),
    "runs": ("uninstall_runs", lambda things: f"stop and remove {_names(things)}"),
    "certificate": ("uninstall_certificate", lambda things: f"remove its certificates ({_certificates(things)})"),
    "files": ("uninstall_files", lambda things: f"remove {_list(things)}"),
    "data": ("uninstall_data", lambda things: f"remove {_list(things)}".replace("database:", "PostgreSQL's database ")),
    "users": ("uninstall_remove_users", lambda things: f"remove {_users(things)}"),
    "record": ("uninstall_record", lambda things: f"forget the app ({_list(things)})"),
    "adopted": ("uninstall_adopted", _adopted),
}


@dataclass(frozen=True, slots=True)
class Uninstalled:
    """Nothing of one part of an app is on the server. Its data stays, with its owner and what it adopted, unless it is to go too.

    If another app is its `heir`, that has its data, or is about to have it (`taken`), and what remains after all stays. Without
    either, the app is not the heir's to remove.
    """

    app: str
    part: str
    with_data: bool = False
    heir: str = ""
    taken: bool = False

    @property
    def ref(self) -> Ref:
        return Ref("uninstalled", f"{self.app}/{self.part}")

    def probe(self) -> Probe:
        data = "yes" if self.with_data or self.heir else "no"
        return Probe("uninstall_probe", LIBRARY, (self.app, self.part, data, self.heir or "-"))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        things = [word(each, "thing", THING) for each in state.records if "thing" in each]
        if self.heir:
            # Its certificate is the heir's, too.
            things = [thing for thing in things if not thing.startswith("certbot:")]
        if not things or (self.heir and not self.taken and state["heir"] != "yes"):
            return None
        if state["blocked"]:
            raise PlanError(
                f"{self.app}: what it adopted cannot be put back, as {Layout(self.app).home} has what somebody put there since: "
                f"{shown(state['blocked'].strip(), 200)}",
                "move that away, then run again",
            )
        function, said = PARTS[self.part]
        kept = state["kept"] if self.part == "users" else ""
        stays = f"; {kept} stays, with its owner: --with-data {self.app} removes both" if kept else ""
        if kept and state["holds"]:
            stays = f"; {kept} stays, and what the app adopted: --with-data {self.app} puts that back"
        if self.part == "data" and self.with_data:
            stays = ", with all data"
        if state["owner"]:
            inventory, _, since = word({"owner": state["owner"]}, "owner", OWNER).partition(" ")
            stays = f", of the inventory {inventory} since {since}"
        data = "yes" if self.with_data else "no"
        passes = (words("adopted_pass_on", self.app, self.heir),) if self.heir and self.part == "adopted" else ()
        ends = (
            (words("uninstall_inherited", self.app, self.heir),)
            if self.heir and self.part in ("record", "adopted")
            else ()
        )
        script = "\n".join((*passes, words("layout_app", self.app), words(function, self.app, data), *ends))
        return Change(self.ref, f"{self.app}: {said(things)}{stays}", script, LIBRARY, phase="finish")


def uninstalled(app: str, with_data: bool) -> tuple[Uninstalled, ...]:
    """All parts of an app, in the order in which they go."""
    return tuple(Uninstalled(app, part, with_data) for part in PARTS)


def inherited(app: str, heir: str, *but: str, taken: bool) -> tuple[Uninstalled, ...]:
    """All parts of an app but these, in the order in which they go, once another has its data."""
    return tuple(Uninstalled(app, part, heir=heir, taken=taken) for part in PARTS if part not in but)
