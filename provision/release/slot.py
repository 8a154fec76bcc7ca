"""An app's two slots: how they are started, checked and ended, and what the probe says of them."""

import hashlib
from dataclasses import dataclass

from provision.engine.resource import Probe, State
from provision.engine.shell import quote, words
from provision.release import shell


@dataclass(frozen=True, slots=True)
class Health:
    """The health check: `passes` good answers in a row at `path` within `timeout` seconds.

    `domain` is the host name that it asks for; empty if there is no nginx. After the switch, each of `domains` must
    answer through nginx. For `watch` seconds, the new slot must then stay healthy.
    """

    path: str
    passes: int
    timeout: int
    watch: int
    domain: str
    domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Slot:
    """How an app's slots are started, checked, and ended.

    `manager` is the process manager's name; `copies` has the SHA-256 of each file below /etc/APP that a slot gets a copy
    of, and `static` the folder in the release for each URL prefix whose files nginx serves itself. The old slot may take `drain` seconds to end, and the newest `keep` releases stay. `before` and `after` are the
    hooks' commands, and `settings` is what the record of a release has for a rollback.
    """

    app: str
    manager: str
    copies: tuple[tuple[str, str], ...]
    health: Health
    drain: int
    keep: int
    settings: str = ""
    static: tuple[tuple[str, str], ...] = ()
    before: str = ""
    after: str = ""

    def probe(self) -> Probe:
        """Reports what `Serving` has."""
        copies = ",".join(f"{name}={sha256}" for name, sha256 in self.copies)
        item = (self.app, self.health.path, self.health.domain or "-", copies, self._static_sum)
        return Probe("slot_probe", shell.LIBRARY, item)

    @property
    def _static_sum(self) -> str:
        lines = sorted(f"{prefix.strip('/')}={folder}\n".encode() for prefix, folder in self.static)
        return hashlib.sha256(b"".join(lines)).hexdigest()

    def call(self, *function: str, release: str = "", folder: str = ".", fingerprint: str = "") -> str:
        """A call of a function in activation.sh, preview.sh or process.sh, with the variables that it reads."""
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
            "domains": " ".join(self.health.domains),
            "keep": str(self.keep),
            "before": self.before,
            "after": self.after,
            "static": "\n".join(f"{prefix.strip('/')}={folder}" for prefix, folder in self.static),
            "settings": self.settings,
        }
        lines = [f"{name}={quote(value)}" for name, value in values.items()]
        return "\n".join((*lines, words("layout_app", self.app), words(*function)))


@dataclass(frozen=True, slots=True)
class Previewed:
    """The release in the idle slot that can be previewed; empty if there is none. `health` is an HTTP status."""

    release: str = ""
    fingerprint: str = ""
    health: str = ""


@dataclass(frozen=True, slots=True)
class Serving:
    """What the probe reports about the slot that has the traffic, and about the other one.

    `active` and `idle` are the states of the two, in systemd's words. `reload` is yes if the unit has changed since it
    was loaded, `copies` is same if the slot's own files are the wanted ones. `down` lists the processes that do not run,
    `unfinished` names the release whose activation was cut off.
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
        """None if no slot has the traffic."""
        if not state:
            return None
        previewed = Previewed(*(state[f"previewed{key}"] for key in ("", "_fingerprint", "_health")))
        names = (name for name in cls.__dataclass_fields__ if name != "previewed")
        return cls(**{name: state[name] for name in names}, previewed=previewed)
