"""Ports that a service needs, and who has them."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import library
from provision.errors import PlanError
from provision.untrusted import line as shown

LIBRARY = library(__file__)


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports that nobody but `program` listens on, IPv4 or IPv6. Never a change: whoever has one of them is not ours to end.

    `program` is the name of its processes (proc_pid_comm(5)); `needs` says in an error what needs the port.
    """

    program: str
    numbers: tuple[int, ...]
    needs: str

    @property
    def ref(self) -> Ref:
        return Ref("ports", self.program)

    def probe(self) -> Probe:
        return Probe("ports_probe", LIBRARY, (self.program, " ".join(map(str, self.numbers))))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state:
            port, program, process, unit = (shown(state[key], 60) for key in ("port", "program", "process", "unit"))
            ends = f"systemctl disable --now {unit}" if unit else f"end process {process}"
            raise PlanError(
                f"port {port} is held by {program} (process {process}), and {self.needs} needs it",
                f"{ends} on the server, if its sites may go, or use a server of its own",
            )
        return None
