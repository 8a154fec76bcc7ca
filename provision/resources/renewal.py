"""A certificate that is renewed before its time."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import words
from provision.errors import PlanError
from provision.resources.certificate import LIBRARY, LIVE, WEBROOT, Certificate


@dataclass(frozen=True, slots=True)
class Renewal:
    """A new certificate in place of the one that there is, from the same directory and for the same domains. Always a change.

    The directory is asked once an hour at most, unless it is to be asked `again`. Where it gives none, the change fails, and what there
    is serves on.
    """

    certificate: Certificate

    @property
    def ref(self) -> Ref:
        return self.certificate.ref

    def probe(self) -> Probe:
        return self.certificate.probe()

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        one = self.certificate
        if not one.fits(state) or state["state"] != "whole" or state["target"] != f"{LIVE}/{state['lineage']}":
            raise PlanError(
                f"{one.app}: the server has no certificate from {one.server} for {', '.join(one.domains)} that could be renewed",
                "deploy, which obtains one",
            )
        if state["wait"] and not one.again:
            raise PlanError(
                f"{one.app}: {one.server} was asked less than an hour ago, and issuers limit how many certificates they give: it may "
                f"be asked again at {state['wait']}, or now with --force"
            )
        script = words(
            "certificate_renew", one.app, one.server, one.ca, WEBROOT, state["lineage"], one.checks, *one.domains
        )
        what = (
            f"renew the certificate for {', '.join(one.domains)} from {one.server}, {state['days']} days before its end"
        )
        return Change(self.ref, what, script, LIBRARY)
