"""What whoever connects reads before logging in."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import heredoc, library, words
from provision.resources import file

LIBRARY = library(__file__)
# issue(5): getty shows the first at the console, sshd the second where `Banner` names it.
CONSOLE, NETWORK = "/etc/issue", "/etc/issue.net"


@dataclass(frozen=True, slots=True)
class Notice:
    """This text at the console and over SSH; if it is empty, what was there before the toolkit first wrote one."""

    text: str = ""

    @property
    def ref(self) -> Ref:
        return Ref("notice", NETWORK)

    def probe(self) -> Probe:
        return Probe("notice_probe", LIBRARY, (CONSOLE, NETWORK))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if not self.text:
            if not state["kept"]:
                return None
            script = words("notice_back", CONSOLE, NETWORK)
            return Change(self.ref, f"put {CONSOLE} and {NETWORK} back as they were", script, LIBRARY)
        right = hashlib.sha256(self.text.encode()).hexdigest()
        if {state["console"], state["network"]} == {right} and state["kept"]:
            return None
        script = heredoc(words("notice_write", CONSOLE, NETWORK), self.text.encode())
        return Change(self.ref, f"write {CONSOLE} and {NETWORK}", script, f"{file.LIBRARY}{LIBRARY}")
