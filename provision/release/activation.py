"""What goes live: a release in one of an app's two slots, held back from traffic or with all of it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import library, quote, words
from provision.errors import PlanError
from provision.release import manager
from provision.release import tree as release
from provision.release.facts import PreviewedRelease
from provision.resources.file import File

PROBE = f"{manager.LIBRARY}{library(__file__)}"
LIBRARY = f"{release.LIBRARY}{PROBE}"


@dataclass(frozen=True, slots=True)
class Slot:
    """How an app's slots are started, checked, and ended. Times in seconds.

    `copies` are the SHA-256 of the files that a slot has for itself, by name. `domain` is what the health check asks
    for, also through nginx after the switch; empty where there is no nginx. Healthy is `passes` good answers in a
    row; `watch` is how long the new slot must then do well with the traffic, `drain` how long the old one may take to end.
    `before` and `after` are the hooks' commands, `processes` the names of more processes than the web app.
    """

    app: str
    manager: str
    copies: tuple[tuple[str, str], ...]
    health: str
    passes: int
    timeout: int
    watch: int
    drain: int
    domain: str
    keep: int
    before: str = ""
    after: str = ""
    processes: tuple[str, ...] = ()

    def probe(self) -> Probe:
        copies = ",".join(f"{name}={sha256}" for name, sha256 in self.copies)
        item = (self.app, self.health, self.domain or "-", copies, ",".join(self.processes) or "-")
        return Probe("probe_activations", PROBE, item)

    def call(self, *function: str, release: str = "", folder: str = ".", fingerprint: str = "") -> str:
        """A function of activation.sh, with what it reads."""
        values = {
            "app": self.app,
            "release": release,
            "folder": folder,
            "fingerprint": fingerprint,
            "manager": self.manager,
            "copies": ",".join(name for name, _ in self.copies),
            "health": self.health,
            "passes": str(self.passes),
            "timeout": str(self.timeout),
            "watch": str(self.watch),
            "drain": str(self.drain),
            "domain": self.domain,
            "keep": str(self.keep),
            "before": self.before,
            "after": self.after,
            "processes": " ".join(self.processes),
        }
        lines = [f"{name}={quote(value)}" for name, value in values.items()]
        return "\n".join((*lines, words(*function)))


@dataclass(frozen=True, slots=True)
class Serving:
    """The row that the probe prints. `held` and what follows is of a release in the idle slot, without traffic."""

    slot: str
    fingerprint: str
    active: str
    enabled: str
    reload_needed: str
    snapshot: str
    idle: str
    unfinished: str
    current: str
    health: str
    down: str
    held: str
    held_fingerprint: str
    held_health: str


@dataclass(frozen=True, slots=True)
class Activation:
    """The release serves: its slot runs with this fingerprint, is healthy, starts at boot, and has no other beside it
    but one that is held. `again` wants it started anew.
    """

    slot: Slot
    release: str
    folder: str
    fingerprint: str
    again: bool = False

    @property
    def ref(self) -> Ref:
        return Ref("activation", self.slot.app)

    def probe(self) -> Probe:
        return self.slot.probe()

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        app = self.slot.app
        serving = Serving(*state[0]) if state else None
        why = self._why(serving, earlier)
        if why:
            script = self.slot.call("activate", release=self.release, folder=self.folder, fingerprint=self.fingerprint)
            summary = f"{app}: activate {self.release} ({why})"
            return Change(
                self.ref,
                summary,
                script,
                LIBRARY,
                phase="rolling",
                undo=self.slot.call("revert"),
            )
        if serving and serving.down:
            summary = f"{app}: start {serving.down.replace(' ', ', ')}"
            return Change(self.ref, summary, self.slot.call("keep_processes"), LIBRARY, phase="rolling")
        return None

    def _why(self, serving: Serving | None, earlier: Mapping[Ref, Change]) -> str:
        if not serving:
            return "nothing serves yet"
        app, slot = self.slot.app, serving.slot
        reasons = (
            (self.again, "restart"),
            (serving.current != self.release, f"{serving.current or 'nothing'} is active"),
            (serving.fingerprint != self.fingerprint, "its configuration changed"),
            (serving.active != "active", f"its slot {slot} is {serving.active}"),
            (serving.health != "200", f"its health check answered {serving.health}"),
            (release.rebuilt(app, earlier), "its files were restored"),
            (release.emptied(app, earlier), "its shared folder was restored"),
            (
                File.ref_to(f"{manager.UNITS}/{app}@.service") in earlier or serving.reload_needed == "yes",
                "its unit changed",
            ),
            (serving.snapshot != "same", f"the files of slot {slot} were modified"),
            (serving.enabled != "enabled", f"its slot {slot} would not start at boot"),
            (serving.idle not in ("inactive", "failed", "unknown"), "both slots run"),
            (bool(serving.unfinished), "its last activation was not finished"),
        )
        return next((reason for wrong, reason in reasons if wrong), "")


@dataclass(frozen=True, slots=True)
class Preview:
    """The release is healthy in the idle slot, and has only the traffic of those who know the `token`."""

    slot: Slot
    release: str
    folder: str
    fingerprint: str
    token: str

    @property
    def ref(self) -> Ref:
        return Ref("hold", self.slot.app)

    def probe(self) -> Probe:
        return self.slot.probe()

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        """Raises PlanError where nothing serves yet."""
        app = self.slot.app
        if not state:
            raise PlanError(
                f"{app}: nothing serves yet, so there is nothing to hold a release back from: deploy without --hold"
            )
        serving = Serving(*state[0])
        untouched = not (release.rebuilt(app, earlier) or release.emptied(app, earlier))
        active = (serving.current, serving.fingerprint) == (self.release, self.fingerprint)
        held = (serving.held, serving.held_fingerprint, serving.held_health) == (self.release, self.fingerprint, "200")
        if untouched and (active or held):
            return None
        script = self.slot.call(
            "hold", self.token, release=self.release, folder=self.folder, fingerprint=self.fingerprint
        )
        summary = f"{app}: hold {self.release} in the slot beside {serving.slot}, without traffic"
        back = self.slot.call("drop")
        return Change(self.ref, summary, script, LIBRARY, phase="rolling", undo=back)


@dataclass(frozen=True, slots=True)
class Promotion:
    """The release that is held serves."""

    slot: Slot
    release: str
    folder: str

    @property
    def ref(self) -> Ref:
        return Ref("activation", self.slot.app)

    def probe(self) -> Probe:
        return self.slot.probe()

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        script = self.slot.call("promote", release=self.release, folder=self.folder)
        summary = f"{self.slot.app}: activate {self.release} (it is held)"
        return Change(self.ref, summary, script, LIBRARY, phase="rolling", undo=self.slot.call("revert"))


@dataclass(frozen=True, slots=True)
class NoPreview:
    """No release is held."""

    slot: Slot
    release: str

    @property
    def ref(self) -> Ref:
        return Ref("hold", self.slot.app)

    def probe(self) -> Probe:
        return self.slot.probe()

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        summary = f"{self.slot.app}: drop {self.release}, which is held"
        return Change(self.ref, summary, self.slot.call("drop"), LIBRARY, phase="rolling")


def preview_tokens(
    previews: Mapping[str, PreviewedRelease], releases: Mapping[str, str], made: Collection[Ref], token: str
) -> dict[str, str]:
    """By app, the token of the wanted release (`releases`) where it can be previewed.

    `previews` are those that there were before the changes in `made`, `token` that of previews which are made new.
    """
    found = {app: one.token for app, one in previews.items() if releases.get(app) == one.release}
    for app in releases:
        if Ref("activation", app) in made:
            found.pop(app, None)
        if token and Ref("hold", app) in made:
            found[app] = token
    return found
