"""The sites that a server's nginx had before."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import library
from provision.errors import PlanError
from provision.untrusted import line as shown

LIBRARY = library(__file__)


@dataclass(frozen=True, slots=True)
class NoForeignSites:
    """nginx is not there, or as the distribution has it, or ours. Never a change: other sites would end with a nginx.conf of ours."""

    @property
    def ref(self) -> Ref:
        return Ref("nginx-sites", "foreign")

    def probe(self) -> Probe:
        return Probe("nginx_sites_probe", LIBRARY)

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        files = [shown(each, 80) for each in state.all("foreign")]
        if files:
            more = f" and {len(files) - 3} more" if len(files) > 3 else ""
            raise PlanError(
                f"nginx serves what this toolkit did not write ({', '.join(files[:3])}{more}), and would not any longer: use a server "
                "of its own, or leave the role web out and let that nginx pass requests on to the app's socket"
            )
        return None
