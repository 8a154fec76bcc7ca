"""What a server is like: its facts, and the states of resources. One exec each, which changes nothing."""

from collections.abc import Sequence

from provision import roles
from provision.controller.ssh import Session
from provision.engine import facts, probe
from provision.engine.facts import Facts
from provision.engine.probe import Observation
from provision.engine.resource import Resource
from provision.errors import ProbeError, RunError
from provision.untrusted import line as shown


def read_facts(session: Session) -> Facts:
    """A server's facts. Raises ProvisionError."""
    answer = session.run(facts.script(roles.FACTS))
    if answer.status:
        raise RunError(
            f"the server cannot run a shell script as root: {shown(answer.stderr.strip()[-300:]) or answer.status}"
        )
    return facts.parse(answer.stdout, roles.FACTS)


def observe(session: Session, resources: Sequence[Resource]) -> Observation:
    """The states of resources. Raises ProvisionError."""
    answer = session.run(probe.script(resources))
    try:
        return probe.parse(answer.stdout, len(resources))
    except ProbeError as error:
        raise ProbeError(f"{error}; {shown(answer.stderr.strip()[-300:])}") from None
