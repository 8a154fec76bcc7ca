"""systemd services and timers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from provision.engine.resource import Change, Phase, Probe, Ref, State
from provision.engine.shell import library, words
from provision.errors import PlanError

LIBRARY = library(__file__)


@dataclass(frozen=True, slots=True)
class Service:
    """A unit that is enabled, running, and running its current configuration.

    `watches` are the files, links and certificates that it reads. Their inodes, sizes and times at the last load
    are kept as a stamp. A replaced file has others, so a run that dies between writing a file and reloading the
    service still reloads next time. `check` must succeed before a reload (`nginx -t`). A reload is for a main
    process that replaces its workers (nginx); it has failed if the old workers still accept connections after ten
    seconds. A second resource for the same unit needs a `stamp` of its own. `reads` are the paths that it reads where
    those that it watches have other names than paths (a set of files). One load is enough for what it does `also`, another
    resource for the same unit.
    """

    name: str
    watches: tuple[Ref, ...] = ()
    on_change: Literal["reload", "restart"] = "restart"
    check: str = "true"
    stamp: str = ""
    reads: tuple[str, ...] = ()
    also: "Service | None" = None
    phase: Phase = "prepare"

    @staticmethod
    def ref_to(name: str) -> Ref:
        """The name of a unit's resource."""
        return Ref("service", name)

    @property
    def ref(self) -> Ref:
        return Ref("service", self._stamp)

    @property
    def _stamp(self) -> str:
        return self.stamp or self.name

    @property
    def _paths(self) -> tuple[str, ...]:
        return self.reads or tuple(dict.fromkeys(ref.name for ref in self.watches))

    def probe(self) -> Probe:
        return Probe("service_probe", LIBRARY, (self.name, self._stamp, " ".join(self._paths)))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        about = {ref: ref.name if ref.name.startswith("/") else str(ref) for ref in self.watches}
        watched = list(dict.fromkeys(text for ref, text in about.items() if ref in earlier))
        if state["enabled"] in ("masked", "masked-runtime"):
            raise PlanError(
                f"{self.name} is masked on this server, and cannot be started: run systemctl unmask {self.name} there, "
                "then run again"
            )
        # Another resource for the same unit, earlier in the plan, enables and starts it.
        begun = bool(self.stamp) and self.ref_to(self.name) in earlier
        what = []
        if state["enabled"] != "enabled" and not begun:
            what.append("enable")
        if state["active"] not in ("active", "reloading") and not begun:
            what.append("start")
        elif watched:
            what.append(f"{self.on_change} ({', '.join(watched)})")
        elif self.watches and state["stamp"] != "loaded":
            what.append(f"{self.on_change} (its configuration changed since it was loaded)")
        elif state["reload"] == "yes" and not begun:
            what.append(f"{self.on_change} (its unit changed)")
        if not what:
            return None
        script = words("service_ensure", self.name, self._stamp, self.on_change, self.check, *self._paths)
        if self.also:
            noted = words("service_note", self.also._stamp, *self.also._paths)
            script = "\n".join((noted, script, words("service_noted", self.also._stamp)))
        return Change(self.ref, f"{self.name}: {', '.join(what)}", script, LIBRARY, phase=self.phase)
