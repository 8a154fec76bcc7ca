"""An app's two slots: how they are started, checked and ended, and what the probe says of them."""

from dataclasses import dataclass

from provision.engine.resource import Probe, State
from provision.engine.shell import quote, words
from provision.release import shell


@dataclass(frozen=True, slots=True)
class Health:
    """The health check: `passes` good answers in a row at `path`, within `timeout` seconds.

    `domain` is the name that it asks for, also through nginx after the switch; empty where there is no nginx. For
    `watch` seconds after that the new slot must do well with the traffic.
    """

    path: str
    passes: int
    timeout: int
    watch: int
    domain: str


@dataclass(frozen=True, slots=True)
class Slot:
    """How an app's slots are started, checked, and ended.

    `manager` is the process manager's name. `copies` are the SHA-256 of the files that a slot has for itself, by name.
    `drain` is how many seconds the old slot may take to end, `keep` how many releases stay. `before` and `after` are
    the hooks' commands, `processes` the names of the processes beside the web app.
    """

    app: str
    manager: str
    copies: tuple[tuple[str, str], ...]
    health: Health
    drain: int
    keep: int
    before: str = ""
    after: str = ""
    processes: tuple[str, ...] = ()

    def probe(self) -> Probe:
        """Reads what `Serving` has."""
        copies = ",".join(f"{name}={sha256}" for name, sha256 in self.copies)
        item = (self.app, self.health.path, self.health.domain or "-", copies, ",".join(self.processes) or "-")
        return Probe("slot_probe", shell.LIBRARY, item)

    def call(self, *function: str, release: str = "", folder: str = ".", fingerprint: str = "") -> str:
        """A function of activation.sh, preview.sh or process.sh, with what it reads."""
        values = {
            "app": self.app,
            "release": release,
            "folder": folder,
            "fingerprint": fingerprint,
            "manager": self.manager,
            "copies": ",".join(name for name, _ in self.copies),
            "health": self.health.path,
            "passes": str(self.health.passes),
            "timeout": str(self.health.timeout),
            "watch": str(self.health.watch),
            "drain": str(self.drain),
            "domain": self.health.domain,
            "keep": str(self.keep),
            "before": self.before,
            "after": self.after,
            "processes": " ".join(self.processes),
        }
        lines = [f"{name}={quote(value)}" for name, value in values.items()]
        return "\n".join((*lines, words("layout_app", self.app), words(*function)))


@dataclass(frozen=True, slots=True)
class Previewed:
    """The release in the idle slot that can be previewed; empty where there is none. `health` is an HTTP status."""

    release: str = ""
    fingerprint: str = ""
    health: str = ""


@dataclass(frozen=True, slots=True)
class Serving:
    """What the probe says of the slot that has the traffic, and of the other.

    `active` and `idle` are the states of the two, in systemd's words; `reload` (yes, no): the unit was changed since it
    was loaded; `copies` (same, differs): the slot's own files are those that are wanted. `down` are the processes that
    do not run, `unfinished` is the release whose activation did not come to its end.
    """

    slot: str
    current: str
    fingerprint: str
    active: str
    enabled: str
    reload: str
    copies: str
    health: str
    down: str
    unfinished: str
    idle: str
    previewed: Previewed = Previewed()

    @classmethod
    def of(cls, state: State) -> "Serving | None":
        """None where no slot has the traffic."""
        if not state:
            return None
        previewed = Previewed(*(state[f"previewed{key}"] for key in ("", "_fingerprint", "_health")))
        names = (name for name in cls.__dataclass_fields__ if name != "previewed")
        return cls(**{name: state[name] for name in names}, previewed=previewed)
