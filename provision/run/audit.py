"""A look at all that could let somebody in on hosts, or make somebody root: one exec a host, which changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from provision.engine.resource import Finding
from provision.inventory import Host
from provision.release import audit as judge
from provision.run.ask import ask, read


@dataclass(frozen=True, slots=True)
class Audit:
    """What nothing explains on a host, or in one line why it could not be looked at."""

    host: str
    unexplained: tuple[Finding, ...] = ()
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether everything there is explained."""
        return self.error is None and not self.unexplained


def audit(hosts: Sequence[Host], password: str | None = None) -> tuple[Audit, ...]:
    """Look at all hosts, side by side."""
    known = {host.name: host for host in hosts}
    answers, rows = read(
        ask(hosts, judge.call, password),
        lambda answer: [(answer.host, judge.unexplained(known[answer.host], answer.lines))],
    )
    found = dict(rows)
    return tuple(Audit(one.host, found.get(one.host, ()), one.error) for one in answers)
